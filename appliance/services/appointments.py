"""Appointments: what somebody may do besides what his account, or his mailbox, gives him. One person may have several.

A reader would otherwise get wrong: an appointment makes its holder mightier than whoever manages the domain of his mailbox, and
from then on that mailbox - its password, its forwarding, its removal - is out of that one's hands (`authorisation`).
"""

from typing import Any

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden, Invalid, LimitReached
from appliance.models import Account, Appointment, Domain, LoginSession, Mailbox, Tenant
from appliance.services import addresses, audit, authorisation, holders
from appliance.services.actor import Actor, ActorKind, Part
from appliance.services.paging import Page, page_along

__all__ = [
    "MAX_APPOINTMENTS",
    "Appointment",
    "appoint",
    "check_rights",
    "dismiss",
    "get",
    "holder_of",
    "list_appointments",
    "of",
    "part_of",
]

MAX_APPOINTMENTS = 20  # of one person: each is asked at each of his requests


def appoint(
    session: Session,
    holder: str,
    *,
    actor: Actor,
    tenant_id: int | None = None,
    domain: str | None = None,
    support: bool = False,
    rights: list[str] | None = None,
) -> Appointment:
    """Make *holder*, an account's name or a mailbox's address, administrator of a tenant or of a *domain*; or its *support*.

    Raises:
        Invalid: no such rights.
        Conflict: neither or both are named, or what is chosen is not for such an administrator.
        NotFound, Forbidden: holder, tenant or domain is not the actor's.
        LimitReached: one person has only so many.
    """
    person = _person(session, actor, "account.update", "mailbox.password", holder)
    if (tenant_id is None) == (domain is None) or (support and domain is not None):
        raise Conflict("name a tenant or a domain; support is a tenant's", field="tenant_id")
    scope = _domain(session, actor, domain) if domain is not None else None
    chosen = scope.tenant if scope is not None else session.get(Tenant, tenant_id)
    if scope is None:
        authorisation.require(session, actor, "account.create", chosen, f"tenant {tenant_id}")
    tenant = session.get_one(Tenant, scope.tenant_id if scope is not None else tenant_id)
    kind = "support" if support else "domain" if scope is not None else tenant.kind
    column = _column(person)
    held = select(func.count()).select_from(Appointment).where(column == person.id)
    if (session.scalar(held) or 0) >= MAX_APPOINTMENTS:
        raise LimitReached(f"one person has at most {MAX_APPOINTMENTS} appointments", code="limit_appointments")
    made = Appointment(
        kind=kind, tenant=tenant, domain=scope, rights=check_rights(rights, kind),
        account=person if isinstance(person, Account) else None,
        mailbox=person if isinstance(person, Mailbox) else None,
    )  # fmt: skip
    session.add(made)
    session.flush()
    _tell(session, actor, "appointment.made", made)
    return made


def get(session: Session, number: int, *, actor: Actor) -> Appointment:
    """The appointment with this id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return authorisation.require(
        session, actor, "account.see", session.get(Appointment, number), f"appointment {number}"
    )


def list_appointments(
    session: Session,
    *,
    actor: Actor,
    holder: str | None = None,
    tenant_id: int | None = None,
    domain_id: int | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Appointment]:
    """Appointments in the actor's part, the oldest first; of one *holder*, or over one tenant itself or one domain.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: the holder is not in the actor's part.
    """
    wanted = authorisation.restrict(select(Appointment), actor, Appointment)
    if holder is not None:
        person = _person(session, actor, "account.see", "mailbox.see", holder)
        wanted = wanted.where(_column(person) == person.id)
    if tenant_id is not None:
        wanted = wanted.where(Appointment.tenant_id == tenant_id, Appointment.domain_id.is_(None))
    if domain_id is not None:
        wanted = wanted.where(Appointment.domain_id == domain_id)
    return page_along(session, wanted, Appointment.id, limit, cursor)


def dismiss(session: Session, number: int, *, actor: Actor) -> None:
    """Take it away; who is logged in has it no more from his next request on.

    Raises:
        NotFound, Forbidden: it is not the actor's to take away.
    """
    found = authorisation.require(
        session, actor, "account.remove", session.get(Appointment, number), f"appointment {number}"
    )
    if not authorisation.is_over_appointment(session, actor, found):
        raise Forbidden("this appointment was made by somebody above you")
    _tell(session, actor, "appointment.ended", found)
    session.delete(found)
    session.flush()


def of(session: Session, login: LoginSession) -> list[Appointment]:
    """What the owner of a session holds besides."""
    person = login.account or login.mailbox
    if person is None:
        return []
    wanted = select(Appointment).where(_column(person) == person.id).order_by(Appointment.id)
    return list(session.scalars(wanted).unique())


def part_of(power: Appointment | Account) -> Part:
    """What it gives its holder; an account is an appointment, too."""
    kinds: dict[str, ActorKind] = {
        "operator": "operator", "reseller": "reseller", "customer": "customer", "domain": "domain", "support": "support",
    }  # fmt: skip
    kind = kinds[power.kind]
    tenant_id = None if kind == "operator" else power.tenant_id
    rights = None if power.rights is None else frozenset(power.rights)
    return Part(kind, tenant_id, power.domain_id, rights=rights)


def check_rights(rights: list[str] | None, kind: str) -> list[str] | None:
    """*rights*, in our order, when they are such as a domain administrator has; None: all of them.

    Raises:
        Invalid: they are not.
        Conflict: another than a domain's administrator would have them.
    """
    if rights is None:
        return None
    known = authorisation.DOMAIN_RIGHTS
    sentence = f"rights are chosen for administrators of a domain, from {', '.join(known)}"
    if not set(rights) <= set(known):
        raise Invalid(sentence, code="bad_rights", field="rights")
    if kind != "domain":
        raise Conflict(sentence, code="bad_rights", field="rights")
    return [right for right in known if right in rights]


def holder_of(appointment: Appointment) -> str:
    """Whose it is: an account's name or a mailbox's address."""
    if appointment.mailbox is not None:
        return addresses.show(appointment.mailbox.address)
    return appointment.account.name if appointment.account is not None else ""


def _person(session: Session, actor: Actor, of_account: str, of_mailbox: str, holder: str) -> Account | Mailbox:
    if "@" in holder:
        return holders.find(session, actor, of_mailbox, Mailbox, holder)
    found = session.scalar(select(Account).where(Account.name == holder.strip().lower()))
    return authorisation.require(session, actor, of_account, found, f"account {holder}")


def _domain(session: Session, actor: Actor, name: str) -> Domain:
    label = addresses.parse_domain(name, "domain")
    found = addresses.domain_named(session, label)
    return authorisation.require(session, actor, "account.create", found, f"domain {label}")


def _column(person: Account | Mailbox) -> Any:  # noqa: ANN401 - a column of either
    return Appointment.account_id if isinstance(person, Account) else Appointment.mailbox_id


def _tell(session: Session, actor: Actor, action: str, made: Appointment) -> None:
    told: dict[str, Any] = {"kind": made.kind, "tenant": made.tenant.name}
    if made.domain is not None:
        told |= {"domain": made.domain.name, "rights": made.rights}
    audit.record(
        session, actor, action, holder_of(made), tenant_id=made.tenant_id, domain_id=made.domain_id, after=told
    )
