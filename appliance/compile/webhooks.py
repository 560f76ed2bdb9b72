"""Tells tenants' web servers of events: which event is next, signed, by way of the role fetcher, until it was heard.

A reader would otherwise get wrong: the place of a webhook in the feed moves when its server answered, and not before. So an event
is told at least once and in order, whoever was restarted meanwhile; and while one server is silent its own events wait, and
nobody else's. Before a delivery leaves it is claimed in the database, so that of several nodes one sends it.

Standards: Standard Webhooks 1.0 (the header fields and the signature).
"""

import base64
import binascii
import hashlib
import hmac
import json
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from appliance.compile.facts import record
from appliance.compile.source import Query, Row
from mta.seal import NotOpened, Opener
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet

LOOK_SECONDS: Final = 1.0  # how late an attempt may be whose time has come
STEP_SECONDS: Final = 0.02  # answers that come within it are written down together
HELD_SECONDS: Final = 60.0  # between two looks whether a suspended tenant has been resumed
LEASE_SECONDS: Final = 60  # so long a delivery is in one node's hands; fetcher answers within a minute
AWAY_SECONDS: Final = 2  # fetcher was not there
AT_ONCE: Final = 32  # deliveries under way
AT_ONCE_OF_ONE: Final = 4  # of one tenant: with servers that are silent he must not keep others waiting
LOOKED_AT: Final = 50  # webhooks in one step
PIECE: Final = 10_000  # entries of the feed that are searched in one step for one webhook's next event
STRIDE: Final = 1000  # entries that do not concern a webhook, and after which its place is moved all the same
MAX_BODY: Final = 48 * 1024  # octets; a longer event comes without what changed
KEPT: Final = 200  # deliveries in the log of one webhook

# Seconds after each attempt that failed: ten more in about three days, and then it is over.
DELAYS: Final = (5, 60, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
JITTER: Final = 0.2  # of a delay, at most: what failed together shall not come back together
GONE: Final = 410  # "the server wants no more" (Standard Webhooks)

_COLUMNS = (
    "w.id, w.tenant_id, t.kind, w.public_id, w.url, w.types, w.sealed_secret, w.old_sealed_secret, w.old_until, "
    "w.told, w.attempts"
)
_LOGGED = (
    "INSERT INTO webhook_delivery (webhook_id, event_id, waits, at, attempt, status, detail, milliseconds) "
    "SELECT id, ?, ?, ?, ?, ?, ?, ? FROM webhook WHERE id = ?"  # it may have been removed meanwhile
)
_FENCE = "WHERE id = ? AND told = ? AND attempts = ?"
_EVENT = "id, action, at, subject, tenant_id, actor, before, after"
_SUBTREE = (
    "WITH RECURSIVE subtree (id) AS (SELECT id FROM tenant WHERE id = ? "
    "UNION ALL SELECT t.id FROM tenant t JOIN subtree s ON t.parent_id = s.id) "
)
_UPWARD = (
    "WITH RECURSIVE upward (id, parent_id, log_in_held) AS (SELECT id, parent_id, log_in_held FROM tenant WHERE id IN ({}) "
    "UNION SELECT t.id, t.parent_id, t.log_in_held FROM tenant t JOIN upward u ON u.parent_id = t.id) "
)


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Desk(Protocol):
    """What is needed of the compiler."""

    @property
    def peers(self) -> Ways:
        """Our peers."""

    def read(self, act: Callable[[Query], None]) -> bool:
        """*act* on one state of the database; False when it is away."""

    def write(self, act: Callable[[Query], None]) -> bool:
        """*act* in a transaction of its own; False when the database is away."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call *callback* in *seconds*."""


@dataclass(frozen=True, slots=True)
class Hook:
    """A row."""

    id: int
    tenant_id: int
    kind: str
    public_id: str
    url: str
    types: Any
    sealed_secret: str
    old_sealed_secret: str | None
    old_until: int | None
    told: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One delivery: of this event (0: a test), for the so manieth time; or *delivery*, asked for out of turn."""

    hook: Hook
    event: int
    attempt: int
    delivery: int
    kind: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """What became of it; *status* 0: no answer, *is_tried* False: it never left."""

    letter: Letter
    status: int
    why: str = ""
    milliseconds: int = 0
    is_tried: bool = True

    @property
    def is_well(self) -> bool:
        """Did the server take it?"""
        return 200 <= self.status < 300


class Webhooks:
    """Works for the compiler *desk*. *opener* opens the webhooks' secrets; without it nobody is told anything."""

    def __init__(
        self, desk: Desk, opener: Opener | None, clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._desk, self._opener, self._clock, self._chance = desk, opener, clock, chance
        self._sent: dict[int, tuple[Letter, float]] = {}  # by tag: what is under way, and until when it is waited for
        self._heard: list[Heard] = []
        self._newest = -1  # of the feed, at the last look
        self._awake: dict[
            int, None
        ] = {}  # webhooks that may have something to be told, in the order in which it was seen
        self._crowded: set[int] = set()  # whose tenant has no room for more before something is answered
        self._held: set[int] = set()  # whose tenant is suspended, or whose secret is for another node
        self._held_until = 0.0
        self._unopened: set[int] = set()  # of which the journal has been told
        self._is_coming = False
        self._tag = 0

    def begin(self) -> None:
        """Look for what there is to tell, now and ever after."""
        self.look()
        self._desk.later(LOOK_SECONDS, self.begin)

    def look(self) -> None:
        """Something may have happened."""
        if self._opener is None:
            return
        moment = self._clock()
        late = [tag for tag, (_, until) in self._sent.items() if until < moment]
        self._heard += [Heard(self._sent.pop(tag)[0], 0, "fetcher did not answer") for tag in late]
        self._step()

    def answered(self, channel: Channel, packet: Packet) -> None:
        """Fetcher told what a server said."""
        answer = packet[0]
        if not isinstance(answer, m.Posted):
            channel.close()
            return
        letter, _ = self._sent.pop(answer.tag, (None, 0.0))
        if letter is not None:
            self._awake |= dict.fromkeys(self._crowded)
            self._crowded.clear()
            why = _printable(answer.why.decode(errors="replace"))
            self._heard.append(Heard(letter, min(answer.status, 999), why, min(answer.milliseconds, 1 << 30)))
            self._soon()

    def lost(self) -> None:
        """Fetcher ended. What it had is sent again, and counts: it may be that it was what ended it."""
        self._heard += [Heard(letter, 0, "fetcher was restarted") for letter, _ in self._sent.values()]
        self._sent.clear()
        self._soon()

    def _soon(self) -> None:
        if not self._is_coming:
            self._is_coming = True
            self._desk.later(STEP_SECONDS, self._come)

    def _come(self) -> None:
        self._is_coming = False
        self._step()

    # --- one step: what was heard is written down, and what is next is claimed, in one transaction

    def _step(self) -> None:
        letters: list[tuple[Letter, m.Post]] = []
        has_work: list[bool] = [bool(self._heard)]
        if not self._desk.read(lambda query: has_work.append(self._wake(query))) or not any(has_work):
            return
        heard, awake = list(self._heard), dict(self._awake)

        def act(query: Query) -> None:
            for one in heard:
                self._note(query, one)
            letters.extend(self._claim(query))

        if self._desk.write(act):
            del self._heard[: len(heard)]
            for letter, message in letters:
                self._send(letter, message)
            if self._awake and len(self._sent) < AT_ONCE:
                self._soon()
        else:
            self._awake = awake  # What was done to it was taken back with the rest.

    def _wake(self, query: Query) -> bool:
        """Find out who may have something to be told; is there anything to do?"""
        if not any(query.rows("SELECT 1 FROM webhook LIMIT 1")):
            self._newest = -1
            return False
        moment = int(self._clock())
        (newest,) = next(query.rows("SELECT coalesce(max(id), 0) FROM audit_entry"))
        if self._newest < 0 or newest < self._newest:
            found = list(query.rows("SELECT id FROM webhook WHERE enabled ORDER BY id"))
        else:
            found = self._concerned(query, newest) if newest > self._newest else []
        found += query.rows("SELECT id FROM webhook WHERE enabled AND next_at > 0 AND next_at <= ?", (moment,))
        self._newest = newest
        if self._held_until <= moment:
            found += [(number,) for number in self._held]
            self._held.clear()
            self._held_until = moment + HELD_SECONDS
        self._awake |= dict.fromkeys(number for (number,) in found)
        return bool(self._awake) or any(query.rows("SELECT 1 FROM webhook_delivery WHERE waits LIMIT 1"))

    def _concerned(self, query: Query, newest: int) -> list[Row]:
        """Webhooks of the tenants of the entries that are new, of those above them, and of the operator."""
        fresh = (self._newest, newest)
        tenants = [
            one for (one,) in query.rows("SELECT DISTINCT tenant_id FROM audit_entry WHERE id > ? AND id <= ?", fresh)
        ]
        places = ", ".join("?" * len(tenants))
        statement = (
            f"{_UPWARD.format(places)}SELECT w.id FROM webhook w JOIN tenant t ON t.id = w.tenant_id "  # noqa: S608 - our own words
            "WHERE w.enabled AND (t.kind = 'operator' OR t.id IN (SELECT id FROM upward)) ORDER BY w.id"
        )
        return list(query.rows(statement, tenants))

    def _claim(self, query: Query) -> list[tuple[Letter, m.Post]]:
        """Deliveries that are ours to send now."""
        letters = [(letter, message) for letter in self._out_of_turn(query) if (message := self._written(letter))]
        for number in list(self._awake)[:LOOKED_AT]:
            if len(self._sent) + len(letters) >= AT_ONCE:
                break
            hook = _hook(query, number, int(self._clock()))
            under_way = [letter.hook for letter, _ in (*letters, *self._sent.values()) if not letter.delivery]
            if hook is None or hook.id in {one.id for one in under_way} or not self._is_in_force(query, hook):
                del self._awake[number]  # Whatever ends this wakes it.
            elif sum(one.tenant_id == hook.tenant_id for one in under_way) >= AT_ONCE_OF_ONE:
                del self._awake[number]
                self._crowded.add(number)
            elif (letter := self._next(query, hook)) is not None:
                del self._awake[number]
                message = self._written(letter)
                if message is not None and self._take(query, letter):
                    letters.append((letter, message))
        return letters

    def _is_in_force(self, query: Query, hook: Hook) -> bool:
        """May people of its tenant log in? Who may not read the feed is not told of it either."""
        statement = f"{_UPWARD.format('?')}SELECT count(*) FROM upward WHERE log_in_held <> 0"  # noqa: S608 - our own words
        (held,) = next(query.rows(statement, (hook.tenant_id,)))
        if held:
            self._held.add(hook.id)
        return not held

    def _next(self, query: Query, hook: Hook) -> Letter | None:
        """Its next event; without one its place moves on, and it sleeps when it has come to the end."""
        until = min(hook.told + PIECE, self._newest)
        event = next(_events(query, hook, "id > ? AND id <= ? ORDER BY id LIMIT 1", (hook.told, until)), None)
        if event is not None:
            return Letter(hook, event["id"], hook.attempts + 1, 0, event["type"], event)
        if until - hook.told >= STRIDE:
            query.run("UPDATE webhook SET told = ? WHERE id = ? AND told = ?", (until, hook.id, hook.told))
        if until >= self._newest:
            self._awake.pop(hook.id, None)
        return None

    def _take(self, query: Query, letter: Letter) -> bool:
        """Claim it; False when another node has."""
        hook = letter.hook
        statement = (
            "UPDATE webhook SET attempts = ?, next_at = ? WHERE id = ? AND told = ? AND attempts = ? AND enabled"
        )
        lease = int(self._clock()) + LEASE_SECONDS
        return query.run(statement, (letter.attempt, lease, hook.id, hook.told, hook.attempts)) == 1

    def _out_of_turn(self, query: Query) -> list[Letter]:
        """Tests, and events that their owner wants once more. Sent once, whatever comes of it."""
        room = min(AT_ONCE - len(self._sent), LOOKED_AT)
        statement = (
            f"SELECT d.id, d.event_id, {_COLUMNS} FROM webhook_delivery d JOIN webhook w ON w.id = d.webhook_id "  # noqa: S608 - as above
            "JOIN tenant t ON t.id = w.tenant_id WHERE d.waits ORDER BY d.id LIMIT ?"
        )
        letters = []
        for delivery, number, *row in list(query.rows(statement, (max(room, 0),))):
            claim = "UPDATE webhook_delivery SET waits = ?, at = ?, detail = ? WHERE id = ? AND waits"
            values = (False, int(self._clock()), "it was not heard what came of it", delivery)
            hook = Hook(*row)
            data = next(_events(query, hook, "id = ?", (number,)), None) if number else {"webhook": hook.public_id}
            if query.run(claim, values) and data is not None:
                kind = data["type"] if number else "webhook.test"
                letters.append(Letter(hook, number, 0, delivery, kind, data))
        return letters

    # --- what leaves, and what became of it

    def _send(self, letter: Letter, message: m.Post) -> None:
        if self._desk.peers.tell("fetcher", message):
            self._sent[message.tag] = (letter, self._clock() + LEASE_SECONDS)
        else:
            self._heard.append(Heard(letter, 0, "fetcher was away", is_tried=False))
            self._desk.later(AWAY_SECONDS, self._soon)

    def _written(self, letter: Letter) -> m.Post | None:
        """The request, signed; None when its secret does not open here."""
        moment, url = int(self._clock()), urlsplit(letter.hook.url)
        identity = f"evt_{letter.event}" if letter.event else f"test_{letter.delivery}"
        body = _body(letter, moment)
        try:
            signatures = [_signature(secret, identity, moment, body) for secret in self._secrets(letter.hook, moment)]
        except (NotOpened, binascii.Error) as error:
            if letter.hook.id not in self._unopened:
                self._unopened.add(letter.hook.id)
                self._desk.peers.event("webhook-unopened", webhook=letter.hook.public_id, why=str(error))
            self._held.add(letter.hook.id)
            return None
        fields = {
            "content-type": "application/json", "webhook-id": identity, "webhook-timestamp": str(moment),
            "webhook-signature": " ".join(signatures),
        }  # fmt: skip
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        pairs = tuple(part.encode() for pair in fields.items() for part in pair)
        self._tag += 1
        return m.Post(self._tag, (url.hostname or "").encode(), url.port or 443, target.encode(), body, pairs)

    def _secrets(self, hook: Hook, moment: int) -> list[bytes]:
        """Those that are good: the newest first, and the one before it for as long as its owner wanted."""
        assert self._opener is not None
        sealed = [hook.sealed_secret]
        if hook.old_sealed_secret and (hook.old_until or 0) > moment:
            sealed.append(hook.old_sealed_secret)
        return [self._opener.open(base64.b64decode(one)) for one in sealed]

    def _note(self, query: Query, heard: Heard) -> None:
        letter, moment = heard.letter, int(self._clock())
        if letter.delivery:
            statement = "UPDATE webhook_delivery SET status = ?, detail = ?, milliseconds = ? WHERE id = ?"
            query.run(statement, (heard.status or None, heard.why, heard.milliseconds, letter.delivery))
            return
        if heard.is_tried:
            said = (heard.status or None, heard.why, heard.milliseconds)
            values = (letter.event, False, moment, letter.attempt, *said, letter.hook.id)
            query.run(_LOGGED, values)
            _forget(query, letter.hook.id)
        self._move(query, heard, moment)

    def _move(self, query: Query, heard: Heard, moment: int) -> None:
        letter = heard.letter
        # Its owner may have begun it anew meanwhile, or another node have taken it over.
        fence = (letter.hook.id, letter.hook.told, letter.attempt)
        if heard.is_well:
            change = "told = ?, attempts = 0, next_at = 0, failing_since = NULL"
            query.run(f"UPDATE webhook SET {change} {_FENCE}", (letter.event, *fence))  # noqa: S608 - our own words
            self._awake[letter.hook.id] = None
        elif not heard.is_tried:
            values = (letter.hook.attempts, moment + AWAY_SECONDS, *fence)
            query.run(f"UPDATE webhook SET attempts = ?, next_at = ? {_FENCE}", values)  # noqa: S608 - our own words
        elif heard.status == GONE or letter.attempt > len(DELAYS):
            self._disable(query, heard, fence)
        else:
            delay = DELAYS[letter.attempt - 1] * (1 + JITTER * self._chance())
            change = "next_at = ?, failing_since = coalesce(failing_since, ?)"
            query.run(f"UPDATE webhook SET {change} {_FENCE}", (moment + int(delay), moment, *fence))  # noqa: S608 - as above

    def _disable(self, query: Query, heard: Heard, fence: tuple[int, int, int]) -> None:
        """Nobody listens any more: its owner reads so in the audit log, the feed and the panel."""
        hook = heard.letter.hook
        said = f"status {heard.status}" if heard.status else heard.why
        why = (
            "its server wants no more (410)"
            if heard.status == GONE
            else f"{heard.letter.attempt} attempts in vain: {said}"
        )
        change = "enabled = ?, disabled_why = ?, attempts = 0, next_at = 0, version = version + 1"
        if query.run(f"UPDATE webhook SET {change} {_FENCE} AND enabled", (False, why[:500], *fence)):  # noqa: S608 - as above
            record(query, "webhook.disabled", f"webhook {hook.public_id}", hook.tenant_id, None, {"why": why[:500]})
            self._desk.peers.event("webhook-disabled", webhook=hook.public_id, tenant=hook.tenant_id, why=why[:500])


def _hook(query: Query, number: int, moment: int) -> Hook | None:
    """The webhook, when it is its turn."""
    statement = (
        f"SELECT {_COLUMNS} FROM webhook w JOIN tenant t ON t.id = w.tenant_id "  # noqa: S608 - our own words
        "WHERE w.id = ? AND w.enabled AND w.next_at <= ?"
    )
    row = next(query.rows(statement, (number, moment)), None)
    return Hook(*row) if row is not None else None


def _events(query: Query, hook: Hook, which: str, values: Sequence[object]) -> Any:  # noqa: ANN401 - an iterator of JSON
    """Entries of the feed that its tenant may see and that it wants, as the API shows them."""
    types = json.loads(hook.types) if isinstance(hook.types, str) else hook.types
    wanted = " OR ".join("substr(action, 1, ?) = ?" if name.endswith(".") else "action = ?" for name in types)
    named = [part for name in types for part in ((len(name), name) if name.endswith(".") else (name,))]
    kinds = f"({wanted}) AND " if types else ""
    tenant = () if hook.kind == "operator" else (hook.tenant_id,)
    within = "tenant_id IN (SELECT id FROM subtree) AND " if tenant else ""
    statement = f"{_SUBTREE if tenant else ''}SELECT {_EVENT} FROM audit_entry WHERE {within}{kinds}{which}"  # noqa: S608 - our own words
    return map(_shown, query.rows(statement, (*tenant, *named, *values)))


def _shown(row: Row) -> dict[str, Any]:
    number, action, at, subject, tenant_id, actor, before, after = row
    return {
        "id": number, "type": action, "at": _moment(at), "subject": subject, "tenant_id": tenant_id, "actor": actor,
        "before": _read(before), "after": _read(after),
    }  # fmt: skip


def _read(value: Any) -> Any:  # noqa: ANN401 - JSON, which one kind of database gives as text
    return json.loads(value) if isinstance(value, str) else value


def _body(letter: Letter, moment: int) -> bytes:
    told = {"type": letter.kind, "timestamp": letter.data.get("at") or _moment(moment), "data": letter.data}
    octets = _json(told)
    if len(octets) > MAX_BODY:
        octets = _json({**told, "data": {**letter.data, "before": None, "after": None, "shortened": True}})
    return octets


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _signature(secret: bytes, identity: str, moment: int, body: bytes) -> str:
    mac = hmac.digest(secret, f"{identity}.{moment}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(mac).decode()}"


def _forget(query: Query, number: int) -> None:
    """All but the newest of its log."""
    oldest = "SELECT id FROM webhook_delivery WHERE webhook_id = ? ORDER BY id DESC LIMIT 1 OFFSET ?"
    found = next(query.rows(oldest, (number, KEPT)), None)
    if found is not None:
        query.run("DELETE FROM webhook_delivery WHERE webhook_id = ? AND id <= ? AND NOT waits", (number, found[0]))


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:300]
