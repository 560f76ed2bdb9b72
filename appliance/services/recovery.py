"""A forgotten password: a link to the address that its owner named for this day, before it came.

A reader would otherwise get wrong: the link replaces the password and nothing else. Whoever reads that address still has to show
the second factor, if there is one. And whoever asks for a link is never told whether anything was sent.
"""

from sqlalchemy import delete, func, select

from appliance import consent_links, recovery_links
from appliance.database.session import Session
from appliance.errors import Invalid, LimitReached, NotFound
from appliance.models import Account, Instance, Mailbox, RecoveryMail
from appliance.models.base import now
from appliance.recovery_links import Mail
from appliance.services import accounts, addresses, authorisation, mailboxes, persons, second_factors
from appliance.services.actor import Actor, Part, acting
from appliance.services.persons import Person, columns_of, is_his

__all__ = ["ask", "confirm", "forget", "look_up", "name_address", "reset", "standing"]

MAX_NAMED = 5  # addresses that one person names in a day: each is written to
ASK_AGAIN_SECONDS = 600  # for one person: however often somebody else asks, he is written to so seldom


def standing(session: Session, person: Person) -> tuple[str, bool]:
    """His recovery address (empty: none), and whether he has confirmed it."""
    row = second_factors.settings_of(session, person)
    return (row.recovery_address, row.recovery_confirmed_at is not None) if row is not None else ("", False)


def name_address(session: Session, address: str, *, actor: Actor) -> None:
    """From now on this is his recovery address, once he has followed the link that he is sent there.

    Raises:
        Invalid: no address, or the mailbox itself whose password it is to open.
        LimitReached: each is written to, and he named many today.
        NotFound, Forbidden: as `persons.own`.
    """
    person = persons.own(session, actor)
    key = addresses.key_of(addresses.parse_address(address, "address"))
    if key == persons.key_of(person):
        raise Invalid("name another address: this one you cannot read without your password", field="address")
    lately = (is_his(RecoveryMail, person), RecoveryMail.kind == "confirm", RecoveryMail.asked_at > now() - 86400)
    if (session.scalar(select(func.count()).select_from(RecoveryMail).where(*lately)) or 0) >= MAX_NAMED:
        raise LimitReached("you have named enough addresses for today", code="limit_recovery", field="address")
    row = second_factors.own_settings(session, person)
    row.recovery_address, row.recovery_confirmed_at = key, None
    _write(session, person, "confirm", key)
    persons.tell(session, actor, "recovery.named", person, {"address": key})


def forget(session: Session, *, actor: Actor) -> None:
    """Have none any more.

    Raises:
        NotFound, Forbidden: as `persons.own`.
    """
    person = persons.own(session, actor)
    row = second_factors.own_settings(session, person)
    row.recovery_address, row.recovery_confirmed_at = "", None
    persons.tell(session, actor, "recovery.forgotten", person)


def ask(session: Session, name: str, *, source: str) -> None:
    """Have the owner of *name* written to, if he has a confirmed recovery address. Nobody is told whether he has."""
    try:
        person = persons.find(session, name)
    except Invalid:
        return
    address, is_confirmed = standing(session, person) if person is not None else ("", False)
    if person is None or not is_confirmed or not _may_sign_in(session, person):
        return
    recent = select(RecoveryMail.id).where(
        is_his(RecoveryMail, person), RecoveryMail.kind == "reset", RecoveryMail.asked_at > now() - ASK_AGAIN_SECONDS
    )
    if session.scalar(recent.limit(1)) is None:
        _write(session, person, "reset", address)
        persons.tell(session, _himself(person, source), "recovery.asked", person)


def look_up(session: Session, token: str, kind: str) -> str:
    """As what he signs in whose link this is.

    Raises:
        NotFound: it is none of ours, over, or used.
    """
    return persons.name_of(_find(session, token, kind)[0])


def confirm(session: Session, token: str, *, source: str) -> str:
    """The address is his who reads it. Answers it; the link is used up.

    Raises:
        NotFound: as `look_up`.
    """
    person, mail = _find(session, token, "confirm")
    row = second_factors.own_settings(session, person)
    row.recovery_confirmed_at = now()
    session.delete(mail)
    session.flush()
    persons.tell(session, _himself(person, source), "recovery.confirmed", person, {"address": mail.target})
    return mail.target


def reset(session: Session, token: str, sealed_hash: str, *, source: str) -> str:
    """Another password, and all sessions end; the second factor stays. Answers as what he signs in; the link is used up.

    Raises:
        NotFound: as `look_up`.
    """
    person, _ = _find(session, token, "reset")
    session.execute(delete(RecoveryMail).where(is_his(RecoveryMail, person), RecoveryMail.kind == "reset"))
    actor = _himself(person, source)
    name = persons.key_of(person)
    if isinstance(person, Account):
        accounts.set_password(session, name, sealed_hash, actor=actor)
    else:
        mailboxes.set_password(session, name, sealed_hash, actor=actor)
    persons.tell(session, actor, "recovery.used", person)
    return persons.name_of(person)


def _find(session: Session, token: str, kind: str) -> tuple[Person, RecoveryMail]:
    gone = NotFound("this link is not good any more, or never was")
    number = consent_links.number_in(token)
    row = session.get(RecoveryMail, number) if number is not None else None
    if row is None or row.kind != kind:
        raise gone
    key = session.scalar(select(Instance.consent_key).order_by(Instance.id).limit(1)) or ""
    mail = Mail(row.id, row.kind, row.account_id, row.mailbox_id, row.target, row.asked_at)
    if not recovery_links.holds(key, mail, token, now()):
        raise gone
    person: Person | None = (
        session.get(Account, row.account_id) if row.account_id is not None else session.get(Mailbox, row.mailbox_id)
    )
    # Who has named another address since means that one.
    if person is None or standing(session, person)[0] != row.target or not _may_sign_in(session, person):
        raise gone
    return person, row


def _may_sign_in(session: Session, person: Person) -> bool:
    if isinstance(person, Mailbox):
        held = person.log_in_held or person.domain.log_in_held or person.sealed_hash is None
        return not held and authorisation.is_in_force(session, person.domain.tenant_id)
    return authorisation.is_in_force(session, person.tenant_id)


def _himself(person: Person, source: str) -> Actor:
    if isinstance(person, Account):
        return Actor("domain", person.name, source=source)
    return acting(persons.key_of(person), [Part("mailbox", domain_id=person.domain_id, mailbox_id=person.id)], source)


def _write(session: Session, person: Person, kind: str, target: str) -> None:
    session.add(RecoveryMail(kind=kind, target=target, **columns_of(person)))
    session.flush()
