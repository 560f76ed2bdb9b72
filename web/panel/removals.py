"""Removed things: what was removed, until when it can be had back, and having it back.

A reader would otherwise get wrong: to end a removal is not to undo it. What was kept for it goes then, and nothing brings it back.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import bulk, jobs, removals
from web.panel import drafts
from web.panel.desk import Desk, Managing
from web.panel.domains import REMOVED_AT_ONCE
from web.panel.forms import Form, faults_of, require_confirmed
from web.panel.links import url
from web.panel.listing import Asked, Wanted, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

AT_ONCE = 40  # on a page; each with two deeds, and a first visit stays below 100 KiB


@router.get("/removals")
def index(desk: Managing, asked: Asked) -> Response:
    """What can be had back, the newest first."""
    return _index(desk, asked, None)


def _index(desk: Desk, asked: Wanted, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        page = removals.list_removals(
            session, actor=desk.actor, search=asked.search, sort=asked.sort, limit=AT_ONCE, cursor=asked.cursor
        )
    return show_list(
        desk, asked, page, "/removals", ("removals/index.html", "removals/_list.html"), refusal=refusal,
        errors=faults_of(refusal) if refusal else Typed(),
    )  # fmt: skip


@router.post("/removals/{number:int}/undo")
def undo(desk: Managing, number: int, form: Form) -> Response:
    """Bring it back as it was, with its mail; in the background, when that is much."""
    try:
        with desk.reading() as session:
            kept = removals.get(session, number, actor=desk.actor)
        if kept.mailboxes + kept.aliases > REMOVED_AT_ONCE:
            what = {"name": kept.name, "noun": kept.kind, "verb": "remove", "id": number}
            return desk.see_other(url("jobs", drafts.go(desk, jobs.UNDO, what, bulk.removal_of(kept.kind))))
        with desk.changing() as session:
            back = removals.undo(session, number, actor=desk.actor)
            name, kind = back.name, back.kind
    except ApplianceError as refusal:
        return _index(desk, Wanted("", None), refusal)
    noun = {"domain": "domains", "alias": "aliases"}.get(kind, "mailboxes")
    return desk.see_other(url(noun, name), f"{name} is back as it was; its mail follows within a minute.")


@router.get("/removals/{number:int}/end")
def confirm_end(desk: Managing, number: int) -> Response:
    """What would be lost."""
    return _confirm_end(desk, number, Typed(), None)


def _confirm_end(desk: Desk, number: int, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        removal = removals.get(session, number, actor=desk.actor)
    faults = faults_of(refusal, "confirm") if refusal else Typed()
    return desk.page("removals/end.html", refusal=refusal, form=form, errors=faults, removal=removal)


@router.post("/removals/{number:int}/end")
def end(desk: Managing, number: int, form: Form) -> Response:
    """What was kept goes now."""
    try:
        with desk.reading() as session:
            name = removals.get(session, number, actor=desk.actor).name
        require_confirmed(form, name)
        with desk.changing() as session:
            removals.end(session, number, actor=desk.actor)
    except ApplianceError as refusal:
        return _confirm_end(desk, number, form, refusal)
    return desk.see_other("/removals", f"{name} is gone for good.")
