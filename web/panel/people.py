"""Who administers a domain: accounts that are for it alone, and people who were appointed to it.

A reader would otherwise get wrong: whoever administers a domain is not shown who else does; they are colleagues, not his people.
So these pages are for those who stand above the domain.
"""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.database.session import Session
from appliance.errors import ApplianceError, NotFound
from appliance.services import accounts, appointments, authorisation, domains, passwords
from appliance.services.authorisation import DOMAIN_RIGHTS
from web.panel.desk import Desk, Signed
from web.panel.domains import shown
from web.panel.forms import Form, faults_of
from web.panel.links import url
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

MAX_LISTED = 200
RIGHTS = (
    ("settings", "Settings, DNS, protection and signing"),
    ("mailboxes", "Make, change, suspend and remove mailboxes"),
    ("passwords", "Set passwords of mailboxes"),
    ("aliases", "Make, change and remove aliases"),
    ("forwarding", "Change forwarding"),
    ("rules", "Let in and keep out senders"),
    ("recipients", "Upload recipients of a relayed domain"),
)


def rights_in(form: Typed) -> list[str] | None:
    """The rights that are ticked; all of them are None, which will hold those to come, too."""
    ticked = [right for right in DOMAIN_RIGHTS if form[f"right_{right}"]]
    return None if len(ticked) == len(DOMAIN_RIGHTS) else ticked


def rights_as_typed(rights: list[str] | None) -> dict[str, str]:
    """A tick for each."""
    return {f"right_{right}": "yes" for right in (DOMAIN_RIGHTS if rights is None else rights)}


@router.get("/domains/{name}/people")
def page(desk: Signed, name: str) -> Response:
    """Who administers it."""
    return _page(desk, name, Typed(rights_as_typed(None)), None)


def _page(desk: Desk, name: str, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        domain = domains.find(session, desk.actor, "account.see", name)
        mine: dict[str, Any] = {"actor": desk.actor, "domain_id": domain.id, "limit": MAX_LISTED}
        appointed = appointments.list_appointments(session, **mine).items
        return desk.page(
            "domains/people.html", refusal=refusal, form=form,
            errors=faults_of(refusal, "account", "holder") if refusal else Typed(),
            domain=shown(session, [domain])[0],
            accounts=accounts.list_accounts(session, **mine).items,
            appointed=[(row, appointments.holder_of(row)) for row in appointed],
            known=RIGHTS, words=dict(RIGHTS),
            may_appoint=authorisation.allows(session, desk.actor, "account.create", domain),
        )  # fmt: skip


@router.post("/domains/{name}/people")
def create(desk: Signed, name: str, form: Form) -> Response:
    """An account for this domain alone; its one-time password is shown, this once."""
    password = passwords.one_time_password()
    sealed = desk.wiring.sealer.seal_password(password)
    try:
        with desk.changing() as session:
            account = accounts.create(
                session, form["account"], actor=desk.actor, domain=name, sealed_hash=sealed, must_change=True,
                rights=rights_in(form),
            )  # fmt: skip
    except ApplianceError as refusal:
        refusal.field = "account" if refusal.field == "name" else refusal.field
        return _page(desk, name, form, refusal)
    return _one_time(desk, name, account.name, password)


def _one_time(desk: Desk, domain: str, account: str, password: str) -> Response:
    where = url("domains", domain, "people")
    return desk.page("tenants/administrator.html", account=account, password=password, where=where)


@router.post("/domains/{name}/appointments")
def appoint(desk: Signed, name: str, form: Form) -> Response:
    """Somebody who has an account or a mailbox already."""
    try:
        with desk.changing() as session:
            holder = form["holder"].strip()
            appointments.appoint(session, holder, actor=desk.actor, domain=name, rights=rights_in(form))
    except ApplianceError as refusal:
        refusal.field = refusal.field or "holder"
        return _page(desk, name, form, refusal)
    return desk.see_other(url("domains", name, "people"), f"{holder} administers {name}, from the next request on.")


@router.post("/domains/{name}/appointments/{number:int}/dismiss")
def dismiss(desk: Signed, name: str, number: int, form: Form) -> Response:
    """Take the appointment away; account or mailbox stay."""
    with desk.changing() as session:
        domain = domains.find(session, desk.actor, "account.see", name)
        found = appointments.get(session, number, actor=desk.actor)
        if found.domain_id != domain.id:
            raise NotFound(f"there is no appointment {number} to {name}")
        holder = appointments.holder_of(found)
        appointments.dismiss(session, number, actor=desk.actor)
    return desk.see_other(url("domains", name, "people"), f"{holder} does not administer {name} any more.")


@router.get("/domains/{name}/people/{account}")
def rights_form(desk: Signed, name: str, account: str) -> Response:
    """What an account of this domain may do."""
    with desk.reading() as session:
        row = _account(desk, session, name, account)
        domain = shown(session, [domains.get(session, name, actor=desk.actor)])[0]
    form = Typed(rights_as_typed(row.rights))
    return desk.page("domains/person.html", domain=domain, account=row, form=form, known=RIGHTS)


def _account(desk: Desk, session: Session, name: str, account: str) -> accounts.Account:
    domain = domains.find(session, desk.actor, "account.see", name)
    row = accounts.get(session, account, actor=desk.actor)
    if row.domain_id != domain.id:
        raise NotFound(f"there is no account {account} of {name}")
    return row


@router.post("/domains/{name}/people/{account}")
def set_rights(desk: Signed, name: str, account: str, form: Form) -> Response:
    """Change it; in force from the next request on."""
    with desk.changing() as session:
        _account(desk, session, name, account)
        accounts.update(session, account, actor=desk.actor, rights=rights_in(form))
    return desk.see_other(url("domains", name, "people"), f"What {account} may do is changed.")


@router.post("/domains/{name}/people/{account}/reset")
def reset(desk: Signed, name: str, account: str, form: Form) -> Response:
    """A new one-time password, shown this once; the account's sessions end."""
    password = passwords.one_time_password()
    sealed = desk.wiring.sealer.seal_password(password)
    with desk.changing() as session:
        _account(desk, session, name, account)
        accounts.reset_password(session, account, sealed, actor=desk.actor)
    return _one_time(desk, name, account, password)


@router.post("/domains/{name}/people/{account}/remove")
def remove(desk: Signed, name: str, account: str, form: Form) -> Response:
    """The account can sign in no more."""
    with desk.changing() as session:
        _account(desk, session, name, account)
        accounts.remove(session, account, actor=desk.actor)
    return desk.see_other(url("domains", name, "people"), f"{account} can sign in no more.")
