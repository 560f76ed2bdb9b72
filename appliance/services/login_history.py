"""When and from where somebody signed in, or somebody tried to in his name.

A reader would otherwise get wrong: right and wrong ones are counted apart. However often a stranger guesses, the owner still sees
when it was not himself who got in.
"""

from typing import Literal

from sqlalchemy import delete, select

from appliance.database.session import Session
from appliance.models import LoginAttempt
from appliance.services.persons import Person, columns_of, is_his

__all__ = ["KEPT", "How", "LoginAttempt", "note", "of"]

KEPT = 30  # of each kind

How = Literal["password", "app", "backup", "passkey", "link"]


def note(session: Session, person: Person, how: str, *, accepted: bool, source: str = "", program: str = "") -> None:
    """Write it down, and forget what is too much of its kind. *how*: what was shown last, one of `How`."""
    row = LoginAttempt(accepted=accepted, how=how, source=source, program=program, **columns_of(person))
    session.add(row)
    session.flush()
    alike = select(LoginAttempt.id).where(is_his(LoginAttempt, person), LoginAttempt.accepted.is_(accepted))
    oldest = session.scalar(alike.order_by(LoginAttempt.id.desc()).offset(KEPT - 1).limit(1))
    if oldest is not None:
        mine = (is_his(LoginAttempt, person), LoginAttempt.accepted.is_(accepted))
        session.execute(delete(LoginAttempt).where(*mine, LoginAttempt.id < oldest))


def of(session: Session, person: Person) -> list[LoginAttempt]:
    """His, the latest first."""
    wanted = select(LoginAttempt).where(is_his(LoginAttempt, person)).order_by(LoginAttempt.id.desc())
    return list(session.scalars(wanted.limit(2 * KEPT)))
