"""The hijack brake: does a mailbox send as it always did?

The rule. In one hour a mailbox may write to OF_ANYBODY different recipients, or to TIMES_USUAL times as many as in its busiest
hour on days before today (half as many for each fortnight since). One more, and it is braked. So it is with more than
MISSES recipients in an hour that do not exist, and more than half as many as it usually writes to.

A reader would otherwise get wrong: what is sent today does not make more of it usual before tomorrow, so a thief cannot teach
the brake in an afternoon. Whoever lets the mailbox go says with it that what it does is right: for a day it is not braked again,
and what it sends on that day is usual from then on.

Different recipients are counted by bits of their digests: a fixed 256 octets a mailbox, and nobody's address is kept.
"""

import math
import sqlite3

from mta.record import dataclass

OF_ANYBODY = 200
TIMES_USUAL = 5
MISSES = 30
HALF_LIFE_DAYS = 14.0
KEPT_DAYS = 90  # after these a habit is forgotten
BITS = 2048  # tells up to about 15,000 apart (linear counting), within some hundredths
HOUR, DAY = 3600, 86_400  # seconds

SCHEMA = """
    CREATE TABLE IF NOT EXISTS habit (
        mailbox BLOB PRIMARY KEY, hour INTEGER NOT NULL, sketch BLOB NOT NULL, misses INTEGER NOT NULL,
        day INTEGER NOT NULL, busiest INTEGER NOT NULL, usual INTEGER NOT NULL,
        braked INTEGER NOT NULL, why BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS habit_day ON habit (day);
"""
_EMPTY = bytes(BITS // 8)
_COLUMNS = "hour, sketch, misses, day, busiest, usual, braked, why"


@dataclass(slots=True)
class _Habit:
    hour: int
    sketch: bytes = _EMPTY
    misses: int = 0
    day: int = 0
    busiest: int = 0  # hour of today
    usual: int = 0  # the busiest hour of the days before
    braked: int = 0  # since when; 0: it is not
    why: bytes = b""

    def turn(self, now: int) -> None:
        """The hour, and the day, may be another."""
        if now // HOUR > self.hour:
            self.busiest = max(self.busiest, _different(self.sketch))
            self.hour, self.sketch, self.misses = now // HOUR, _EMPTY, 0
        if now // DAY > self.day:
            days = now // DAY - self.day
            self.usual = round(max(self.usual, self.busiest) * 0.5 ** (days / HALF_LIFE_DAYS))
            self.day, self.busiest = now // DAY, 0


class Habits:
    """Kept in the table of SCHEMA in *database*; times are whole seconds since 1970."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def is_braked(self, mailbox: bytes, released: int, now: int) -> bool:
        """Is *mailbox* braked, and was not *released* since?"""
        habit = self._find(mailbox, now)
        if not habit.braked:
            return False
        if released < habit.braked:
            return True
        habit.usual = max(habit.usual, _different(habit.sketch))
        habit.braked, habit.why, habit.sketch, habit.misses = 0, b"", _EMPTY, 0
        self._keep(mailbox, habit)
        return False

    def sends(self, mailbox: bytes, digest: bytes, released: int, now: int) -> str:
        """It writes to the recipient of *digest*. Why it is braked for that; empty: it is not."""
        habit = self._find(mailbox, now)
        habit.sketch = _with(habit.sketch, digest)
        different, allowed = _different(habit.sketch), max(OF_ANYBODY, TIMES_USUAL * habit.usual)
        why = ""
        if different > allowed and now - released > DAY:
            why = f"{different} different recipients in an hour, where at most {allowed} are usual"
        return self._conclude(mailbox, habit, why, now)

    def misses(self, mailbox: bytes, now: int) -> str:
        """It wrote to a recipient that does not exist. As `sends`."""
        habit = self._find(mailbox, now)
        habit.misses += 1
        why = ""
        if not habit.braked and habit.misses > max(MISSES, habit.usual // 2):
            why = f"{habit.misses} recipients in an hour that do not exist"
        return self._conclude(mailbox, habit, why, now)

    def brake_of(self, mailbox: bytes) -> tuple[int, bytes]:
        """Since when *mailbox* is braked (0: it is not), and why."""
        row = self._database.execute("SELECT braked, why FROM habit WHERE mailbox = ?", (mailbox,)).fetchone()
        return (row[0], row[1]) if row else (0, b"")

    def prune(self, now: int) -> None:
        """Forget the habits of those who send no more."""
        self._database.execute("DELETE FROM habit WHERE day < ? AND braked = 0", (now // DAY - KEPT_DAYS,))

    def _conclude(self, mailbox: bytes, habit: _Habit, why: str, now: int) -> str:
        if why:
            habit.braked, habit.why = now, why.encode()
        self._keep(mailbox, habit)
        return why

    def _find(self, mailbox: bytes, now: int) -> _Habit:
        row = self._database.execute(f"SELECT {_COLUMNS} FROM habit WHERE mailbox = ?", (mailbox,)).fetchone()  # noqa: S608 - our own words
        if row is None:
            return _Habit(now // HOUR, day=now // DAY)
        habit = _Habit(*row)
        habit.turn(now)
        return habit

    def _keep(self, mailbox: bytes, habit: _Habit) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO habit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                mailbox,
                habit.hour,
                habit.sketch,
                habit.misses,
                habit.day,
                habit.busiest,
                habit.usual,
                habit.braked,
                habit.why,
            ),
        )


def _with(sketch: bytes, digest: bytes) -> bytes:
    bit = int.from_bytes(digest[:4], "big") % BITS
    octets = bytearray(sketch)
    octets[bit // 8] |= 1 << bit % 8
    return bytes(octets)


def _different(sketch: bytes) -> int:
    """About how many different digests set the bits of *sketch*."""
    empty = BITS - int.from_bytes(sketch, "big").bit_count()
    return round(-BITS * math.log(max(empty, 1) / BITS))
