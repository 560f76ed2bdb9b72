"""What lies between the first thing somebody shows and the session that begins: kept here, never in what the browser holds.

A reader would otherwise get wrong: a step belongs to one browser, by a token that only its cookie has, and to one purpose. What was
begun in one way is never finished in another.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import delete, func, select

from appliance.database.session import Session
from appliance.errors import NotSignedIn
from appliance.models import Account, LoginStep, Mailbox
from appliance.models.base import now
from appliance.services.persons import Person, columns_of

__all__ = ["MAX_WRONG", "Purpose", "Step", "begin", "end", "find", "missed"]

Purpose = Literal[
    "second",  # the password, or a link, was right
    "passkey",  # somebody wants to sign in by a passkey
    "new-passkey",  # somebody who is signed in wants another passkey
]
SECONDS = 600
MAX_WRONG = 5  # codes; then the password is asked for again
MAX_OPEN = 2000  # of all people; more at once is an attack, and the oldest makes room


@dataclass(frozen=True, slots=True)
class Step:
    """One that is open."""

    id: int
    person: Person | None
    how: str
    back: str
    challenge: str


def begin(
    session: Session,
    purpose: Purpose,
    *,
    person: Person | None = None,
    how: str = "",
    back: str = "",
    challenge: str = "",
    token: str = "",
) -> str:
    """Open one for the browser whose cookie is *token*; without, for a new one. Answers the token."""
    session.execute(delete(LoginStep).where(LoginStep.expires_at <= now()))
    open_ones = session.scalar(select(func.count()).select_from(LoginStep)) or 0
    if open_ones >= MAX_OPEN:
        oldest = select(LoginStep.id).order_by(LoginStep.id).limit(open_ones - MAX_OPEN + 1)
        session.execute(delete(LoginStep).where(LoginStep.id.in_(oldest)))
    token = token or secrets.token_urlsafe(32)
    mine = (LoginStep.token_sha256 == _digest(token), LoginStep.purpose == purpose)
    session.execute(delete(LoginStep).where(*mine))
    whose = columns_of(person) if person is not None else {}
    session.add(
        LoginStep(
            token_sha256=_digest(token), purpose=purpose, how=how, back=back, challenge=challenge,
            expires_at=now() + SECONDS, **whose,
        )
    )  # fmt: skip
    session.flush()
    return token


def find(session: Session, token: str, purpose: Purpose) -> Step:
    """The one that this browser has open.

    Raises:
        NotSignedIn: it has none, or took too long.
    """
    row = _row(session, token, purpose)
    person: Person | None = None
    if row.account_id is not None:
        person = session.get(Account, row.account_id)
    elif row.mailbox_id is not None:
        person = session.get(Mailbox, row.mailbox_id)
    return Step(row.id, person, row.how, row.back, row.challenge)


def missed(session: Session, token: str, purpose: Purpose) -> None:
    """What was shown for it was wrong; too often, and it is over."""
    row = _row(session, token, purpose)
    row.wrong += 1
    if row.wrong >= MAX_WRONG:
        session.delete(row)
    session.flush()


def end(session: Session, token: str, purpose: Purpose) -> Step:
    """Use it up. Of two who try at once one does.

    Raises:
        NotSignedIn: as `find`.
    """
    step = find(session, token, purpose)
    row = session.get_one(LoginStep, step.id)
    session.delete(row)
    session.flush()
    return step


def _row(session: Session, token: str, purpose: Purpose) -> LoginStep:
    wanted = select(LoginStep).where(LoginStep.token_sha256 == _digest(token), LoginStep.purpose == purpose)
    row = session.scalars(wanted.order_by(LoginStep.id.desc())).first()
    if row is None or row.expires_at <= now():
        raise NotSignedIn("That took too long. Please sign in again.", code="step_over")
    return row


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
