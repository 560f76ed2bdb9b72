"""Somebody of support sees what a user sees: for a quarter of an hour, without changing anything, and the user is told.

A reader would otherwise get wrong: such a session is the user's with less than his rights, not the supporter's with more. It
looks and changes nothing - not even the password that its owner might change - and each entry that it could ever cause in the
audit log bears both names.
"""

from dataclasses import dataclass

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import Forbidden
from appliance.models import Account, AuditEntry, Mailbox
from appliance.models.base import now
from appliance.services import audit, authorisation, mailboxes, sessions
from appliance.services.actor import RANKS, Actor

__all__ = ["SECONDS", "Visit", "enter", "require", "visits"]

SECONDS = 15 * 60
SHOWN_SECONDS = 30 * 24 * 3600  # for so long its owner sees who looked
MAX_SHOWN = 20
DEED = "session.supported"


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody of support looked at what a user sees."""

    by: str
    at: int  # seconds since 1970


def require(session: Session, name: str, *, actor: Actor) -> Mailbox | Account:
    """Whose name it is, an account's or a mailbox's address, when the actor may look at what he sees.

    Raises:
        Invalid: no name.
        NotFound, Forbidden: he is not in the actor's part, or ranks above him; or the actor is no support.
    """
    scope, key = sessions.login_of(name)
    if scope == "mailbox":
        return mailboxes.find(session, actor, "support.enter", key)
    found = session.scalar(select(Account).where(Account.name == key))
    account: Account = authorisation.require(session, actor, "support.enter", found, f"account {key}")
    if RANKS[account.kind] > actor.rank:
        raise Forbidden(f"{key} ranks above you")
    return account


def enter(session: Session, name: str, *, actor: Actor, back_to: int | None = None) -> sessions.LoggedIn:
    """Let the actor see what the owner of *name* sees; he goes back to his own session *back_to*.

    Raises:
        Invalid, NotFound, Forbidden: as `require`.
        NotSignedIn: whose name it is is suspended.
    """
    if actor.support_by:
        raise Forbidden("you are looking for support already")
    require(session, name, actor=actor)
    return begin(session, name, by=actor.name, source=actor.source, actor=actor, back_to=back_to)


def begin(
    session: Session, name: str, *, by: str, source: str, actor: Actor | None = None, back_to: int | None = None
) -> sessions.LoggedIn:
    """The session itself, for somebody who was found to be allowed one, by himself or by a link that was made for him."""
    login = sessions.create(session, name, source=source, seconds=SECONDS, support_by=by, back_to=back_to)
    _, key = sessions.login_of(name)
    seen = login.actor
    domain_id = seen.domain_id if seen.kind == "mailbox" else None
    audit.record(
        session, actor or Actor("support", by, source=source), DEED, key,
        tenant_id=sessions.tenant_of(session, name), domain_id=domain_id, after={"seconds": SECONDS},
    )  # fmt: skip
    return login


def visits(session: Session, actor: Actor) -> list[Visit]:
    """Who of support looked at what the owner sees, the latest first; for the owner himself."""
    key = actor.name
    wanted = select(AuditEntry).where(
        AuditEntry.subject == key, AuditEntry.action == DEED, AuditEntry.at > now() - SHOWN_SECONDS
    )
    rows = session.scalars(wanted.order_by(AuditEntry.id.desc()).limit(MAX_SHOWN))
    return [Visit(row.actor, row.at) for row in rows]
