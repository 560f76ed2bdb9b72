"""Answers given once and, when the same request comes again, given again instead of doing it twice.

A reader would otherwise get wrong: the answer is kept in the transaction of the deed. A caller that never heard it (the line
broke, the process died) finds either both or neither, so repeating is always safe. Kept for a day.
"""

import hashlib
import json
from typing import Any

from sqlalchemy import delete, select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid
from appliance.models import GivenAnswer
from appliance.models.base import now
from appliance.services.actor import Actor

KEPT_SECONDS = 24 * 3600
LONGEST_KEY = 255


def request_hash(*parts: Any) -> str:  # noqa: ANN401 - plain values, as JSON has them
    """What tells one request from another. Leave passwords out of *parts*: a plain hash of one can be guessed at."""
    return hashlib.blake2b(json.dumps(parts, sort_keys=True).encode(), digest_size=16).hexdigest()


def find(session: Session, key: str, request: str, *, actor: Actor) -> tuple[int, dict[str, Any] | None] | None:
    """Status and body that were answered to the *request* (its hash) under *key*; None when it is a new one.

    Raises:
        Invalid: no key at all, or an absurdly long one.
        Conflict: under this key something else was asked.
    """
    if not 1 <= len(key) <= LONGEST_KEY:
        raise Invalid(f"an Idempotency-Key has 1 to {LONGEST_KEY} characters", field="Idempotency-Key")
    given = session.scalar(select(GivenAnswer).where(GivenAnswer.actor == actor.name, GivenAnswer.key == key))
    if given is None or given.made_at < now() - KEPT_SECONDS:
        return None
    if given.request_hash != request:
        raise Conflict("this Idempotency-Key was used for another request", code="idempotency_key_reused")
    return given.status, given.body


def keep(session: Session, key: str, request: str, status: int, body: dict[str, Any] | None, *, actor: Actor) -> None:
    """Remember what is about to be answered, and forget what is older than a day."""
    session.execute(delete(GivenAnswer).where(GivenAnswer.made_at < now() - KEPT_SECONDS))
    session.add(GivenAnswer(actor=actor.name, key=key, request_hash=request, status=status, body=body))
    session.flush()
