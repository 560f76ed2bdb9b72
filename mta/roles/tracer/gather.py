"""From lines of the journal to rows of the store.

A reader would otherwise get wrong: what several roles tell at one moment the journal notes in any order. So a message comes into
being with the first line about it, whichever that is, and is filled in when the line of its beginning comes.
"""

import json
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol

from mta.events import is_credible
from mta.record import dataclass, field
from mta.traces import IDENTITY, RECIPIENT, REVERSE_PATH, bare, domain_of

MAX_SESSIONS: Final = 10_000  # conversations whose beginning is remembered, for a message that may come
MAX_KNOWN: Final = 50_000  # queue ids whose number is remembered
MAX_VALUE: Final = 1000  # characters of one value
_OF_SESSION: Final = frozenset({"connected", "secured", "handshake-failed"})
_OF_STRANGERS: Final = frozenset({"smtpd", "qmtpd"})
_REFUSALS: Final = frozenset({"refused", "author-refused"})
_BEGINNINGS: Final = frozenset({"accepted", "queued"})
_STATES: Final = frozenset({
    "accepted", "queued", "refused", "author-refused", "delivered", "relayed", "expanded", "deferred", "failed", "held",
    "parked", "released", "removed", "in-doubt",
})  # fmt: skip
_ABOUT: Final = _STATES | {
    "submitted", "client-unanswered", "bounced", "notified", "double-bounce-dropped", "backscatter", "disk-refused",
    "replied", "reply-withheld", "conditions-unjudged",
}  # fmt: skip
_OF_DOMAINS: Final = "trace-days"
ALL_DOMAINS: Final = "*"
_KIND: Final = re.compile(rb'\{"time":[0-9.]+,"role":"[a-z-]+","event":"([a-z-]+)"')
_HEEDED: Final = _ABOUT | _OF_SESSION | {_OF_DOMAINS}
MAX_DAYS: Final = 36_500
_LEFT_OUT: Final = frozenset({"time", "role", "event", "queue_id", "session"})

Entry = dict[str, Any]


@dataclass(slots=True)
class Message:
    """A row of `message`, as far as it is known."""

    id: int
    queue_id: str | None
    session: str
    at: float
    client: str = ""
    reverse_path: str = ""
    identity: str = ""
    size: int = 0
    recipients: int = 0
    original: str | None = None
    state: str = ""

    def row(self) -> tuple[object, ...]:
        """In the order of the table's columns."""
        return (
            self.id, self.queue_id, self.session, self.at, self.client, self.reverse_path, self.identity, self.size,
            self.recipients, self.original, self.state,
        )  # fmt: skip


@dataclass(slots=True)
class Batch:
    """What some lines come to."""

    made: dict[int, Message] = field(default_factory=dict)
    begun: list[Message] = field(default_factory=list)  # known before, and filled in only now
    identities: list[tuple[str, int]] = field(default_factory=list)
    states: dict[int, str] = field(default_factory=dict)  # of messages known before
    events: list[tuple[int, float, str, str, str]] = field(default_factory=list)
    parties: set[tuple[int, int, str, str]] = field(default_factory=set)
    days: list[tuple[str, int]] = field(
        default_factory=list
    )  # of domains; of ALL_DOMAINS: what was told before counts no more


class Numbers(Protocol):
    """What is needed of the store."""

    def find(self, queue_id: str) -> int | None:
        """The number of a message that is in it."""


class Gatherer:
    """Makes batches. *numbers* finds what is in the store; *newest* is the highest number there."""

    def __init__(self, numbers: Numbers, newest: int) -> None:
        self._numbers, self._newest = numbers, newest
        self._known: OrderedDict[str, int] = OrderedDict()
        self._sessions: OrderedDict[str, _Conversation] = OrderedDict()

    def gather(self, lines: Iterable[bytes]) -> Batch:
        """What *lines* come to."""
        batch = Batch()
        for line in lines:
            kind = _KIND.match(line)
            if kind is None or (name := kind[1].decode()) not in _HEEDED:
                continue
            entry = _entry(line)
            if entry is None or not is_credible(entry["role"], name):
                continue
            if name == _OF_DOMAINS:
                batch.days.append((entry.get("domain", "").lower(), min(_count(entry.get("days", "")), MAX_DAYS)))
            else:
                self._take(batch, entry)
        return batch

    def _take(self, batch: Batch, entry: Entry) -> None:
        kind, queue_id, session = entry["event"], entry.get("queue_id", ""), entry.get("session", "")
        if kind in _OF_SESSION:
            if session:
                self._conversation(session).hear(batch, entry)
            return
        if kind in _REFUSALS:
            if entry["role"] in _OF_STRANGERS:
                entry.pop("identity", None)  # Nobody logs in there, and who says so was taken over.
            number = self._make(batch, entry, None, session)
        elif queue_id:
            number = self._number_of(batch, entry, queue_id, session)
        else:
            return
        if kind in _BEGINNINGS:
            self._begin(batch, entry, number)
        batch.events.append(_event(number, entry))
        batch.parties.update(_parties(number, entry))
        if kind == "submitted":
            self._identify(batch, number, entry.get("identity", ""))
        if kind in _STATES:
            self._change_state(batch, number, kind)

    def _number_of(self, batch: Batch, entry: Entry, queue_id: str, session: str) -> int:
        number = self._known.get(queue_id) or self._numbers.find(queue_id)
        if number is None:
            return self._make(batch, entry, queue_id, session)
        self._remember(queue_id, number)
        return number

    def _make(self, batch: Batch, entry: Entry, queue_id: str | None, session: str) -> int:
        self._newest += 1
        made = Message(self._newest, queue_id, session, entry["time"])
        made.client, made.reverse_path = entry.get("client", ""), entry.get("reverse_path", "")
        made.identity = entry.get("identity", "") if entry["event"] in _REFUSALS else ""
        batch.made[made.id] = made
        if queue_id is not None:
            self._remember(queue_id, made.id)
        if session:
            self._conversation(session).lead_to(batch, made.id)
        return made.id

    def _begin(self, batch: Batch, entry: Entry, number: int) -> None:
        """The line that tells of a message's beginning."""
        message = batch.made.get(number)
        if message is None:
            message = Message(number, entry["queue_id"], "", entry["time"])
            batch.begun.append(message)
        if not message.session and entry.get("session"):
            self._conversation(entry["session"]).lead_to(batch, number)
        message.session = entry.get("session", "")
        message.client, message.reverse_path = entry.get("client", ""), entry.get("reverse_path", "")
        message.size, message.recipients = _count(entry.get("size", "")), _count(entry.get("recipients", "1"))
        message.original = entry.get("original_queue_id")

    def _identify(self, batch: Batch, number: int, identity: str) -> None:
        message = batch.made.get(number)
        if message is not None:
            message.identity = identity
        else:
            batch.identities.append((identity, number))

    def _change_state(self, batch: Batch, number: int, state: str) -> None:
        message = batch.made.get(number)
        before = message.state if message is not None else batch.states.get(number, "")
        if state in _BEGINNINGS and (before or message is None):
            return  # Noted late: what became of it is known already.
        if message is not None:
            message.state = state
        else:
            batch.states[number] = state

    def _remember(self, queue_id: str, number: int) -> None:
        self._known[queue_id] = number
        self._known.move_to_end(queue_id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def _conversation(self, session: str) -> "_Conversation":
        found = self._sessions.get(session)
        if found is None:
            found = self._sessions[session] = _Conversation()
            if len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return found


class _Conversation:
    """What was said of one before there was a message, and to which number it led first."""

    __slots__ = ("_before", "_number")

    def __init__(self) -> None:
        self._before: list[Entry] = []
        self._number = 0

    def hear(self, batch: Batch, entry: Entry) -> None:
        if self._number:
            batch.events.append(_event(self._number, entry))
        elif len(self._before) < len(_OF_SESSION):
            self._before.append(entry)

    def lead_to(self, batch: Batch, number: int) -> None:
        if not self._number:
            self._number = number
            batch.events += [_event(number, entry) for entry in self._before]
            self._before.clear()


def _entry(line: bytes) -> Entry | None:
    """The line's pairs, all of them text but the time; None: it was torn."""
    try:
        entry = json.loads(line)
        moment = float(entry.pop("time"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    found: Entry = {key: value[:MAX_VALUE] for key, value in entry.items() if isinstance(value, str)}
    if not {"role", "event"} <= found.keys():
        return None
    found["time"] = moment
    return found


def _event(number: int, entry: Entry) -> tuple[int, float, str, str, str]:
    words = {key: value for key, value in entry.items() if key not in _LEFT_OUT}
    return number, entry["time"], entry["role"], entry["event"], json.dumps(words, separators=(",", ":"))


def _parties(number: int, entry: Entry) -> Iterator[tuple[int, int, str, str]]:
    ways = ((REVERSE_PATH, "reverse_path"), (RECIPIENT, "forward_path"), (RECIPIENT, "original_recipient"),
            (RECIPIENT, "final_recipient"), (IDENTITY, "identity"))  # fmt: skip
    for way, key in ways:
        address = bare(entry.get(key, ""))
        if address:
            yield number, way, address, domain_of(address)


def _count(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
