"""What a mailbox sends: app passwords, other addresses it may write as, limits, and letting it go when it was stopped.

A reader would otherwise get wrong: an owner sees all of it and changes his app passwords alone. Limits and senders are for
whoever manages the domain; a mailbox that was stopped is let go by them too, never by itself.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import addresses, authorisation, mailboxes, senders, sending
from web.panel.desk import Desk, Signed
from web.panel.forms import Form, faults_of, number_in
from web.panel.links import url
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)


@router.get("/mailboxes/{address:path}/sending")
def show(desk: Signed, address: str) -> Response:
    """The page."""
    return _show(desk, address, None, None)


def _show(desk: Desk, address: str, form: Typed | None, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        mailbox = mailboxes.get(session, address, actor=desk.actor)
        standing = sending.show(session, address, actor=desk.actor)
        if form is None:
            form = Typed(
                per_hour="" if standing.per_hour is None else str(standing.per_hour),
                per_day="" if standing.per_day is None else str(standing.per_day),
                brake="yes" if standing.brake else "",
            )
        return desk.page(
            "mailboxes/sending.html",
            refusal=refusal,
            form=form,
            errors=faults_of(refusal, "name", "sender", "per_hour", "per_day") if refusal else Typed(),
            mailbox=mailbox,
            address=addresses.show(mailbox.address),
            standing=standing,
            app_passwords=senders.app_passwords(session, address, actor=desk.actor),
            given=senders.given(session, address, actor=desk.actor),
            host=desk.wiring.settings.limits,
            may_change=authorisation.allows(session, desk.actor, "mailbox.update", mailbox),
            may_release=authorisation.allows(session, desk.actor, "mailbox.suspend", mailbox),
        )


@router.post("/mailboxes/{address:path}/app-passwords")
def make_app_password(desk: Signed, address: str, form: Form) -> Response:
    """Make one and show it, this once: so a post is not redirected here."""
    try:
        with desk.changing() as session:
            row, secret = senders.add_app_password(
                session, address, form["name"], actor=desk.actor, sealer=desk.wiring.sealer
            )
            name = row.name
    except ApplianceError as refusal:
        refusal.field = refusal.field or "name"
        return _show(desk, address, form, refusal)
    return desk.page("mailboxes/app_password.html", address=address, name=name, secret=secret)


@router.post("/mailboxes/{address:path}/app-passwords/remove")
def remove_app_password(desk: Signed, address: str, form: Form) -> Response:
    """Its program logs in no more."""
    with desk.changing() as session:
        senders.remove_app_password(session, address, form["name"], actor=desk.actor)
    return desk.see_other(
        url("mailboxes", address, "sending"), f"The password of {form['name']} opens nothing any more."
    )


@router.post("/mailboxes/{address:path}/senders")
def give_sender(desk: Signed, address: str, form: Form) -> Response:
    """It may write as one more address."""
    try:
        with desk.changing() as session:
            key = senders.give(session, address, form["sender"].strip(), actor=desk.actor)
    except ApplianceError as refusal:
        refusal.field = refusal.field or "sender"
        return _show(desk, address, form, refusal)
    return desk.see_other(url("mailboxes", address, "sending"), f"Mail may be written as {key}.")


@router.post("/mailboxes/{address:path}/senders/remove")
def take_sender(desk: Signed, address: str, form: Form) -> Response:
    """And no longer."""
    with desk.changing() as session:
        senders.take(session, address, form["sender"], actor=desk.actor)
    return desk.see_other(
        url("mailboxes", address, "sending"), f"Mail may not be written as {form['sender']} any more."
    )


@router.post("/mailboxes/{address:path}/limits")
def limit(desk: Signed, address: str, form: Form) -> Response:
    """How much it may send."""
    try:
        per_hour, per_day = (number_in(form, field) for field in ("per_hour", "per_day"))
        with desk.changing() as session:
            sending.change(
                session, address, actor=desk.actor, per_hour=per_hour, per_day=per_day, brake=bool(form["brake"])
            )
    except ApplianceError as refusal:
        return _show(desk, address, form, refusal)
    return desk.see_other(url("mailboxes", address, "sending"), "What it may send is changed.")


@router.post("/mailboxes/{address:path}/release")
def release(desk: Signed, address: str, form: Form) -> Response:
    """It may send again."""
    with desk.changing() as session:
        sending.release(session, address, actor=desk.actor)
    return desk.see_other(url("mailboxes", address, "sending"), f"{address} may send again.")


# ---- a domain, a tenant


@router.get("/domains/{name}/sending")
def show_domain(desk: Signed, name: str) -> Response:
    """What all of a domain may send together, and which of its mailboxes are stopped."""
    return _show_limits(desk, addresses.parse_domain(name), url("domains", name), None, None)


@router.post("/domains/{name}/sending")
def limit_domain(desk: Signed, name: str, form: Form) -> Response:
    """Change it."""
    return _limit(desk, addresses.parse_domain(name), url("domains", name), form)


@router.get("/tenants/{tenant_id}/sending")
def show_tenant(desk: Signed, tenant_id: int) -> Response:
    """What all below a tenant may send together."""
    return _show_limits(desk, str(tenant_id), url("tenants", str(tenant_id)), None, None)


@router.post("/tenants/{tenant_id}/sending")
def limit_tenant(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Change it."""
    return _limit(desk, str(tenant_id), url("tenants", str(tenant_id)), form)


def _show_limits(
    desk: Desk, subject: str, where: str, form: Typed | None, refusal: ApplianceError | None
) -> Response:  # fmt: skip
    with desk.reading() as session:
        standing = sending.show(session, subject, actor=desk.actor)
        ending = f"@{standing.subject}"
        braked = [row for row in sending.braked(session, actor=desk.actor) if row.subject.endswith(ending)]
    if form is None:
        form = Typed(
            per_hour=str(standing.per_hour or ""), per_day=str(standing.per_day or ""),
            any_address="yes" if standing.any_address else "",
        )  # fmt: skip
    return desk.page(
        "sending/limits.html", refusal=refusal, form=form,
        errors=faults_of(refusal, "per_hour", "per_day") if refusal else Typed(),
        standing=standing, where=where, braked=braked, is_domain=not subject.isdigit(),
    )  # fmt: skip


def _limit(desk: Desk, subject: str, where: str, form: Typed) -> Response:
    any_address = None if subject.isdigit() else bool(form["any_address"])
    try:
        per_hour, per_day = (number_in(form, field) for field in ("per_hour", "per_day"))
        with desk.changing() as session:
            sending.change(
                session, subject, actor=desk.actor, per_hour=per_hour, per_day=per_day, any_address=any_address
            )
    except ApplianceError as refusal:
        return _show_limits(desk, subject, where, form, refusal)
    return desk.see_other(f"{where}/sending", "What may be sent is changed.")
