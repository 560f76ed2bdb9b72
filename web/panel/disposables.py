"""The addresses of a mailbox besides its own name: those that its owner makes, patterns, and where else mail comes from.

A reader would otherwise get wrong: its owner makes addresses here without any right over the domain. What he may is judged by
the services; whoever manages the domain sees the same addresses among its aliases.
"""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.database.session import Session
from appliance.errors import ApplianceError
from appliance.services import addresses, authorisation, disposables, mailboxes, patterns
from web.panel.desk import Desk, Signed
from web.panel.forms import Form, addresses_in, day_in, day_of, faults_of
from web.panel.links import url
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

FIELDS = ("word", "name", "note", "expires", "patterns")
MOST_ALSO = 20


@router.get("/mailboxes/{address:path}/addresses")
def page(desk: Signed, address: str) -> Response:
    """All of them."""
    return _page(desk, address, None, None, desk.request.query_params.get("change", ""))


def _page(desk: Desk, address: str, form: Typed | None, refusal: ApplianceError | None, changing: str = "") -> Response:
    """With the form for one more, or for another note or end of the one that is called *changing*."""
    with desk.reading() as session:
        mailbox = mailboxes.get(session, address, actor=desk.actor)
        own = disposables.get(session, address, actor=desk.actor)
        chosen = next((alias for alias in own if addresses.show(alias.address) == changing), None)
        if chosen is not None and form is None:
            form = Typed(note=chosen.note, expires=day_of(chosen.expires_at, desk.me.zone))
        form = Typed({"patterns": "\n".join(patterns.texts(session, mailbox)), **(form or {})})
        return desk.page(
            "mailboxes/addresses.html", refusal=refusal, form=form, mailbox=mailbox,
            address=addresses.show(mailbox.address), own=own, also=_also(session, mailbox, own), chosen=chosen,
            errors=faults_of(_as_typed(refusal), *FIELDS) if refusal else Typed(),
            may_set=authorisation.allows(session, desk.actor, "disposable.set", mailbox),
            may_name=authorisation.allows(session, desk.actor, "alias.create", mailbox.domain),
        )  # fmt: skip


def _also(session: Session, mailbox: mailboxes.Mailbox, own: list[disposables.Alias]) -> list[str]:
    """Who else of his own domain sends mail here: of others it is not the owner's to know."""
    made = {addresses.show(alias.address) for alias in own}
    found = mailboxes.forwarded_by(session, mailbox.domain, addresses.key_of(mailbox.address))
    return [name for name in found if name.endswith(f"@{mailbox.domain.name}") and name not in made][:MOST_ALSO]


def _as_typed(refusal: ApplianceError) -> ApplianceError:
    """The refusal, of the field as the form calls it."""
    refusal.field = {"expires_at": "expires", "address": "name"}.get(refusal.field or "", refusal.field)
    return refusal


@router.post("/mailboxes/{address:path}/addresses")
def add(desk: Signed, address: str, form: Form) -> Response:
    """One more."""
    try:
        expires_at = day_in(form, "expires", desk.me.zone)
        with desk.changing() as session:
            made = disposables.add(
                session, address, actor=desk.actor, word=form["word"], name=form["name"], note=form["note"],
                expires_at=expires_at,
            )  # fmt: skip
            shown = addresses.show(made.address)
    except ApplianceError as refusal:
        return _page(desk, address, form, refusal)
    return desk.see_other(url("mailboxes", address, "addresses"), f"{shown} takes mail from now on.")


@router.post("/mailboxes/{address:path}/addresses/switch")
def switch(desk: Signed, address: str, form: Form) -> Response:
    """Refuse its mail, or take it again."""
    return _change(desk, address, form, enabled=form["enabled"] == "yes")


@router.post("/mailboxes/{address:path}/addresses/change")
def change(desk: Signed, address: str, form: Form) -> Response:
    """What it is for, and until when it is there."""
    try:
        return _change(desk, address, form, note=form["note"], expires_at=day_in(form, "expires", desk.me.zone))
    except ApplianceError as refusal:
        return _page(desk, address, form, refusal, form["disposable"])


def _change(desk: Desk, address: str, form: Typed, **change: Any) -> Response:  # noqa: ANN401 - passed on
    with desk.changing() as session:
        disposables.update(session, address, form["disposable"], actor=desk.actor, **change)
    notice = {True: "takes mail again", False: "refuses its mail from now on", None: "is changed"}[
        change.get("enabled")
    ]
    return desk.see_other(url("mailboxes", address, "addresses"), f"{form['disposable']} {notice}.")


@router.post("/mailboxes/{address:path}/addresses/remove")
def remove(desk: Signed, address: str, form: Form) -> Response:
    """It is nobody's any more."""
    with desk.changing() as session:
        days = desk.wiring.settings.limits.trash_days
        disposables.remove(session, address, form["disposable"], actor=desk.actor, days=days)
    return desk.see_other(url("mailboxes", address, "addresses"), f"{form['disposable']} is gone.")


@router.post("/mailboxes/{address:path}/patterns")
def set_patterns(desk: Signed, address: str, form: Form) -> Response:
    """Further addresses of one beginning that are its own."""
    try:
        with desk.changing() as session:
            patterns.put(session, address, addresses_in(form["patterns"]), actor=desk.actor)
    except ApplianceError as refusal:
        refusal.field = "patterns"
        return _page(desk, address, Typed(patterns=form["patterns"]), refusal)
    return desk.see_other(url("mailboxes", address, "addresses"), "The patterns are changed.")
