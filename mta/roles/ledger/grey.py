"""Who came back: triplets of network, reverse-path and recipient, and networks that have shown that they do.

A reader would otherwise get wrong: nothing here is needed to deliver mail. What is lost makes one sender wait once more, and
where there is no room left everybody passes: a spray of invented senders must not shut the honest ones out.
"""

import sqlite3

FIRST_WAIT = 60  # seconds from the first attempt until one may pass; RFC 5321 4.5.4.1 lets a sender wait 30 minutes
RETRY_WINDOW = 2 * 86_400  # seconds in which it must have come back; RFC 6647 4 asks for a day at least
KEPT_SECONDS = 36 * 86_400  # what passed is believed so long after it was last seen: it outlives a monthly letter
ENOUGH_PASSES = 5  # triplets of one network that passed, after which the network need not wait any more
TOUCH_SECONDS = 86_400  # how exactly "last seen" is known: a write a day instead of one a message
MAX_TRIPLETS = 500_000  # about 50 MB of file

SCHEMA = """
    CREATE TABLE IF NOT EXISTS grey (
        triplet BLOB PRIMARY KEY, first INTEGER NOT NULL, passed INTEGER NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS grey_seen ON grey (passed, seen);
    CREATE TABLE IF NOT EXISTS grey_network (
        network BLOB PRIMARY KEY, passes INTEGER NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
"""


class Greylist:
    """Kept in the tables of SCHEMA in *database*; times are whole seconds since 1970."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        (self._count,) = database.execute("SELECT count(*) FROM grey").fetchone()

    def wait(self, network: bytes, triplet: bytes, now: int) -> int:
        """How many seconds *triplet*, of a client in *network*, has to wait; 0: it passes."""
        if self._is_trusted(network, now):
            return 0
        row = self._database.execute("SELECT first, passed, seen FROM grey WHERE triplet = ?", (triplet,)).fetchone()
        if row is None:
            return self._begin(triplet, now)
        first, passed, seen = row
        if passed:
            return self._see_again(triplet, seen, now)
        if not 0 <= now - first <= RETRY_WINDOW:
            return self._begin_again(triplet, now)
        if now - first < FIRST_WAIT:
            return int(FIRST_WAIT - (now - first))
        self._pass(network, triplet, now)
        return 0

    def prune(self, now: int) -> int:
        """Forget what will not be asked for again; how many triplets were that?"""
        gone = self._database.execute(
            "DELETE FROM grey WHERE (passed = 0 AND seen < ?) OR (passed = 1 AND seen < ?)",
            (now - RETRY_WINDOW, now - KEPT_SECONDS),
        ).rowcount
        self._database.execute("DELETE FROM grey_network WHERE seen < ?", (now - KEPT_SECONDS,))
        self._count -= gone
        return gone

    def _is_trusted(self, network: bytes, now: int) -> bool:
        row = self._database.execute("SELECT passes, seen FROM grey_network WHERE network = ?", (network,)).fetchone()
        if row is None or row[0] < ENOUGH_PASSES or now - row[1] > KEPT_SECONDS:
            return False
        if now - row[1] > TOUCH_SECONDS:
            self._database.execute("UPDATE grey_network SET seen = ? WHERE network = ?", (now, network))
        return True

    def _see_again(self, triplet: bytes, seen: int, now: int) -> int:
        if now - seen > KEPT_SECONDS:
            return self._begin_again(triplet, now)
        if now - seen > TOUCH_SECONDS:
            self._database.execute("UPDATE grey SET seen = ? WHERE triplet = ?", (now, triplet))
        return 0

    def _begin(self, triplet: bytes, now: int) -> int:
        if self._count >= MAX_TRIPLETS and not self.prune(now):
            return 0
        self._database.execute("INSERT INTO grey VALUES (?1, ?2, 0, ?2)", (triplet, now))
        self._count += 1
        return FIRST_WAIT

    def _begin_again(self, triplet: bytes, now: int) -> int:
        self._database.execute("UPDATE grey SET first = ?1, passed = 0, seen = ?1 WHERE triplet = ?2", (now, triplet))
        return FIRST_WAIT

    def _pass(self, network: bytes, triplet: bytes, now: int) -> None:
        self._database.execute("UPDATE grey SET passed = 1, seen = ? WHERE triplet = ?", (now, triplet))
        self._database.execute(
            "INSERT INTO grey_network VALUES (?1, 1, ?2) ON CONFLICT DO UPDATE SET seen = ?2, passes = "
            "CASE WHEN seen < ?2 - ?3 THEN 1 ELSE passes + 1 END",
            (network, now, KEPT_SECONDS),
        )
