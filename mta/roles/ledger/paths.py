"""Reverse-paths that did not fit into the return path they went out with, under the token that did.

A reader would otherwise get wrong: a token is made from its path, so the same sender is kept once, however much he sends, and
saying it again only keeps it longer. Without room, what is kept longest goes: a bounce that old has come home or never will.
"""

import sqlite3

KEPT_SECONDS = 35 * 86_400  # longer than a return path is good for, and than its bounce waits here
TOUCH_SECONDS = 86_400  # how exactly that is: a write a day instead of one a message
MAX_PATHS = 500_000  # about 60 MB of file

SCHEMA = """
    CREATE TABLE IF NOT EXISTS path (token BLOB PRIMARY KEY, path BLOB NOT NULL, seen INTEGER NOT NULL) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS path_seen ON path (seen);
"""


class Paths:
    """Kept in the table of SCHEMA in *database*; times are whole seconds since 1970."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        (self._count,) = database.execute("SELECT count(*) FROM path").fetchone()

    def keep(self, token: bytes, path: bytes, now: int) -> None:
        """*token* stands for *path* from now on."""
        row = self._database.execute("SELECT seen FROM path WHERE token = ?", (token,)).fetchone()
        if row is not None:
            if now - row[0] > TOUCH_SECONDS:
                self._database.execute("UPDATE path SET seen = ? WHERE token = ?", (now, token))
            return
        if self._count >= MAX_PATHS and not self.prune(now):
            self._database.execute("DELETE FROM path WHERE token = (SELECT token FROM path ORDER BY seen LIMIT 1)")
            self._count -= 1
        self._database.execute("INSERT INTO path VALUES (?, ?, ?)", (token, path, now))
        self._count += 1

    def path_of(self, token: bytes) -> bytes:
        """What *token* stands for; empty: nothing."""
        row = self._database.execute("SELECT path FROM path WHERE token = ?", (token,)).fetchone()
        return bytes(row[0]) if row else b""

    def prune(self, now: int) -> int:
        """Forget what no bounce can ask for any more; how many were that?"""
        gone = self._database.execute("DELETE FROM path WHERE seen < ?", (now - KEPT_SECONDS,)).rowcount
        self._count -= gone
        return gone
