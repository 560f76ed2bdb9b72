"""The token of the link behind which somebody elsewhere agrees that mail is sent on to him.

A reader would otherwise get wrong: the token is not stored. It is a keyed hash of all that is agreed to, and of when it was asked,
so a link is good for one holder, one target and a while, and for nothing else that this key ever signs.

Neither SQLAlchemy nor the models are wanted here: the compiler makes links, the panel believes them.
"""

import hashlib
import hmac
import re
from typing import NamedTuple

GOOD_SECONDS = 14 * 24 * 3600  # so long after it was asked for
MIN_KEY_DIGITS = 32

_TOKEN = re.compile(r"([0-9]{1,18})-([0-9a-f]{64})\Z")
_PURPOSE = "consent"


class Question(NamedTuple):
    """What is asked, as the database has it."""

    number: int
    kind: str  # of the holder: mailbox, alias
    holder_id: int
    target: str
    asked_at: int  # seconds since 1970


def token(key: str, question: Question) -> str:
    """What stands in the link.

    Raises:
        ValueError: *key* is so short that it can only be a mistake.
    """
    if len(key) < MIN_KEY_DIGITS:
        raise ValueError("the key of consent links is too short")
    # The target comes last: it alone may hold a blank.
    said = f"{_PURPOSE} {question.number} {question.kind} {question.holder_id} {question.asked_at} {question.target}"
    return f"{question.number}-{hmac.new(key.encode(), said.encode(), hashlib.sha256).hexdigest()}"


def number_in(candidate: str) -> int | None:
    """Which question a link names; it proves nothing yet. None: it is no link of ours."""
    match = _TOKEN.match(candidate)
    return int(match[1]) if match else None


def holds(key: str, question: Question, candidate: str, now: int) -> bool:
    """Was *candidate* made for exactly this question, and is it good at *now* (seconds since 1970)?"""
    right = hmac.compare_digest(candidate.encode(), token(key, question).encode())
    return right and now < question.asked_at + GOOD_SECONDS
