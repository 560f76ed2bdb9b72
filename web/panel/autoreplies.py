"""Autoreplies: what a mailbox answers by itself while its owner is away.

A reader would otherwise get wrong: a preview saves nothing. It is the same form, come back with what would be sent above it.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import addresses, authorisation, autoreplies, mailboxes
from web.panel.desk import Desk, Signed
from web.panel.forms import Form, day_in, day_of, faults_of, morning_in
from web.panel.links import url
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

FIELDS = ("text", "subject", "starts", "ends")


@router.get("/mailboxes/{address:path}/away")
def page(desk: Signed, address: str) -> Response:
    """What it answers, and from when until when."""
    return _page(desk, address, None, None)


def _page(
    desk: Desk,
    address: str,
    form: Typed | None,
    refusal: ApplianceError | None,
    *,
    preview: Mapping[str, Any] | None = None,
) -> Response:
    with desk.reading() as session:
        mailbox = mailboxes.get(session, address, actor=desk.actor)
        present = autoreplies.find(session, address, actor=desk.actor)
        return desk.page(
            "mailboxes/away.html", refusal=refusal, mailbox=mailbox, address=addresses.show(mailbox.address),
            errors=faults_of(_as_typed(refusal), *FIELDS) if refusal else Typed(), present=present, preview=preview,
            form=_as_form(present, desk.me.zone) if form is None else form,
            may_set=authorisation.allows(session, desk.actor, "autoreply.set", mailbox),
        )  # fmt: skip


def _as_form(present: autoreplies.Autoreply | None, zone: dt.tzinfo) -> Typed:
    if present is None:
        return Typed(enabled="yes")
    return Typed(
        text=present.text, subject=present.subject, starts=day_of(present.starts_at, zone), ends=day_of(present.ends_at, zone),
        enabled="yes" if present.enabled else "",
    )  # fmt: skip


def _as_typed(refusal: ApplianceError) -> ApplianceError:
    """The refusal, of the field as the form calls it: people type days, services take moments."""
    refusal.field = {"starts_at": "starts", "ends_at": "ends"}.get(refusal.field or "", refusal.field)
    return refusal


@router.post("/mailboxes/{address:path}/away")
def put(desk: Signed, address: str, form: Form) -> Response:
    """Answer from now on, or show what would be answered."""
    try:
        starts, ends = morning_in(form, "starts", desk.me.zone), day_in(form, "ends", desk.me.zone)
        with desk.wiring.changing(dry_run=bool(form["preview"])) as session:
            row = autoreplies.put(
                session, address, actor=desk.actor, text=form["text"].replace("\r\n", "\n"), subject=form["subject"].strip(),
                starts_at=starts, ends_at=ends, enabled=bool(form["enabled"]),
            )  # fmt: skip
            saved = autoreplies.describe(row)
    except ApplianceError as refusal:
        return _page(desk, address, form, refusal)
    if form["preview"]:
        return _page(desk, address, form, None, preview=saved)
    notice = "The answer is on." if form["enabled"] else "The answer is kept, and off."
    return desk.see_other(url("mailboxes", address, "away"), notice)


@router.post("/mailboxes/{address:path}/away/clear")
def clear(desk: Signed, address: str, form: Form) -> Response:
    """Answer no more, and forget the words."""
    with desk.changing() as session:
        autoreplies.clear(session, address, actor=desk.actor)
    return desk.see_other(url("mailboxes", address, "away"), "Nothing is answered any more.")
