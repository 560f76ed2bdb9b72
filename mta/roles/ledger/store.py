"""The ledger's own store: one SQLite file, written in batches.

A reader would otherwise get wrong: each call takes effect at once for every later call, but reaches the disk with the next
`commit`. Nothing here is a promise to a sender, so a batch may be lost; a *message* never depends on it.
"""

import base64
import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from mta.record import dataclass
from mta.roles.ledger import answers, grey, habits, paths, sending
from mta.roles.ledger.sending import Limit

RESERVED_SECONDS = 6 * 86_400  # longer than a message is tried: a reservation that old was forgotten by somebody
MAX_SETTLED = 20_000  # deliveries remembered, so that one repeated after a crash is not counted again
SOME_FACTS = 200
MAX_NOTICES = 1000  # brakes that somebody is still to be written to about; of more the log and the panel tell
SOME_NOTICES = 20  # at once
NOTICE_EXPIRES = 86_400  # seconds: who was not written to for a day has read it in the panel

_SCHEMA = """
    CREATE TABLE IF NOT EXISTS usage (mailbox BLOB PRIMARY KEY, stored INTEGER NOT NULL, reserved INTEGER NOT NULL)
        WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS reservation (
        queue_id BLOB NOT NULL, mailbox BLOB NOT NULL, size INTEGER NOT NULL, expires INTEGER NOT NULL,
        PRIMARY KEY (queue_id, mailbox)) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS reservation_expires ON reservation (expires);
    CREATE TABLE IF NOT EXISTS outbox (
        number INTEGER PRIMARY KEY AUTOINCREMENT, kind BLOB NOT NULL, key BLOB NOT NULL, UNIQUE (kind, key));
    CREATE TABLE IF NOT EXISTS rehash (mailbox BLOB PRIMARY KEY, was BLOB NOT NULL, sealed BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS shown (credential BLOB PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS notice (mailbox BLOB PRIMARY KEY, at INTEGER NOT NULL, why BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS dead (target BLOB PRIMARY KEY, at INTEGER NOT NULL, words BLOB NOT NULL) WITHOUT ROWID;
"""
_USAGE, _REHASH, _BRAKED, _DEAD, _SHOWN = b"usage", b"rehash", b"braked", b"dead-target", b"shown"
MAX_DEAD = 20_000  # the same of targets that mail was forwarded to in vain
MAX_REHASHES = 20_000  # that wait for a database which is away; who is not among them logs in again some day
MAX_SHOWN = 20_000  # the same of passwords that were used
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Sender:
    """Who wants to write, and what he may."""

    mailbox: bytes
    limits: tuple[tuple[str, bytes, Limit], ...]  # the level's name, whose it is, how much
    brake: bool
    released: int  # seconds since 1970


class StoreTooNew(Exception):
    """A later version of this program wrote the store."""


class Store:
    """Open on *path*, which is made when missing."""

    def __init__(self, path: Path) -> None:
        """Open and check.

        Raises:
            StoreTooNew: it is left alone; the newer program knows how to read it.
            sqlite3.Error: it is damaged, or there is no room.
        """
        self._database = sqlite3.connect(path, isolation_level=None)
        self._settled: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()
        try:
            self._prepare()
        except BaseException:
            self._database.close()
            raise

    def usage_of(self, mailbox: bytes) -> tuple[int, int]:
        """Octets stored in *mailbox*, and octets on their way to it."""
        row = self._database.execute("SELECT stored, reserved FROM usage WHERE mailbox = ?", (mailbox,)).fetchone()
        return (row[0], row[1]) if row else (0, 0)

    def reserve(self, queue_id: bytes, mailbox: bytes, size: int, now: int) -> None:
        """*size* octets are on their way. Saying it again changes nothing."""
        self._begin()
        made = self._database.execute(
            "INSERT INTO reservation VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (queue_id, mailbox, size, now + RESERVED_SECONDS),
        ).rowcount
        if made:
            self._add(mailbox, 0, size)

    def stored(self, queue_id: bytes, mailbox: bytes, size: int) -> None:
        """They arrived, as *size* octets; with or without a reservation. A repeated delivery counts once."""
        delivery = (queue_id, mailbox)
        if delivery in self._settled:
            return
        self._settled[delivery] = None
        if len(self._settled) > MAX_SETTLED:
            self._settled.popitem(last=False)
        self._begin()
        self._add(mailbox, size, -self._take(queue_id, mailbox))
        self._note(_USAGE, mailbox)

    def release(self, queue_id: bytes, mailbox: bytes) -> None:
        """They will not arrive."""
        self._begin()
        size = self._take(queue_id, mailbox)
        if size:
            self._add(mailbox, 0, -size)

    def wait(self, network: bytes, triplet: bytes, now: int) -> int:
        """How many seconds a greylisted *triplet*, of a client in *network*, has to wait; 0: it passes."""
        self._begin()
        return self._grey.wait(network, triplet, now)

    def keep_path(self, token: bytes, path: bytes, now: int) -> None:
        """*token* stands for the reverse-path *path*."""
        self._begin()
        self._paths.keep(token, path, now)

    def path_of(self, token: bytes) -> bytes:
        """The reverse-path that *token* stands for; empty: none."""
        return self._paths.path_of(token)

    def answer(self, digest: bytes, queue_id: bytes, now: int) -> bool:
        """May a mailbox answer the message *queue_id* by itself, as far as whom it answered before goes? Then it does."""
        self._begin()
        return self._answers.answer(digest, queue_id, now)

    def spend(self, sender: Sender, recipients: int, digest: bytes, now: int) -> tuple[bytes, str]:
        """May *sender* write to so many *recipients* more? Then he has. `yes`, `limit` or `braked`, and which or why.

        Why is told once, to whoever was braked by this; afterwards it is empty.
        """
        self._begin()
        if self._habits.is_braked(sender.mailbox, sender.released, now):
            return b"braked", ""
        if not recipients:
            return b"yes", ""
        for level, who, limit in sender.limits:
            over = self._sent.what_is_over(who, limit, recipients, now)
            if over:
                return b"limit", f"{level} {over}"
        if sender.brake and (why := self._habits.sends(sender.mailbox, digest, sender.released, now)):
            self._brake(sender.mailbox, why, now)
            return b"braked", why
        for _, who, limit in sender.limits:
            if limit.per_hour or limit.per_day:
                self._sent.add(who, recipients, now)
        return b"yes", ""

    def miss(self, mailbox: bytes, now: int) -> str:
        """It wrote to a recipient that does not exist. Why it is braked for that; empty: it is not."""
        self._begin()
        why = self._habits.misses(mailbox, now)
        if why:
            self._brake(mailbox, why, now)
        return why

    def _brake(self, mailbox: bytes, why: str, now: int) -> None:
        self._note(_BRAKED, mailbox)
        (waiting,) = self._database.execute("SELECT count(*) FROM notice").fetchone()
        if waiting < MAX_NOTICES:
            self._database.execute("INSERT OR REPLACE INTO notice VALUES (?, ?, ?)", (mailbox, now, why.encode()))

    def notices(self) -> list[tuple[bytes, int, bytes]]:
        """Of some mailboxes that were braked: which, when and why; those about whom nobody was written to yet."""
        return self._database.execute(
            "SELECT mailbox, at, why FROM notice ORDER BY at LIMIT ?", (SOME_NOTICES,)
        ).fetchall()

    def noticed(self, mailbox: bytes, at: int) -> None:
        """They were written to about what happened to *mailbox* at *at*."""
        self._begin()
        self._database.execute("DELETE FROM notice WHERE mailbox = ? AND at <= ?", (mailbox, at))

    def rehash(self, mailbox: bytes, was: bytes, sealed: bytes) -> None:
        """There is a better hash of its password. Where too many wait already, this one is forgotten."""
        self._begin()
        (waiting,) = self._database.execute("SELECT count(*) FROM rehash").fetchone()
        if waiting < MAX_REHASHES:
            self._database.execute("INSERT OR REPLACE INTO rehash VALUES (?, ?, ?)", (mailbox, was, sealed))
            self._note(_REHASH, mailbox)

    def shown(self, mailbox: bytes, name: bytes, now: int) -> None:
        """Its credential of that *name* was used. Where too many wait already, this is forgotten."""
        self._begin()
        (waiting,) = self._database.execute("SELECT count(*) FROM shown").fetchone()
        if waiting < MAX_SHOWN:
            key = name.hex().encode() + b" " + mailbox
            self._database.execute("INSERT OR REPLACE INTO shown VALUES (?, ?)", (key, now))
            self._note(_SHOWN, key)

    def target_failed(self, target: bytes, words: bytes, now: int) -> None:
        """Mail that was forwarded to *target* failed for good. Where too many wait already, this one is forgotten."""
        self._begin()
        (waiting,) = self._database.execute("SELECT count(*) FROM dead").fetchone()
        if waiting < MAX_DEAD:
            self._database.execute("INSERT OR REPLACE INTO dead VALUES (?, ?, ?)", (target, now, words))
            self._note(_DEAD, target)

    def expire(self, now: int) -> int:
        """Forget reservations whose message nobody can still be trying, and who did not come back; how many of the first?"""
        self._begin()
        for part in (self._grey, self._paths, self._sent, self._habits, self._answers):
            part.prune(now)
        self._database.execute("DELETE FROM notice WHERE at < ?", (now - NOTICE_EXPIRES,))
        old = self._database.execute("SELECT queue_id, mailbox FROM reservation WHERE expires < ?", (now,)).fetchall()
        for queue_id, mailbox in old:
            self.release(queue_id, mailbox)
        return len(old)

    def facts(self, after: int) -> Iterator[tuple[int, bytes, bytes, bytes]]:
        """Number, kind, key, value of what is to be told, above *after*; those up to it are forgotten.

        A fact is the state of its key now, so the newest replaces the older and taking one twice does no harm.
        """
        self._begin()
        if self._database.execute("DELETE FROM outbox WHERE number <= ?", (after,)).rowcount:
            self._database.execute(
                "DELETE FROM rehash WHERE mailbox NOT IN (SELECT key FROM outbox WHERE kind = ?)", (_REHASH,)
            )
            self._database.execute(
                "DELETE FROM dead WHERE target NOT IN (SELECT key FROM outbox WHERE kind = ?)", (_DEAD,)
            )
            self._database.execute(
                "DELETE FROM shown WHERE credential NOT IN (SELECT key FROM outbox WHERE kind = ?)", (_SHOWN,)
            )
        rows = self._database.execute("SELECT number, kind, key FROM outbox ORDER BY number LIMIT ?", (SOME_FACTS,))
        for number, kind, key in rows.fetchall():
            yield number, kind, key, self._value(kind, key)

    def _value(self, kind: bytes, key: bytes) -> bytes:
        if kind == _REHASH:
            row = self._database.execute("SELECT was, sealed FROM rehash WHERE mailbox = ?", (key,)).fetchone()
            return b"%b %b" % (row[0].hex().encode(), base64.b64encode(row[1])) if row else b""
        if kind == _DEAD:
            row = self._database.execute("SELECT at, words FROM dead WHERE target = ?", (key,)).fetchone()
            return b"%d %b" % row if row else b""
        if kind == _SHOWN:
            row = self._database.execute("SELECT at FROM shown WHERE credential = ?", (key,)).fetchone()
            return b"%d" % row if row else b"0"
        if kind == _BRAKED:
            return b"%d %b" % self._habits.brake_of(key)
        return b"%d" % self.usage_of(key)[0]

    def commit(self) -> None:
        """Write what was said since the last time.

        Raises:
            sqlite3.Error: no room; it stays in memory and is written with the next.
        """
        if self._database.in_transaction:
            self._database.execute("COMMIT")

    def close(self) -> None:
        """Write and end."""
        self.commit()
        self._database.close()

    def _prepare(self) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise StoreTooNew(f"the ledger's store has version {version}; this program knows up to {_VERSION}")
        self._database.execute("PRAGMA journal_mode = WAL")
        # NORMAL syncs at checkpoints only: see the module's first lines.
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("PRAGMA temp_store = MEMORY")
        parts = (grey.SCHEMA, paths.SCHEMA, sending.SCHEMA, habits.SCHEMA, answers.SCHEMA)
        self._database.executescript(_SCHEMA + "".join(parts))
        self._grey = grey.Greylist(self._database)
        self._sent, self._habits = sending.Sent(self._database), habits.Habits(self._database)
        self._paths, self._answers = paths.Paths(self._database), answers.Answers(self._database)
        self._database.execute(f"PRAGMA user_version = {_VERSION}")

    def _begin(self) -> None:
        if not self._database.in_transaction:
            self._database.execute("BEGIN IMMEDIATE")

    def _take(self, queue_id: bytes, mailbox: bytes) -> int:
        """Remove the reservation; its octets, 0 when there is none."""
        row = self._database.execute(
            "DELETE FROM reservation WHERE queue_id = ? AND mailbox = ? RETURNING size", (queue_id, mailbox)
        ).fetchone()
        return int(row[0]) if row else 0

    def _add(self, mailbox: bytes, stored: int, reserved: int) -> None:
        self._database.execute(
            "INSERT INTO usage VALUES (?1, max(0, ?2), max(0, ?3)) ON CONFLICT DO UPDATE SET "
            "stored = max(0, stored + ?2), reserved = max(0, reserved + ?3)",
            (mailbox, stored, reserved),
        )

    def _note(self, kind: bytes, mailbox: bytes) -> None:
        self._database.execute("INSERT OR REPLACE INTO outbox (kind, key) VALUES (?, ?)", (kind, mailbox))


def open_store(path: Path) -> tuple[Store, str]:
    """The store at *path*, and what was wrong with the one that was there and is put aside now; empty: nothing.

    Raises:
        StoreTooNew: left alone.
        OSError: it cannot be put aside.
        sqlite3.Error: there is no room for a new one.
    """
    try:
        return Store(path), ""
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError) and "malformed" not in str(error):
            raise
        for suffix in ("", "-wal", "-shm"):
            name = path.with_name(path.name + suffix)
            if name.exists():
                name.replace(path.with_name(path.name + ".damaged" + suffix))
        return Store(path), str(error)
