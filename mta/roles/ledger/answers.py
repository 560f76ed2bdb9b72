"""Whom a mailbox has answered by itself of late, as digests of mailbox and sender.

A reader would otherwise get wrong: where there is no room, nobody more is answered. What is forgotten too early would be said
twice, and whoever can fill this memory could have it forgotten.
"""

import sqlite3

KEPT_SECONDS = 7 * 86_400  # RFC 5230 4.2: by default once in seven days
MAX_ANSWERS = 500_000  # about 40 MB of file

SCHEMA = """
    CREATE TABLE IF NOT EXISTS answered (digest BLOB PRIMARY KEY, at INTEGER NOT NULL, queue_id BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS answered_at ON answered (at);
"""


class Answers:
    """Kept in the table of SCHEMA in *database*; times are whole seconds since 1970."""

    def __init__(self, database: sqlite3.Connection, most: int = MAX_ANSWERS) -> None:
        self._database, self._most = database, most
        (self._count,) = database.execute("SELECT count(*) FROM answered").fetchone()

    def answer(self, digest: bytes, queue_id: bytes, now: int) -> bool:
        """Answer the message *queue_id*, unless another of the same sender was answered within the week. May it be?"""
        row = self._database.execute("SELECT at, queue_id FROM answered WHERE digest = ?", (digest,)).fetchone()
        if row is not None and bytes(row[1]) == queue_id:
            return True
        # A clock that was put back answers nobody twice: what lies ahead is younger than a week, too.
        if row is not None and now - row[0] < KEPT_SECONDS:
            return False
        if row is None and self._count >= self._most and not self.prune(now):
            return False
        self._database.execute("INSERT OR REPLACE INTO answered VALUES (?, ?, ?)", (digest, now, queue_id))
        self._count += row is None
        return True

    def prune(self, now: int) -> int:
        """Forget who may be answered again; how many were that?"""
        gone = self._database.execute("DELETE FROM answered WHERE at <= ?", (now - KEPT_SECONDS,)).rowcount
        self._count -= gone
        return gone
