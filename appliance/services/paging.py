"""Lists in pages, by key and not by offset: page 1000 costs what page 1 does, and nothing is shown twice when rows come and go."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute

from appliance.database.session import Session
from appliance.errors import Invalid, NotFound

MAX_PAGE = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and where to go on (None: these were the last)."""

    items: list[T]
    next: str | None


def check_limit(limit: int) -> int:
    """*limit*, when a page may be so long.

    Raises:
        Invalid: it may not.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise Invalid(f"limit is a number from 1 to {MAX_PAGE}", field="limit")
    return limit


def encode_cursor(*key: str | int) -> str:
    """An opaque word for the position after the row with this *key*."""
    return base64.urlsafe_b64encode(json.dumps(key, ensure_ascii=False).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *kinds: type) -> list[str | int]:
    """The key in *cursor*, whose parts are of *kinds*.

    Raises:
        NotFound: it is not one of ours, and leads nowhere.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise NotFound("there is no page behind this cursor", code="bad_cursor", field="cursor") from error
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
        raise NotFound("there is no page behind this cursor", code="bad_cursor", field="cursor")
    return key


def page_of(rows: Sequence[T], limit: int, *names: str) -> Page[T]:
    """The page in *rows*, of which one more than *limit* was asked for; *names* are the attributes that order them."""
    items = list(rows[:limit])
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, encode_cursor(*(getattr(items[-1], name) for name in names)))


def page_along(
    session: Session, wanted: Select[T], column: InstrumentedAttribute[Any], limit: int, cursor: str | None
) -> Page[T]:
    """The page of *wanted* behind *cursor*, in the order of *column*, in which no two rows are alike.

    Raises:
        Invalid: a bad limit or cursor.
    """
    if cursor:
        wanted = wanted.where(column > decode_cursor(cursor, column.type.python_type)[0])
    rows = session.scalars(wanted.order_by(column).limit(check_limit(limit) + 1)).unique().all()
    return page_of(rows, limit, column.key)
