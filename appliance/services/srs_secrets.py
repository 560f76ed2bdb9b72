"""The secrets that rewritten and signed return paths are made with.

A reader would otherwise get wrong: a secret that is no longer used must still be believed for as long as a bounce may take to
come home, so rotating adds one and removes only those that made nothing for longer than that.
"""

import secrets

from sqlalchemy import select

from appliance.database.session import Session
from appliance.models import SrsSecret
from appliance.models.base import now
from appliance.services import audit, authorisation, changes, tenants
from appliance.services.actor import Actor

__all__ = ["KEPT_SECONDS", "MAX_KEPT", "SrsSecret", "new", "rotate"]

SECRET_OCTETS = 32
KEPT_SECONDS = 35 * 24 * 3600  # longer than any return path is good for
MAX_KEPT = 8  # a wrong return path costs the directory a digest with each


def new() -> SrsSecret:
    """A fresh one."""
    return SrsSecret(secret=secrets.token_hex(SECRET_OCTETS))


def rotate(session: Session, *, actor: Actor, now_seconds: int | None = None) -> int:
    """Make return paths with a fresh secret from now on; how many are still believed, this one included.

    Raises:
        NotFound: the actor is no operator.
    """
    authorisation.require_operator(actor, "secret of return paths")
    present = now() if now_seconds is None else now_seconds
    kept = list(session.scalars(select(SrsSecret).order_by(SrsSecret.id.desc())))
    # A secret made return paths until the next one was made: that one's age, and not its own, says when it may go.
    for index, old in enumerate(kept):
        retired_at = kept[index - 1].made_at if index else present
        if index + 1 >= MAX_KEPT or present - retired_at > KEPT_SECONDS:
            session.delete(old)
    fresh = new()
    fresh.made_at = present
    session.add(fresh)
    session.flush()
    left = len(list(session.scalars(select(SrsSecret.id))))
    root = tenants.operator(session)
    audit.record(session, actor, "secret.rotated", "return paths", tenant_id=root.id, after={"believed": left})
    # The secrets stand in the host's record, which the compiler compares whenever anything wakes it.
    changes.announce(session, changes.TENANT, str(root.id))
    return left
