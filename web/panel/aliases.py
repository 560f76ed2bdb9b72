"""Aliases: making, changing and removing one. The list stands on the domain's page."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import addresses, aliases, authorisation, consents, domains
from web.panel.desk import Desk, Signed
from web.panel.domains import shown
from web.panel.forms import Form, addresses_in, day_in, day_of, faults_of, still_sending
from web.panel.links import url
from web.panel.mailboxes import address_in
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

DOORS = (
    ("everybody", "Everybody"),
    ("tenant", "People of the same tenant"),
    ("domain", "People of the same domain"),
    ("members", "Those it goes to"),
    ("listed", "Only these:"),
)


@router.get("/domains/{name}/aliases/new")
def new(desk: Signed, name: str) -> Response:
    """The form for a new alias."""
    return _new(desk, name, Typed(), None)


def _new(desk: Desk, name: str, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        domain = shown(session, [domains.get(session, name, actor=desk.actor)])[0]
    faults = (
        faults_of(_as_typed(refusal), "local_part", "targets", "expires", "open_to", "listed", otherwise="local_part")
        if refusal
        else Typed()
    )
    return desk.page("aliases/new.html", refusal=refusal, form=form, errors=faults, domain=domain, doors=DOORS)


@router.post("/domains/{name}/aliases")
def create(desk: Signed, name: str, form: Form) -> Response:
    """Make an alias, then show it among the others."""
    try:
        with desk.changing() as session:
            alias = aliases.create(
                session, address_in(form, name), addresses_in(form["targets"]), actor=desk.actor,
                expires_at=day_in(form, "expires", desk.me.zone), **_doors_in(form),
            )  # fmt: skip
            address, domain = addresses.show(alias.address), alias.domain.name
    except ApplianceError as refusal:
        return _new(desk, name, form, refusal)
    return desk.see_other(url("domains", domain, "aliases"), f"Mail to {address} goes on from now on.")


@router.get("/aliases/{address:path}")
def detail(desk: Signed, address: str) -> Response:
    """An alias and where it leads."""
    return _detail(desk, address, None, None)


def _detail(desk: Desk, address: str, form: Typed | None, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        alias = aliases.get(session, address, actor=desk.actor)
        form = form or Typed(
            targets="\n".join(alias.targets), expires=day_of(alias.expires_at, desk.me.zone), open_to=alias.open_to,
            listed="\n".join(alias.listed or ()),
        )  # fmt: skip
        faults = faults_of(_as_typed(refusal), "targets", "expires", "open_to", "listed") if refusal else Typed()
        return desk.page(
            "aliases/detail.html",
            refusal=refusal,
            form=form,
            errors=faults,
            address=addresses.show(alias.address),
            domain=alias.domain.name,
            states=consents.states_of(session, alias),
            may_forward=authorisation.allows(session, desk.actor, "alias.update", alias),
            doors=DOORS,
        )


@router.post("/aliases/{address:path}/ask")
def ask_again(desk: Signed, address: str, form: Form) -> Response:
    """Have the mail with the link sent once more."""
    with desk.changing() as session:
        aliases.ask_again(session, address, form["target"], actor=desk.actor)
    return desk.see_other(url("aliases", address), f"Whoever reads mail at {form['target']} is asked once more.")


@router.post("/aliases/{address:path}/remove")
def remove(desk: Signed, address: str, form: Form) -> Response:
    """Remove the alias; nothing that is stored is lost by it."""
    with desk.changing() as session:
        days = desk.wiring.settings.limits.trash_days
        senders = aliases.remove(session, address, actor=desk.actor, days=days).forwarded_by
    domain = address.rpartition("@")[2]
    return desk.see_other(
        url("domains", domain, "aliases"),
        f"{address} is gone; under “Removed” it can be had back.{still_sending(senders)}"
        if days
        else f"{address} is gone.{still_sending(senders)}",
    )


@router.post("/aliases/{address:path}")
def update(desk: Signed, address: str, form: Form) -> Response:
    """Let it lead elsewhere."""
    try:
        with desk.changing() as session:
            alias = aliases.update(
                session, address, addresses_in(form["targets"]), actor=desk.actor, expires_at=day_in(form, "expires", desk.me.zone),
                **_doors_in(form),
            )  # fmt: skip
            domain = alias.domain.name
    except ApplianceError as refusal:
        return _detail(desk, address, form, refusal)
    return desk.see_other(url("domains", domain, "aliases"), f"{address} is changed.")


def _doors_in(form: Typed) -> dict[str, Any]:
    """Who may write to it; the list counts where it is chosen."""
    chosen = form["open_to"] or "everybody"
    return {"open_to": chosen, "listed": addresses_in(form["listed"]) if chosen == "listed" else []}


def _as_typed(refusal: ApplianceError) -> ApplianceError:
    """The refusal, of the field as the form calls it: people type a day, services take a moment."""
    refusal.field = "expires" if refusal.field == "expires_at" else refusal.field
    return refusal
