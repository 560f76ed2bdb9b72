"""Keys that somebody's devices keep for him, by which he signs in (WebAuthn Level 2)."""

from sqlalchemy import select

from appliance.database.session import Session
from appliance.models import Passkey
from appliance.services.persons import Person, is_his

__all__ = ["Passkey", "of"]


def of(session: Session, person: Person) -> list[Passkey]:
    """His, the oldest first."""
    return list(session.scalars(select(Passkey).where(is_his(Passkey, person)).order_by(Passkey.id)))
