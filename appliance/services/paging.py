"""Lists in pages, by key and not by offset: page 1000 costs what page 1 does, and nothing is shown twice when rows come and go."""

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Select, String, func, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from appliance.database.session import Session
from appliance.errors import Invalid, NotFound

MAX_PAGE = 500
MOST_SORTED = 20_000  # rows up to which a list is sorted anew for each of its pages: some 30 ms
T = TypeVar("T")
Column = InstrumentedAttribute[Any] | ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some rows, and where to go on (None: these were the last).

    sort: in which order they are, for whoever asked. sorts: the orders that there are, each as it is offered first.
    is_part: only the first so many of all were put into this order.
    """

    items: list[T]
    next: str | None
    sort: str = ""
    sorts: tuple[str, ...] = ()
    is_part: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """The orders that a list can be had in. Each has a word: a column's name, behind a `-` when the largest or newest come first.

    default: the word of the one that nobody has to ask for; no two rows are alike in its column.
    along: columns with an index, in whose order a page costs the same however much there is. few: others, for which all rows are
    sorted; these are only offered of MOST_SORTED rows. Both by the word that is offered first.
    """

    key: InstrumentedAttribute[int]
    default: str
    along: Mapping[str, Column]
    few: Mapping[str, Column] = field(default_factory=dict)

    def offered(self, session: Session, wanted: Select[Any]) -> tuple[str, ...]:
        """The words for what *wanted* can be had in."""
        if self.few and is_few(session, wanted, self.key):
            return (*self.along, *self.few)
        return tuple(self.along)

    def chosen(self, sort: str | None, offered: Sequence[str]) -> str:
        """*sort*, or the default when nobody asks for one of those that are *offered*."""
        return sort if sort and name_of(sort) in map(name_of, offered) else self.default

    def column(self, word: str) -> Column:
        """What *word* sorts by."""
        return next(
            column for each, column in (*self.along.items(), *self.few.items()) if name_of(each) == name_of(word)
        )


def as_read(column: InstrumentedAttribute[str]) -> ColumnElement[str]:
    """Names as people sort them: a capital is no other letter."""
    return func.lower(column, type_=String())


def name_of(word: str) -> str:
    """The column's name, of either of its two orders."""
    return word.removeprefix("-")


def is_few(session: Session, wanted: Select[Any], key: InstrumentedAttribute[int]) -> bool:
    """Are these few enough to be sorted while somebody waits?"""
    some = wanted.with_only_columns(key).order_by(None).limit(MOST_SORTED + 1).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) <= MOST_SORTED


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
        raise bad_cursor() from error
    if not isinstance(key, list) or [type(part) for part in key] != list(kinds):
        raise bad_cursor()
    return key


def bad_cursor() -> NotFound:
    """It is not one of ours, or of another list or order."""
    return NotFound("there is no page behind this cursor", code="bad_cursor", field="cursor")


def page_of(rows: Sequence[T], limit: int, *names: str) -> Page[T]:
    """The page in *rows*, of which one more than *limit* was asked for; *names* are the attributes that order them."""
    items = list(rows[:limit])
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, encode_cursor(*(getattr(items[-1], name) for name in names)))


def page_along(
    session: Session, wanted: Select[T], column: InstrumentedAttribute[Any], limit: int, cursor: str | None,
    *, falling: bool = False,
) -> Page[T]:  # fmt: skip
    """The page of *wanted* behind *cursor*, in the order of *column*, in which no two rows are alike.

    Raises:
        Invalid: a bad limit or cursor.
    """
    if cursor:
        last = decode_cursor(cursor, column.type.python_type)[0]
        wanted = wanted.where(column < last if falling else column > last)
    ordered = wanted.order_by(column.desc() if falling else column).limit(check_limit(limit) + 1)
    return page_of(session.scalars(ordered).unique().all(), limit, column.key)


def page_in_order(
    session: Session, wanted: Select[T], orders: Orders, sort: str | None, limit: int, cursor: str | None
) -> Page[T]:
    """The page of *wanted* behind *cursor*, in the order *sort*; in the default one when it is None or not offered.

    Whoever asks for none (None) is told of none.

    Raises:
        Invalid: a bad limit or cursor; the latter also from a page in another order.
    """
    offered = () if sort is None else orders.offered(session, wanted)
    word = orders.chosen(sort, offered)
    column = orders.column(word)
    if word == orders.default and isinstance(column, InstrumentedAttribute):
        page = page_along(session, wanted, column, limit, cursor, falling=word.startswith("-"))
    else:
        page = page_behind(session, wanted, orders, word, limit, cursor)
    return replace(page, sort=word, sorts=offered)


def page_behind(
    session: Session, wanted: Select[T], orders: Orders, word: str, limit: int, cursor: str | None
) -> Page[T]:
    """The same in an order in which rows may be alike: among these the key decides.

    Raises:
        Invalid: as above.
    """
    column, key, falling = orders.column(word), orders.key, word.startswith("-")
    if cursor:
        told, value, number = decode_cursor(cursor, str, column.type.python_type, int)
        if told != word:
            raise bad_cursor()
        place, last = tuple_(column, key), tuple_(value, number)
        wanted = wanted.where(place < last if falling else place > last)
    ways = [each.desc() if falling else each.asc() for each in (column, key)]
    ordered = wanted.add_columns(column).order_by(*ways).limit(check_limit(limit) + 1)
    rows = session.execute(ordered).unique().all()
    items = [row[0] for row in rows[:limit]]
    if len(rows) <= limit:
        return Page(items, None)
    return Page(items, encode_cursor(word, rows[limit - 1][1], getattr(items[-1], key.key)))
