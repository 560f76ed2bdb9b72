"""Mailboxes: making one, its page (also its owner's own), forwarding, password, suspending and removing.

A reader would otherwise get wrong: an address may hold a slash, so these routes take the rest of the path. They cannot be
mistaken for one another all the same, since an address ends in a domain, and no domain has a slash in it.
"""

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.config import render_size
from appliance.errors import ApplianceError
from appliance.services import (
    access_rules,
    addresses,
    authorisation,
    consents,
    domains,
    forwardings,
    mailboxes,
    sending,
)
from web.panel.desk import Desk, Signed
from web.panel.domains import shown
from web.panel.forms import Form, addresses_in, faults_of, require_confirmed, size_in, still_sending, stops_in
from web.panel.guide import guide_for
from web.panel.links import url
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

FIELDS = (
    "targets", "password", "quota", "pattern", "note", "expires", "senders", "subjects", "larger_than",
    "smaller_than", "spam",
)  # fmt: skip
SPAM = (
    ("", "Whether or not they are marked as spam"),
    ("no", "Only what is not marked as spam"),
    ("yes", "Only what is marked as spam"),
)


@router.get("/domains/{name}/mailboxes/new")
def new(desk: Signed, name: str) -> Response:
    """The form for a new mailbox."""
    return _new(desk, name, Typed(), None)


def _new(desk: Desk, name: str, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        domain = shown(session, [domains.get(session, name, actor=desk.actor)])[0]
    faults = (
        faults_of(_as_typed(refusal), "local_part", "password", "quota", otherwise="local_part") if refusal else Typed()
    )
    return desk.page("mailboxes/new.html", refusal=refusal, form=form, errors=faults, domain=domain)


@router.post("/domains/{name}/mailboxes")
def create(desk: Signed, name: str, form: Form) -> Response:
    """Make a mailbox, then show it."""
    try:
        quota_bytes = size_in(form, "quota") if form["quota"].strip() else None
        address = address_in(form, name)
        sealed = desk.wiring.sealer.seal_password(form["password"], address) if form["password"] else None
        with desk.changing() as session:
            mailbox = mailboxes.create(
                session,
                address,
                actor=desk.actor,
                sealed_hash=sealed,
                quota_bytes=quota_bytes,
                default_quota=desk.wiring.settings.limits.default_quota,
                display_name=form["display_name"].strip(),
            )
            address = addresses.show(mailbox.address)
    except ApplianceError as refusal:
        return _new(desk, name, form, refusal)
    where = url("domains", name, "mailboxes", "new") if form["then"] == "another" else url("mailboxes", address)
    return desk.see_other(where, f"{address} receives mail from now on.")


def address_in(form: Typed, domain: str) -> str:
    """The address that was typed: its local-part, though many type the whole of it."""
    local_part = form["local_part"].strip()
    ending = f"@{domain}"
    return local_part if local_part.casefold().endswith(ending.casefold()) else local_part + ending


@router.get("/mailboxes/{address:path}/remove")
def confirm_removal(desk: Signed, address: str) -> Response:
    """What would be lost."""
    return _confirm_removal(desk, address, Typed(), None)


def _confirm_removal(desk: Desk, address: str, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        mailbox = mailboxes.find(session, desk.actor, "mailbox.remove", address)
        key = addresses.key_of(mailbox.address)
        senders = mailboxes.forwarded_by(session, mailbox.domain, key)
        faults = faults_of(refusal, "confirm") if refusal else Typed()
        return desk.page(
            "mailboxes/remove.html",
            refusal=refusal,
            form=form,
            errors=faults,
            mailbox=mailbox,
            address=addresses.show(mailbox.address),
            senders=senders,
            trash_days=desk.wiring.settings.limits.trash_days,
        )


@router.get("/mailboxes/{address:path}")
def detail(desk: Signed, address: str) -> Response:
    """A mailbox; for its owner, his own page."""
    return show_mailbox(desk, address, None, None)


def show_mailbox(
    desk: Desk, address: str, form: Typed | None, refusal: ApplianceError | None, rule_form: Typed | None = None
) -> Response:
    """The mailbox's page, with what was typed into one of its forms and why it was refused."""
    with desk.reading() as session:
        mailbox = mailboxes.get(session, address, actor=desk.actor)
        forwarding = mailbox.forwarding
        present = {
            "targets": "\n".join(forwarding.targets) if forwarding else "",
            "keep_copy": "yes" if forwarding is None or forwarding.keep_copy else "",
            **_conditions_as_typed(forwarding.conditions if forwarding else None),
        }
        form = Typed({**present, **(form or {})})
        in_force = not mailbox.domain.receiving_held and authorisation.may_receive(session, mailbox.domain.tenant_id)
        return desk.page(
            "mailboxes/detail.html",
            refusal=refusal,
            form=form,
            errors=faults_of(refusal, *FIELDS) if refusal else Typed(),
            spam_choices=SPAM,
            guide=guide_for(desk, session),
            rules=access_rules.list_rules(session, actor=desk.actor, mailbox=address),
            rule_form=rule_form or Typed(),
            mailbox=mailbox,
            standing=sending.show(session, address, actor=desk.actor),
            address=addresses.show(mailbox.address),
            quota_form=Typed(quota=form["quota"] or (render_size(mailbox.quota_bytes) if mailbox.quota_bytes else "")),
            forwarding=forwarding,
            states=consents.states_of(session, mailbox),
            may_forward=authorisation.allows(session, desk.actor, "forwarding.set", mailbox),
            in_force=in_force,
            may_change=authorisation.allows(session, desk.actor, "mailbox.update", mailbox),
            may_support=authorisation.allows(session, desk.actor, "support.enter", mailbox),
            may_remove=mailbox.folded != "postmaster" or mailbox.domain.name != addresses.host_name(session),
        )


def _conditions_in(form: Typed) -> dict[str, Any]:
    """Which messages go on; what is left empty asks nothing.

    Raises:
        Invalid: a size that is none.
    """
    sizes = {name: size_in(form, name) or None for name in ("larger_than", "smaller_than")}
    subjects = [line.strip() for line in form["subjects"].splitlines() if line.strip()]
    spam = {"yes": True, "no": False}.get(form["spam"])
    return {"senders": addresses_in(form["senders"]), "subjects": subjects, "spam": spam, **sizes}


def _conditions_as_typed(conditions: Mapping[str, Any] | None) -> dict[str, str]:
    if not conditions:
        return {}
    sizes = {name: render_size(conditions[name]) for name in ("larger_than", "smaller_than") if name in conditions}
    lists = {name: "\n".join(conditions.get(name, ())) for name in ("senders", "subjects")}
    return {**sizes, **lists, "spam": {True: "yes", False: "no"}.get(conditions.get("spam"), "")}  # type: ignore[arg-type]


@router.post("/mailboxes/{address:path}/forwarding")
def set_forwarding(desk: Signed, address: str, form: Form) -> Response:
    """Send mail on to others, or no more."""
    targets = addresses_in(form["targets"])
    try:
        with desk.changing() as session:
            if targets:
                forwardings.put(
                    session,
                    address,
                    targets,
                    actor=desk.actor,
                    keep_copy=bool(form["keep_copy"]),
                    only=_conditions_in(form),
                )
            else:
                forwardings.clear(session, address, actor=desk.actor)
    except ApplianceError as refusal:
        refusal.field = (refusal.field or "").removeprefix("conditions.") or None
        return show_mailbox(desk, address, Typed({"keep_copy": "", **form}), refusal)
    notice = "Mail is sent on to " + ", ".join(targets[:3]) if targets else "Nothing is forwarded"
    more = f" and {len(targets) - 3} more" if len(targets) > 3 else ""
    return desk.see_other(url("mailboxes", address), f"{notice}{more}.")


@router.post("/mailboxes/{address:path}/forwarding/ask")
def ask_again(desk: Signed, address: str, form: Form) -> Response:
    """Have the mail with the link sent once more."""
    with desk.changing() as session:
        forwardings.ask_again(session, address, form["target"], actor=desk.actor)
    return desk.see_other(url("mailboxes", address), f"Whoever reads mail at {form['target']} is asked once more.")


@router.post("/mailboxes/{address:path}/quota")
def set_quota(desk: Signed, address: str, form: Form) -> Response:
    """How much mail it may hold."""
    try:
        quota_bytes = size_in(form, "quota")
        with desk.changing() as session:
            mailboxes.update(session, address, actor=desk.actor, quota_bytes=quota_bytes)
    except ApplianceError as refusal:
        return _refused_beside(desk, address, form, refusal, "quota")
    return desk.see_other(url("mailboxes", address), "The quota is changed.")


@router.post("/mailboxes/{address:path}/password")
def set_password(desk: Signed, address: str, form: Form) -> Response:
    """An administrator's way: without the present one. Owners change theirs under /account/password, knowing it."""
    try:
        with desk.reading() as session:
            # Before the hash is made, and with a right that owners have not: theirs is the other way.
            mailboxes.find(session, desk.actor, "mailbox.update", address)
        sealed = desk.wiring.sealer.seal_password(form["password"], address)
        with desk.changing() as session:
            mailboxes.set_password(session, address, sealed, actor=desk.actor)
    except ApplianceError as refusal:
        return _refused_beside(desk, address, form, refusal, "password")
    return desk.see_other(
        url("mailboxes", address), "The password is set. Whoever was signed in with the old one is out."
    )


def _refused_beside(desk: Desk, address: str, form: Typed, refusal: ApplianceError, field: str) -> Response:
    """The mailbox's page with the reason beside *field*, and its other forms as they are in the database."""
    refusal.field = refusal.field or field
    return show_mailbox(desk, address, Typed(quota=form["quota"]), _as_typed(refusal))


def _as_typed(refusal: ApplianceError) -> ApplianceError:
    """The refusal, of the field as the form calls it: people type a size, services take octets."""
    refusal.field = "quota" if refusal.field == "quota_bytes" else refusal.field
    return refusal


@router.post("/mailboxes/{address:path}/suspend")
def suspend(desk: Signed, address: str, form: Form) -> Response:
    """Refuse mail and sign-ins until it is resumed."""
    with desk.changing() as session:
        mailboxes.suspend(session, address, actor=desk.actor, what=stops_in(form))
    return desk.see_other(url("mailboxes", address), f"{address} is suspended.")


@router.post("/mailboxes/{address:path}/resume")
def resume(desk: Signed, address: str, form: Form) -> Response:
    """Accept mail and sign-ins again."""
    with desk.changing() as session:
        mailboxes.resume(session, address, actor=desk.actor, what=stops_in(form))
    return desk.see_other(url("mailboxes", address), f"{address} accepts mail again.")


@router.post("/mailboxes/{address:path}/remove")
def remove(desk: Signed, address: str, form: Form) -> Response:
    """Remove the mailbox with what is in it."""
    try:
        require_confirmed(form, address)
        with desk.changing() as session:
            days = desk.wiring.settings.limits.trash_days
            senders = mailboxes.remove(session, address, actor=desk.actor, days=days).forwarded_by
    except ApplianceError as refusal:
        return _confirm_removal(desk, address, form, refusal)
    domain = address.rpartition("@")[2]
    return desk.see_other(
        url("domains", domain, "mailboxes"),
        f"{address} is gone; under “Removed” it can be had back.{still_sending(senders)}"
        if days
        else f"{address} is gone.{still_sending(senders)}",
    )
