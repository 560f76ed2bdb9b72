"""Who is logged in to the panel.

A reader would otherwise get wrong: a session is made after the authenticator said yes; it looks at each use whether its owner
is still allowed in, so a suspension works at once and not when the cookie expires.
"""

import hashlib
import secrets
from dataclasses import dataclass, replace

from sqlalchemy import delete, select

from appliance.database.session import Session
from appliance.errors import NotFound, NotSignedIn
from appliance.models import Account, LoginSession, Mailbox, OwnSettings
from appliance.models.base import now
from appliance.services import accounts, addresses, appointments, audit, authorisation, login_history, persons
from appliance.services.actor import Actor, Part, acting
from appliance.services.paging import Page, page_along
from appliance.services.persons import login_of

__all__ = [
    "LoggedIn",
    "LoginSession",
    "actor_of",
    "create",
    "end",
    "end_of_account",
    "end_of_own",
    "end_of_person",
    "find",
    "go_back",
    "login_of",
    "of_account",
    "of_own",
    "tenant_of",
]

MAX_SHOWN = 100  # of one person; a session lasts for hours


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session as the web process needs it."""

    id: int
    actor: Actor
    csrf: str
    must_change: bool  # the password was a one-time one: nothing else is served until it is changed
    token: str = ""  # only in what `create` and `go_back` return
    expires_at: int = 0
    time_zone: str = ""  # an IANA name; empty: he chose none


def create(
    session: Session,
    name: str,
    *,
    source: str = "",
    program: str = "",
    how: str = "password",
    hours: int = 12,
    seconds: int = 0,
    support_by: str | None = None,
    back_to: int | None = None,
) -> LoggedIn:
    """A session for the owner of *name*, who has shown all he must; or for *support_by*, who looks at what he sees.

    *how*: what was shown last (`login_history.How`); *program*: his browser in plain words.

    Raises:
        NotSignedIn: there is no such account or mailbox, or it is suspended.
    """
    person = persons.find(session, name)
    account = person if isinstance(person, Account) else None
    mailbox = person if isinstance(person, Mailbox) else None
    token = secrets.token_urlsafe(32)
    login = LoginSession(
        token_sha256=_digest(token), csrf=secrets.token_urlsafe(32), source=source, program=program,
        account=account, mailbox=mailbox, expires_at=now() + (seconds or hours * 3600), support_by=support_by, back_to_id=back_to,
    )  # fmt: skip
    actor = _actor(session, login, source)
    session.add(login)
    session.execute(delete(LoginSession).where(LoginSession.expires_at < now()))
    session.flush()
    if support_by is not None:  # `support` writes it down, in other words.
        return LoggedIn(login.id, actor, login.csrf, False, token, login.expires_at)
    if person is not None:
        login_history.note(session, person, how, accepted=True, source=source, program=program)
    audit.record(
        session, actor, "session.created", actor.name,
        tenant_id=_tenant_id(account, mailbox), domain_id=mailbox.domain_id if mailbox else actor.domain_id,
    )  # fmt: skip
    return LoggedIn(login.id, actor, login.csrf, account is not None and account.must_change, token, login.expires_at)


def find(session: Session, token: str, *, source: str = "") -> LoggedIn:
    """The session that the cookie's *token* opens.

    Raises:
        NotSignedIn: there is none, it expired, or its owner is suspended.
    """
    login = session.scalar(select(LoginSession).where(LoginSession.token_sha256 == _digest(token)))
    if login is None or login.expires_at <= now():
        raise NotSignedIn("please log in")
    if login.back_to_id is not None and session.get(LoginSession, login.back_to_id) is None:
        raise NotSignedIn("please log in")  # Whoever looks for support is in no more himself.
    actor = _actor(session, login, source or login.source)
    must_change = login.account is not None and login.account.must_change and login.support_by is None
    return LoggedIn(
        login.id, actor, login.csrf, must_change, expires_at=login.expires_at, time_zone=_time_zone(session, login)
    )


def _time_zone(session: Session, login: LoginSession) -> str:
    whose = OwnSettings.account_id if login.account_id is not None else OwnSettings.mailbox_id
    wanted = select(OwnSettings.time_zone).where(whose == (login.account_id or login.mailbox_id))
    return session.scalars(wanted.order_by(OwnSettings.id)).first() or ""


def end(session: Session, token: str) -> None:
    """Log out, of what support looks at also in one's own name; without such a session, nothing happens."""
    own = session.scalar(select(LoginSession.back_to_id).where(LoginSession.token_sha256 == _digest(token)))
    if own is not None:
        session.execute(delete(LoginSession).where(LoginSession.id == own))
    session.execute(delete(LoginSession).where(LoginSession.token_sha256 == _digest(token)))


def of_account(
    session: Session, name: str, *, actor: Actor, limit: int = 50, cursor: str | None = None
) -> Page[LoginSession]:
    """Where the owner of the account *name* is logged in.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: there is no such account in the actor's part.
    """
    account = accounts.get(session, name, actor=actor)
    wanted = select(LoginSession).where(LoginSession.account_id == account.id, LoginSession.expires_at > now())
    return page_along(session, wanted, LoginSession.id, limit, cursor)


def end_of_account(session: Session, name: str, number: int | None = None, *, actor: Actor) -> int:
    """End session *number* of the account, or all of them; how many were ended?

    Raises:
        NotFound: there is no such account in the actor's part, or no such session of it.
        Forbidden: it is not the actor's to change.
    """
    account = accounts.to_change(session, name, actor=actor)
    wanted = select(LoginSession).where(LoginSession.account_id == account.id)
    if number is not None:
        wanted = wanted.where(LoginSession.id == number)
    found = session.scalars(wanted).unique().all()
    if number is not None and not found:
        raise NotFound(f"there is no session {number} of {account.name}")
    for login in found:
        session.delete(login)
    if found:
        audit.record(
            session, actor, "session.ended", account.name, tenant_id=account.tenant_id, domain_id=account.domain_id,
            after={"sessions": len(found)},
        )  # fmt: skip
    return len(found)


def of_own(session: Session, *, actor: Actor) -> list[LoginSession]:
    """Where the actor himself is signed in, the latest first; not where support looks at what he sees.

    Raises:
        NotFound, Forbidden: as `persons.own`.
    """
    mine = persons.is_his(LoginSession, persons.own(session, actor))
    wanted = select(LoginSession).where(mine, LoginSession.expires_at > now(), LoginSession.support_by.is_(None))
    return list(session.scalars(wanted.order_by(LoginSession.id.desc()).limit(MAX_SHOWN)).unique())


def end_of_own(session: Session, *, actor: Actor, number: int | None = None, keep: int | None = None) -> int:
    """End the actor's own session *number*, or all of them but *keep*; how many were ended?

    Raises:
        NotFound: he has no such session.
        Forbidden: as `persons.own`.
    """
    person = persons.own(session, actor)
    if (
        number is not None
        and session.scalar(
            select(LoginSession.id).where(persons.is_his(LoginSession, person), LoginSession.id == number)
        )
        is None
    ):
        raise NotFound("that session is over already")
    ended = end_of_person(session, person, number=number, keep=keep)
    if ended:
        persons.tell(session, actor, "session.ended", person, {"sessions": ended})
    return ended


def end_of_person(
    session: Session, person: persons.Person, *, number: int | None = None, keep: int | None = None
) -> int:
    """End one session of *person*, or all but *keep*. For services: nobody is asked whether it may be."""
    wanted = delete(LoginSession).where(persons.is_his(LoginSession, person))
    if number is not None:
        wanted = wanted.where(LoginSession.id == number)
    if keep is not None:
        wanted = wanted.where(LoginSession.id != keep)
    session.flush()
    return int(session.execute(wanted.execution_options(synchronize_session=False)).rowcount)  # type: ignore[attr-defined]


def go_back(session: Session, token: str) -> LoggedIn | None:
    """End a session of support; the session of his own from which it was begun, under a new token, if it is still good."""
    login = session.scalar(select(LoginSession).where(LoginSession.token_sha256 == _digest(token)))
    if login is None or login.support_by is None:
        return None
    own = session.get(LoginSession, login.back_to_id) if login.back_to_id is not None else None
    session.delete(login)
    if own is None or own.expires_at <= now() or own.support_by is not None:
        return None
    fresh = secrets.token_urlsafe(32)
    own.token_sha256 = _digest(fresh)
    session.flush()
    actor = _actor(session, own, own.source)
    return LoggedIn(own.id, actor, own.csrf, False, fresh, own.expires_at)


def tenant_of(session: Session, name: str) -> int:
    """The tenant of the owner of *name*."""
    person = persons.find(session, name)
    if isinstance(person, Mailbox):
        return _tenant_id(None, person)
    return _tenant_id(person, None)


def actor_of(session: Session, name: str, *, source: str = "") -> Actor:
    """Who signs in as *name*, with the rights of this moment: for what he asked for and has left.

    Raises:
        NotSignedIn: there is no such account or mailbox, or it is suspended.
    """
    scope, key = login_of(name)
    account = session.scalar(select(Account).where(Account.name == key)) if scope == "account" else None
    mailbox = addresses.mailbox_at(session, key) if scope == "mailbox" else None
    return _actor(session, LoginSession(account=account, mailbox=mailbox), source)


def _actor(session: Session, login: LoginSession, source: str) -> Actor:
    account, mailbox = login.account, login.mailbox
    if account is not None:
        name, active = account.name, True
        parts = [appointments.part_of(account)]
    elif mailbox is not None:
        name, active = addresses.key_of(mailbox.address), not (mailbox.log_in_held or mailbox.domain.log_in_held)
        parts = [Part("mailbox", domain_id=mailbox.domain_id, mailbox_id=mailbox.id)]
    else:
        raise NotSignedIn("name or password is wrong", code="bad_login")
    if not active or not authorisation.is_in_force(session, _tenant_id(account, mailbox)):
        raise NotSignedIn("this account is suspended", code="suspended")
    # What he holds where all stands still he holds not now.
    held = (row for row in appointments.of(session, login) if authorisation.is_in_force(session, row.tenant_id))
    actor = acting(name, parts + [appointments.part_of(row) for row in held], source)
    if login.support_by is None:
        return actor
    return replace(actor, actions=authorisation.LOOKING, limited=True, support_by=login.support_by)


def _tenant_id(account: Account | None, mailbox: Mailbox | None) -> int:
    if account is not None:
        return account.tenant_id
    return mailbox.domain.tenant_id if mailbox is not None else 0


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
