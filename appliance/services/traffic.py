"""How many messages there were, hour by hour, of those that concern somebody: for the picture on his first page.

A reader would otherwise get wrong: it is counted out of the newest messages of the trace store, of which so many are looked at and
no more. On a host that has more within the time, the earliest hours are told as not known instead of as quiet.
"""
# ruff: noqa: S608 - the statement is put together of our own words alone; all values are parameters

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from appliance.services.messages import STATES, Scope, opened
from mta.traces import RECIPIENT

HOUR_SECONDS = 3600
EXAMINED = 200_000
KINDS: Mapping[str, tuple[str, ...]] = {
    "delivered": ("delivered", "relayed", "expanded", "removed"),
    "waiting": ("accepted", "queued", "deferred", "held", "parked", "released", "in-doubt"),
    "failed": ("failed",),
    "refused": ("refused", "author-refused"),
}
_KIND_OF = {state: kind for kind, states in KINDS.items() for state in states}


@dataclass(frozen=True, slots=True)
class Hour:
    """An hour by its beginning (seconds since 1970), and how many messages of each of KINDS; None: nobody looked so far back."""

    begins: int
    counts: dict[str, int] | None = field(default_factory=dict)


def by_hour(file: Path, scope: Scope, *, hours: int = 24, until: float | None = None) -> list[Hour]:
    """The last *hours*, the present one included, oldest first. Of what went to several, somebody who sees a part is told less.

    Raises:
        DatabaseUnavailable: the store cannot be read now.
    """
    last = int(time.time() if until is None else until) // HOUR_SECONDS
    first = last - hours + 1
    counted: dict[int, dict[str, int]] = {hour: dict.fromkeys(KINDS, 0) for hour in range(first, last + 1)}
    earliest = first
    with opened(file, scope) as store:
        if store is not None and (scope.everything or scope.domains or scope.addresses):
            earliest = _count(store, scope, counted, first)
    return [Hour(hour * HOUR_SECONDS, counted[hour] if hour >= earliest else None) for hour in range(first, last + 1)]


def _count(store: sqlite3.Connection, scope: Scope, counted: dict[int, dict[str, int]], first: int) -> int:
    """Fill *counted*; the first hour that was looked at as a whole."""
    newest = store.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()[0]
    floor = newest - EXAMINED
    row = store.execute("SELECT at FROM message WHERE id > ? ORDER BY id LIMIT 1", (floor,)).fetchone()
    earliest = first if row is None or floor <= 0 else max(first, int(row[0]) // HOUR_SECONDS + 1)
    rows = _of_all(store, counted, earliest) if scope.everything else _of_his(store, floor, first)
    for hour, word, count in rows:
        if hour in counted:
            counted[hour][_KIND_OF.get(word, "waiting")] += count
    return earliest


def _of_all(store: sqlite3.Connection, hours: Iterable[int], earliest: int) -> Iterator[tuple[int, str, int]]:
    """Each hour and state by itself: so an index answers alone, and no message is looked at."""
    statement = "SELECT count(*) FROM message WHERE state = ? AND at >= ? AND at < ?"
    for hour in hours:
        for word in STATES if hour >= earliest else ():
            span = (hour * HOUR_SECONDS, (hour + 1) * HOUR_SECONDS)
            yield hour, word, store.execute(statement, (word, *span)).fetchone()[0]


def _of_his(store: sqlite3.Connection, floor: int, first: int) -> Iterable[tuple[int, str, int]]:
    """From his names to their messages: others' are far more."""
    # What became of a message with several recipients may be about one who does not concern him.
    ways = (
        f"SELECT m.id, CAST(m.at / {HOUR_SECONDS} AS INTEGER) AS hour,"
        " CASE WHEN m.recipients <= 1 THEN m.state ELSE 'delivered' END AS word"
        f" FROM temp.his_{column} h CROSS JOIN party p ON p.{column} = h.name CROSS JOIN message m ON m.id = p.message_id"
        f" WHERE p.message_id > :floor AND p.way >= {RECIPIENT} AND m.at >= :first AND m.at >= h.since"
        for column in ("domain", "address")
    )
    statement = f"SELECT hour, word, count(*) FROM ({' UNION '.join(ways)}) GROUP BY hour, word"
    return store.execute(statement, {"floor": floor, "first": first * HOUR_SECONDS})
