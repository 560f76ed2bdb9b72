"""What became of messages, out of the trace store (`mta.traces`), each to whom it concerns.

A reader would otherwise get wrong: whose a message is, is never said by its reverse-path, which is a stranger's word. It concerns
who was logged in when it was sent (all of it), and whose a recipient is (that recipient's part: who else got it is nobody's
business but the sender's).

The store is another process's file and only read here. When it is not there yet, nothing is known.
"""

# ruff: noqa: S608 - statements are put together of our own words alone; all values are parameters

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import DatabaseUnavailable, Invalid, NotFound
from appliance.models import Alias, Domain, Mailbox
from appliance.services import authorisation, trace
from appliance.services.actor import Actor
from appliance.services.paging import Page, check_limit, decode_cursor, encode_cursor
from appliance.services.trace import MAX_STORIES, Entry, Story, Wanted
from mta.traces import FILE, IDENTITY, RECIPIENT, REVERSE_PATH, bare, domain_of
from mta.vocabulary import fold_domain

__all__ = [
    "FILE",
    "Asked",
    "Scope",
    "Seen",
    "Told",
    "get",
    "is_there",
    "list_messages",
    "read_up_to",
    "scope_of",
    "stories",
]

STATES = (
    "accepted", "queued", "refused", "author-refused", "delivered", "relayed", "expanded", "deferred", "failed", "held",
    "parked", "released", "removed", "in-doubt",
)  # fmt: skip
SCANNED = 100_000  # messages looked at for one page where no index leads to those that are asked for
MERGED = 50  # domains whose lists are merged; of more, all messages are looked at
MAX_EVENTS = 10_000
BUSY_SECONDS = 2.0
_OF_CONVERSATION = ("connected", "secured", "handshake-failed")
_FIELDS = "m.id, m.queue_id, m.session, m.at, m.client, m.reverse_path, m.identity, m.size, m.recipients, m.state"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose messages somebody may see: names and addresses as in `party`, each since when it is his (seconds since 1970)."""

    everything: bool = False
    domains: Mapping[str, int] = field(default_factory=dict)
    addresses: Mapping[str, int] = field(default_factory=dict)

    def covers(self, address: str, at: float) -> bool:
        """Was it his at that moment?"""
        if self.everything:
            return True
        since = self.domains.get(domain_of(address), self.addresses.get(address))
        return since is not None and at >= since


EVERYTHING = Scope(everything=True)


@dataclass(frozen=True, slots=True)
class Asked:
    """Which messages; what is None does not matter. *sender* and *recipient*: an address, or `@domain`.

    Raises:
        Invalid: a state that there is not.
    """

    sender: str | None = None
    recipient: str | None = None
    since: float | None = None
    until: float | None = None
    state: str | None = None

    def __post_init__(self) -> None:
        if self.state is not None and self.state not in STATES:
            raise Invalid(f"state is one of {', '.join(STATES)}", field="state")


@dataclass(frozen=True, slots=True)
class Seen:
    """A message as far as somebody may see it."""

    id: str  # the queue id; of a refusal, which has none, r and a number
    queue_id: str | None
    at: float
    client: str
    reverse_path: str
    identity: str | None  # who was logged in
    recipients: list[str]
    size: int
    state: str


@dataclass(frozen=True, slots=True)
class Told(Seen):
    """The same with what happened to it."""

    events: list[Entry]


def scope_of(session: Session, actor: Actor) -> Scope:
    """Whose messages *actor* may see."""
    if actor.actions is not None and "message.see" not in actor.actions:
        return Scope()
    if actor.sees_everything:
        return EVERYTHING
    whole = replace(actor, actions=None)
    names: Any = select(Domain.name, Domain.created_at)
    rows = session.execute(authorisation.restrict(names, whole, Domain)).all()
    domains = {form: since for name, since in rows for form in _forms(name)}
    return Scope(False, domains, _addresses(session, whole))


def _addresses(session: Session, actor: Actor) -> dict[str, int]:
    """What is his by itself: a mailbox's owner's, and what a key is for."""
    found: dict[str, int] = {}
    own = [part.mailbox_id for part in actor.parts if part.kind == "mailbox"]
    single = [key.rpartition("@") for key in actor.addresses or () if "@" in key]
    for model in (Mailbox, Alias):
        columns: Any = select(model.folded, Domain.name, model.created_at).join(Domain, model.domain_id == Domain.id)
        wanted = [columns.where(model.folded == part, Domain.name == name) for part, _, name in single]
        if model is Mailbox and own:
            wanted.append(columns.where(Mailbox.id.in_(own)))
        for query in wanted:
            for folded, name, since in session.execute(authorisation.restrict(query, actor, model)):
                found |= {bare(f"{folded}@{form}"): since for form in _forms(name)}
    return found


def _forms(name: str) -> list[str]:
    """A domain's name as it may stand in an address: as A-labels, and as people write it."""
    if "xn--" not in name:
        return [name]
    return list(dict.fromkeys([name, fold_domain(Domain(name=name).unicode_name)]))


# --- for API and panel


def list_messages(file: Path, scope: Scope, asked: Asked, *, limit: int = 50, cursor: str | None = None) -> Page[Seen]:
    """The newest first. A page may be short, or empty, and yet have a next.

    Raises:
        Invalid: a bad limit or cursor.
        DatabaseUnavailable: the store cannot be read now.
    """
    check_limit(limit)
    below = int(decode_cursor(cursor, int)[0]) if cursor else None
    if not scope.everything and not scope.domains and not scope.addresses:
        return Page([], None)
    with opened(file, scope) as store:
        if store is None:
            return Page([], None)
        rows, floor = _Search(store, scope, asked, limit + 1, below).rows()
        items = [_seen(store, scope, row) for row in rows[:limit]]
    if len(rows) > limit:
        return Page(items, encode_cursor(rows[limit - 1][0]))
    return Page(items, encode_cursor(floor) if floor is not None else None)


def get(file: Path, scope: Scope, identity: str) -> Told:
    """The message whose `id` it is, with what happened to it.

    Raises:
        NotFound: there is none, or it does not concern him.
        DatabaseUnavailable: as above.
    """
    with opened(file, scope) as store:
        row = _row_of(store, identity) if store is not None else None
        if store is None or row is None or not _concerns(store, scope, row):
            raise NotFound(f"there is no message {identity[:40]}")
        seen = _seen(store, scope, row)
        return Told(**asdict(seen), events=_events(store, scope, row))


def _row_of(store: sqlite3.Connection, identity: str) -> Any:  # noqa: ANN401 - a row, or None
    number = identity.removeprefix("r")
    if number != identity and number.isascii() and number.isdigit() and len(number) < 19:
        statement = f"SELECT {_FIELDS} FROM message m WHERE m.id = ? AND m.queue_id IS NULL"
        return store.execute(statement, (int(number),)).fetchone()
    return store.execute(f"SELECT {_FIELDS} FROM message m WHERE m.queue_id = ?", (identity,)).fetchone()


class _Search:
    """One page of message rows."""

    def __init__(self, store: sqlite3.Connection, scope: Scope, asked: Asked, most: int, below: int | None) -> None:
        self._store, self._scope, self._asked, self._most = store, scope, asked, most
        newest = store.execute("SELECT coalesce(max(id), 0) FROM message").fetchone()[0]
        self._below = newest + 1 if below is None else below
        self._conditions, self._values = self._common()

    def rows(self) -> tuple[list[Any], int | None]:
        """The rows, and below which number there may be more though fewer than asked for were found."""
        if self._asked.recipient is not None:
            return self._of_party(RECIPIENT, self._asked.recipient), None
        if self._asked.sender is not None:
            return self._of_party(REVERSE_PATH, self._asked.sender), None
        names = [*self._scope.domains, *self._scope.addresses]
        if not self._scope.everything and len(names) <= MERGED:
            return self._merged(), None
        return self._scanned()

    def _common(self) -> tuple[str, list[object]]:
        conditions, values = ["m.id < ?"], [self._below]
        asked = self._asked
        for bound, comparison in ((asked.since, ">="), (asked.until, "<")):
            if bound is not None:
                conditions.append(f"m.at {comparison} ?")
                values.append(bound)
        if asked.since is not None:
            # Numbers rise with time but for a moment: the index on time says where to stop.
            first = "SELECT id FROM message WHERE at >= ? ORDER BY at LIMIT 1"
            row = self._store.execute(first, (asked.since,)).fetchone()
            conditions.append("m.id >= ?")
            values.append(row[0] - MAX_STORIES if row else self._below)
        if asked.state is not None:
            conditions.append("m.state = ?")
            values.append(asked.state)
        if asked.sender is not None and asked.recipient is not None:
            column, value = _column(asked.sender)
            conditions.append(
                f"EXISTS (SELECT 1 FROM party o WHERE o.message_id = m.id AND o.way = {REVERSE_PATH} AND o.{column} = ?)"
            )
            values.append(value)
        return " AND ".join(conditions), values

    def _of_party(self, way: int, wanted: str) -> list[Any]:
        column, value = _column(wanted)
        mine = "" if self._scope.everything else f" AND {CONCERNS}"
        statement = (
            f"SELECT DISTINCT {_FIELDS} FROM party p JOIN message m ON m.id = p.message_id WHERE p.{column} = ? AND p.way = ?"
            f" AND p.message_id < ? AND {self._conditions}{mine} ORDER BY p.message_id DESC LIMIT ?"
        )
        return self._store.execute(statement, [value, way, self._below, *self._values, self._most]).fetchall()

    def _merged(self) -> list[Any]:
        found: dict[int, Any] = {}
        for column, names in (("domain", self._scope.domains), ("address", self._scope.addresses)):
            statement = (
                f"SELECT DISTINCT {_FIELDS} FROM party p JOIN message m ON m.id = p.message_id WHERE p.{column} = ?"
                f" AND p.way >= {RECIPIENT} AND p.message_id < ? AND m.at >= ? AND {self._conditions}"
                " ORDER BY p.message_id DESC LIMIT ?"
            )
            for name, since in names.items():
                values = [name, self._below, since, *self._values, self._most]
                found |= {row[0]: row for row in self._store.execute(statement, values)}
        return [found[number] for number in sorted(found, reverse=True)[: self._most]]

    def _scanned(self) -> tuple[list[Any], int | None]:
        floor = self._below - SCANNED
        mine = "" if self._scope.everything else f" AND {CONCERNS}"
        statement = (
            f"SELECT {_FIELDS} FROM message m WHERE m.id >= ? AND {self._conditions}{mine} ORDER BY m.id DESC LIMIT ?"
        )
        rows = self._store.execute(statement, [floor, *self._values, self._most]).fetchall()
        oldest = self._store.execute("SELECT coalesce(min(id), 0) FROM message").fetchone()[0]
        return rows, floor if len(rows) < self._most and floor > oldest else None


CONCERNS = (
    f"EXISTS (SELECT 1 FROM party s LEFT JOIN temp.his_domain d ON d.name = s.domain LEFT JOIN temp.his_address a"
    f" ON a.name = s.address WHERE s.message_id = m.id AND s.way >= {RECIPIENT} AND m.at >= coalesce(d.since, a.since))"
)


def _column(wanted: str) -> tuple[str, str]:
    return ("domain", bare(wanted[1:])) if wanted.startswith("@") else ("address", bare(wanted))


def _parties(store: sqlite3.Connection, number: int) -> list[tuple[int, str]]:
    return store.execute(
        "SELECT way, address FROM party WHERE message_id = ? AND way >= ?", (number, RECIPIENT)
    ).fetchall()


def _concerns(store: sqlite3.Connection, scope: Scope, row: Sequence[Any]) -> bool:
    return scope.everything or any(scope.covers(address, row[3]) for _, address in _parties(store, row[0]))


def _seen(store: sqlite3.Connection, scope: Scope, row: Sequence[Any]) -> Seen:
    number, queue_id, _, at, client, reverse_path, identity, size, _, state = row
    parties = _parties(store, number)
    sees_all = _is_sender(scope, parties, at)
    shown = [address for way, address in parties if way == RECIPIENT and (sees_all or scope.covers(address, at))]
    if not sees_all:
        visible = [entry["event"] for entry in _events(store, scope, row)]
        state = next((event for event in reversed(visible) if event in STATES), "accepted")
    return Seen(
        queue_id or f"r{number}", queue_id, at, client, reverse_path, (identity or None) if sees_all else None, shown, size,
        state,
    )  # fmt: skip


def _is_sender(scope: Scope, parties: Sequence[tuple[int, str]], at: float) -> bool:
    return scope.everything or any(way == IDENTITY and scope.covers(address, at) for way, address in parties)


def _events(store: sqlite3.Connection, scope: Scope, row: Sequence[Any]) -> list[Entry]:
    number, queue_id, session, at = row[:4]
    sees_all = _is_sender(scope, _parties(store, number), at)
    rows = store.execute(
        "SELECT at, role, event, words FROM event WHERE message_id = ? ORDER BY at, rowid LIMIT ?", (number, MAX_EVENTS)
    )
    entries = (_entry(queue_id, session, *each) for each in rows)
    return [entry for entry in entries if sees_all or _may_see(scope, entry, at)]


def _may_see(scope: Scope, entry: Entry, at: float) -> bool:
    """Is it about a recipient of his, or about the message as a whole? Of what names others those names are taken out."""
    told = [entry[key] for key in ("original_recipient", "final_recipient") if key in entry]
    if told:
        return any(scope.covers(bare(address), at) for address in told)
    if "forward_path" in entry and not scope.covers(bare(entry["forward_path"]), at):
        if entry["event"] != "accepted":
            return False
        del entry["forward_path"]
    for key in ("recipients", "identity"):
        entry.pop(key, None)
    return entry["event"] not in ("removed", "backscatter", "double-bounce-dropped")


def _entry(queue_id: str | None, session: str, at: float, role: str, event: str, words: str) -> Entry:
    entry: Entry = {"time": at, "role": role, "event": event, **json.loads(words)}
    if queue_id:
        entry["queue_id"] = queue_id
    if session:
        entry["session"] = session
    return entry


# --- for the command line


def is_there(file: Path) -> bool:
    """Is there a store?"""
    return file.exists()


def read_up_to(file: Path) -> int | None:
    """Octets of the journal's newest file, or an older one, that the store holds already; None: nobody knows."""
    with opened(file, EVERYTHING) as store:
        row = store.execute("SELECT octets FROM place").fetchone() if store is not None else None
    return int(row[0]) if row else None


def stories(file: Path, wanted: Wanted) -> list[Story]:
    """As `trace.tell`, out of the store: conversation, message and what was said of its failure as one story.

    Raises:
        DatabaseUnavailable: as above.
    """
    with opened(file, EVERYTHING) as store:
        if store is None:
            return []
        rows = {row[0]: row for row in _wanted(store, wanted)}
        origins = _origins(store, rows)
        found: dict[str, Story] = {}
        for row in rows.values():
            home = origins.get(row[1] or "", row)
            place = home[2] or home[1] or str(home[0])
            story = found.setdefault(place, Story(session=home[2]))
            for entry in _events(store, EVERYTHING, row):
                if entry["event"] not in _OF_CONVERSATION:
                    story.add(entry)
        for story in found.values():
            for entry in _conversation(store, story.session):
                story.add(entry)
    return sorted(found.values(), key=lambda story: min(entry["time"] for entry in story.events))[-MAX_STORIES:]


def _wanted(store: sqlite3.Connection, wanted: Wanted) -> list[Any]:
    if wanted.identity is not None:
        statement = f"SELECT {_FIELDS} FROM message m WHERE m.queue_id = ? OR m.session = ? LIMIT ?"
        rows = store.execute(statement, (wanted.identity, wanted.identity, MAX_STORIES)).fetchall()
    else:
        asked = Asked(wanted.reverse_path, wanted.forward_path, wanted.since or None)
        rows = _Search(store, EVERYTHING, asked, MAX_STORIES, None).rows()[0]
    return rows[::-1]


def _origins(store: sqlite3.Connection, rows: dict[int, Any]) -> dict[str, Any]:
    """Rows of the messages that notifications among *rows* are about, by the notification's id; both are added to *rows*."""
    found: dict[str, Any] = {}
    waiting = list(rows.values())
    while waiting:
        row = waiting.pop()
        statement = f"SELECT {_FIELDS} FROM message m WHERE m.original = ?"
        for about in store.execute(statement, (row[1],)) if row[1] else ():
            found[about[1]] = found.get(row[1], row)
            if about[0] not in rows:
                rows[about[0]] = about
                waiting.append(about)
    return found


def _conversation(store: sqlite3.Connection, session: str) -> list[Entry]:
    if not session:
        return []
    marks = ", ".join("?" * len(_OF_CONVERSATION))
    statement = (
        "SELECT e.at, e.role, e.event, e.words FROM event e JOIN message m ON m.id = e.message_id"
        f" WHERE m.session = ? AND e.event IN ({marks})"
    )
    return [_entry(None, session, *row) for row in store.execute(statement, (session, *_OF_CONVERSATION))]


# --- the file


@contextlib.contextmanager
def opened(file: Path, scope: Scope) -> Iterator[sqlite3.Connection | None]:
    """The store for reading, with the scope's names in tables of our own beside it; None: it was never made."""
    store: sqlite3.Connection | None = None
    try:
        store = _connect(file)
        if store is not None and not scope.everything:
            for table, names in (("his_domain", scope.domains), ("his_address", scope.addresses)):
                store.execute(f"CREATE TEMP TABLE {table} (name TEXT PRIMARY KEY, since REAL) WITHOUT ROWID")
                store.executemany(f"INSERT INTO temp.{table} VALUES (?, ?)", names.items())
        yield store
    except sqlite3.Error as error:
        raise DatabaseUnavailable(f"the trace store cannot be read now: {error}") from error
    finally:
        if store is not None:
            store.close()


def _connect(file: Path) -> sqlite3.Connection | None:
    if not file.exists():
        return None
    # Whoever wrote it and ended took the files beside it along, which we may not make: then nobody is writing.
    mode = "mode=ro" if file.with_name(file.name + "-shm").exists() else "immutable=1"
    store = sqlite3.connect(f"file:{quote(str(file))}?{mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    store.execute("PRAGMA temp_store = MEMORY")
    if store.execute("SELECT 1 FROM sqlite_master WHERE name = 'place'").fetchone() is None:
        store.close()
        return None
    return store


# Their plain words are those of `postern trace`.
words = trace.words
