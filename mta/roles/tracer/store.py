"""The trace store, as its writer sees it: batches in, the old out.

A reader would otherwise get wrong: a batch and the place up to where it was read are one transaction. So a line is taken once,
whenever the process ends.
"""

import sqlite3
from pathlib import Path
from typing import Final

from mta.roles.tracer.gather import ALL_DOMAINS, Batch
from mta.roles.tracer.tail import Place
from mta.traces import SCHEMA, VERSION

PURGE_AT_ONCE: Final = 500  # messages: some ten milliseconds
DOMAINS_AT_ONCE: Final = 50  # each two looks into an index
_COLUMNS: Final = 11  # of `message`


class StoreTooNew(sqlite3.OperationalError):
    """A later version of this program wrote the store. To us it is as one that cannot be written now."""


class Store:
    """Open on *path*, which is made when missing."""

    def __init__(self, path: Path) -> None:
        """Open and prepare.

        Raises:
            StoreTooNew: it is left alone.
            sqlite3.Error: it is damaged, or there is no room.
        """
        self._database = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA journal_mode = WAL")
        # NORMAL: a power cut may take the newest batches back, and with them the place; they are read again.
        run("PRAGMA synchronous = NORMAL")
        run("PRAGMA cache_size = -16000")
        (version,) = run("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StoreTooNew(f"the trace store has version {version}, this program knows up to {VERSION}")
        self._database.executescript(SCHEMA)
        run(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Give the file back."""
        self._database.close()

    @property
    def newest(self) -> int:
        """The highest number of a message."""
        return int(self._database.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()[0])

    @property
    def place(self) -> Place:
        """Up to where the journal was read."""
        row = self._database.execute("SELECT beginning, octets FROM place").fetchone()
        return Place(*row) if row else Place()

    def find(self, queue_id: str) -> int | None:
        """The number of the message with this id."""
        row = self._database.execute("SELECT id FROM message WHERE queue_id = ?", (queue_id,)).fetchone()
        return int(row[0]) if row else None

    def take(self, batch: Batch, place: Place) -> None:
        """Keep *batch*, which was read up to *place*.

        Raises:
            sqlite3.Error: no; nothing of it is kept.
        """
        many = self._database.executemany
        with self._transaction():
            marks = ", ".join("?" * _COLUMNS)
            many(f"INSERT INTO message VALUES ({marks})", [message.row() for message in batch.made.values()])  # noqa: S608
            columns = ("session", "client", "reverse_path", "size", "recipients", "original")
            statement = f"UPDATE message SET {' = ?, '.join(columns)} = ? WHERE id = ?"  # noqa: S608 - our own words
            many(
                statement,
                [(m.session, m.client, m.reverse_path, m.size, m.recipients, m.original, m.id) for m in batch.begun],
            )
            many("UPDATE message SET identity = ? WHERE id = ?", batch.identities)
            many("UPDATE message SET state = ? WHERE id = ?", [(state, id_) for id_, state in batch.states.items()])
            many("INSERT INTO event VALUES (?, ?, ?, ?, ?)", batch.events)
            many("INSERT OR IGNORE INTO party VALUES (?, ?, ?, ?)", batch.parties)
            for name, days in batch.days:
                if name == ALL_DOMAINS:
                    self._database.execute("DELETE FROM domain")
                else:
                    self._database.execute("INSERT OR REPLACE INTO domain VALUES (?, ?)", (name, days))
            self._database.execute("DELETE FROM place")
            self._database.execute("INSERT INTO place VALUES (?, ?)", (place.beginning, place.octets))

    def forget_before(self, moment: float) -> int:
        """Remove messages that came before *moment*, a bounded number; how many there were.

        Raises:
            sqlite3.Error: no.
        """
        rows = self._database.execute(
            "SELECT id FROM message WHERE at < ? ORDER BY at LIMIT ?", (moment, PURGE_AT_ONCE)
        ).fetchall()
        return self._remove(rows)

    def domains_after(self, name: str) -> list[tuple[str, int]]:
        """The next domains behind *name* whose tenants say for how many days, and how many; a bounded number of them."""
        statement = "SELECT name, days FROM domain WHERE name > ? AND days > 0 ORDER BY name LIMIT ?"
        return self._database.execute(statement, (name, DOMAINS_AT_ONCE)).fetchall()

    def forget_of(self, domain: str, moment: float) -> int:
        """Let *domain* find no message from before *moment* any more, of a bounded number; how many there were.

        One that no other domain of ours may find is removed.

        Raises:
            sqlite3.Error: no.
        """
        newest = "SELECT id FROM message WHERE at < ? ORDER BY at DESC LIMIT 1"
        one = self._database.execute(newest, (moment,)).fetchone()
        if one is None:
            return 0
        # Numbers rise with time but for a moment, so none of these is much younger.
        statement = "SELECT DISTINCT message_id FROM party WHERE domain = ? AND message_id <= ? LIMIT ?"
        rows: list[tuple[int]] = self._database.execute(statement, (domain, one[0], PURGE_AT_ONCE)).fetchall()
        if not rows:
            return 0
        with self._transaction():
            gone = [(number, domain) for (number,) in rows]
            self._database.executemany("DELETE FROM party WHERE message_id = ? AND domain = ?", gone)
            found = "SELECT 1 FROM party p JOIN domain d ON d.name = p.domain WHERE p.message_id = ?"
            self._delete([row for row in rows if self._database.execute(found, row).fetchone() is None])
        return len(rows)

    def forget_oldest(self, most_octets: int) -> int:
        """Remove the oldest messages, a bounded number, when more than *most_octets* are in use; how many.

        Raises:
            sqlite3.Error: no.
        """
        if self.octets <= most_octets:
            return 0
        return self._remove(
            self._database.execute("SELECT id FROM message ORDER BY id LIMIT ?", (PURGE_AT_ONCE,)).fetchall()
        )

    @property
    def octets(self) -> int:
        """How many are in use; the file may be longer, what is free in it is used again."""
        pages, free, size = (
            int(self._database.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_count", "freelist_count", "page_size")
        )
        return (pages - free) * size

    def _remove(self, rows: list[tuple[int]]) -> int:
        with self._transaction():
            self._delete(rows)
        return len(rows)

    def _delete(self, rows: list[tuple[int]]) -> None:
        self._database.executemany("DELETE FROM event WHERE message_id = ?", rows)
        self._database.executemany("DELETE FROM party WHERE message_id = ?", rows)
        self._database.executemany("DELETE FROM message WHERE id = ?", rows)

    def _transaction(self) -> sqlite3.Connection:
        """Begun here, and ended by leaving the block."""
        self._database.execute("BEGIN IMMEDIATE")
        return self._database
