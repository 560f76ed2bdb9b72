"""How many recipients were written to of late: by a mailbox, by all of its domain, by all of a tenant.

A reader would otherwise get wrong: only what has a limit is counted, so a limit counts from the moment it is set. Two windows
that lie side by side stand for one that slides (as in `mta.windows`), so nobody gets double at the turn of the hour.
"""

import sqlite3

from mta.record import dataclass

HOUR, DAY = 3600, 86_400  # seconds

SCHEMA = """
    CREATE TABLE IF NOT EXISTS sent (
        who BLOB PRIMARY KEY, hour INTEGER NOT NULL, in_hour INTEGER NOT NULL, before_hour INTEGER NOT NULL,
        day INTEGER NOT NULL, in_day INTEGER NOT NULL, before_day INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS sent_day ON sent (day);
"""


@dataclass(frozen=True, slots=True)
class Limit:
    """At most so many recipients; 0: no limit."""

    per_hour: int
    per_day: int


@dataclass(frozen=True, slots=True)
class _Window:
    """Counts of the present hour (or day) and the one before."""

    number: int
    present: int = 0
    before: int = 0

    def at(self, number: int) -> "_Window":
        """The same, seen in the hour *number*. A clock that was put back changes nothing."""
        if number <= self.number:
            return self
        return _Window(number, 0, self.present if number == self.number + 1 else 0)

    def used(self, now: int, seconds: int) -> float:
        return self.present + self.before * (1.0 - min(1.0, max(0.0, now / seconds - self.number)))


class Sent:
    """Kept in the table of SCHEMA in *database*; times are whole seconds since 1970."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def what_is_over(self, who: bytes, limit: Limit, recipients: int, now: int) -> str:
        """Which limit *recipients* more would pass: `hour`, `day`, or neither (empty)."""
        hour, day = self._windows(who, now)
        if limit.per_hour and hour.used(now, HOUR) + recipients > limit.per_hour:
            return "hour"
        if limit.per_day and day.used(now, DAY) + recipients > limit.per_day:
            return "day"
        return ""

    def add(self, who: bytes, recipients: int, now: int) -> None:
        """So many more."""
        hour, day = self._windows(who, now)
        self._database.execute(
            "INSERT OR REPLACE INTO sent VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                who,
                hour.number,
                hour.present + recipients,
                hour.before,
                day.number,
                day.present + recipients,
                day.before,
            ),
        )

    def prune(self, now: int) -> None:
        """Forget who has sent nothing since the day before yesterday."""
        self._database.execute("DELETE FROM sent WHERE day < ?", (now // DAY - 1,))

    def _windows(self, who: bytes, now: int) -> tuple[_Window, _Window]:
        row = self._database.execute(
            "SELECT hour, in_hour, before_hour, day, in_day, before_day FROM sent WHERE who = ?", (who,)
        ).fetchone()
        if row is None:
            return _Window(now // HOUR), _Window(now // DAY)
        return _Window(*row[:3]).at(now // HOUR), _Window(*row[3:]).at(now // DAY)
