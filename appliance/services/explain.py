"""What the SMTP port would say to a message, and why: the directory's own code over the published snapshot, in this process.

A reader would otherwise get wrong: nothing of the decision is written here. The session core, the directory's desk, the
ledger's book and, when asked for, the resolver's desk are those of the roles, wired to each other instead of to channels;
what is written down is what they look up, ask, answer and say. So it holds whether the appliance runs or not, and cannot
say anything else than the appliance would - but for what a running directory remembers of a client (its guesses, its rate,
its DNS answers), which dies with that process and is not asked for.

Nothing is changed by asking: the ledger answers from a copy of its store.
"""

import contextlib
import ipaddress
import os
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from appliance.config import Settings
from appliance.errors import Invalid
from appliance.services import wording
from appliance.supervisor.plan import plan_of
from mta import roster
from mta.roles.directory import access
from mta.roles.directory.__main__ import protections
from mta.roles.directory.desk import Desk
from mta.roles.directory.doors import OURS, Origin
from mta.roles.directory.outward import Beyond
from mta.roles.directory.resolve import Judgement, Obstacle, Resolver
from mta.roles.directory.srs import Kept
from mta.seal import SOURCE_SECRET, read_opener
from mta.smtp import driving
from mta.smtp import events as e
from mta.smtp.server import Server
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.records import (
    ADDRESS,
    CERTIFICATE,
    DOMAIN,
    HOST_KEY,
    PATTERN,
    RULES,
    TENANT,
    RecordError,
    unpack_record,
)
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.asking import Asking
from mta.wire.channel import Channel
from mta.wire.control import Start
from mta.wire.loop import Loop

if TYPE_CHECKING:
    from mta.roles.ledger.book import Book

PATIENCE_SECONDS = 8.0  # the directory answers each question within four
EXAMPLE_CLIENT = "192.0.2.1"  # RFC 5737: nobody's address
LONGEST_PATH = 900  # octets, with the command around it in one line of SMTP
CONTENT = b"Subject: explain\r\n\r\n.\r\n"

_KINDS = {
    ADDRESS: "address",
    PATTERN: "pattern of what begins with",
    DOMAIN: "domain",
    TENANT: "tenant",
    RULES: "access rules of",
}


class Records(Protocol):
    """What the directory looks at: as much of a snapshot as it needs."""

    trouble: str
    serial: object

    def get(self, key: bytes) -> bytes | None:
        """What stands under *key*."""

    def refresh(self) -> bool:
        """Is it another state than before?"""

    def close(self) -> None:
        """Give it back."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at, and what came of it."""

    what: str
    outcome: str


@dataclass(frozen=True, slots=True)
class Exchange:
    """What the client says, and the lines that it hears."""

    command: str
    replies: tuple[str, ...]


@dataclass(slots=True)
class Explanation:
    """The whole answer."""

    accepted: bool = False
    undecided: bool = False  # only a source elsewhere (LDAP, the next hop, a hook) can tell, and nobody asked it here
    word: str = ""  # the directory's; empty: it was not asked
    steps: list[Step] = field(default_factory=list)
    dialog: list[Exchange] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)  # the addresses at the end of the way, here and elsewhere


def explain(
    settings: Settings,
    reverse_path: str,
    forward_path: str,
    client: str = EXAMPLE_CLIENT,
    *,
    ask_dns: bool = False,
    ask_source: bool = False,
) -> Explanation:
    """What a message from *reverse_path* (empty: the null one) to *forward_path* would meet, sent by the address *client*.

    *ask_dns*: look up DNS lists and the client's name for real; without, they count as silent. *ask_source*: ask who knows
    a relayed domain's recipients for real, where its secrets can be read; without, he counts as away.

    Raises:
        Invalid: not an address, or not a path that one could send.
        OSError: the snapshot may not be read.
    """
    _check(reverse_path, forward_path, client)
    with tempfile.TemporaryDirectory(prefix="postern-explain-") as folder:
        loop, plain = Loop(), _plain(settings)
        ledger = _ledger(settings.state, Path(folder), loop)
        directory = _Directory(loop, Snapshot.open(settings.state / "snapshot" / "recipients"), plain, ledger)
        if ask_dns:
            directory.ask_name_servers(plain["dns.servers"].decode())
        if ask_source:
            directory.ask_source(settings.state, plain)
        try:
            return _Talk(directory, plain, client, starttls=_offers_tls(settings.state)).hold(
                reverse_path, forward_path
            )
        finally:
            directory.close()


def explain_from(
    records: Records, settings: Settings, reverse_path: str, forward_path: str, client: str = EXAMPLE_CLIENT, *,
    starttls: bool = True,
) -> Explanation:  # fmt: skip
    """The same over *records* instead of the published snapshot; ledger and resolver are not asked.

    Raises:
        Invalid: not an address, or not a path that one could send.
    """
    _check(reverse_path, forward_path, client)
    plain = _plain(settings)
    directory = _Directory(Loop(), cast("Snapshot", records), plain, None)
    try:
        return _Talk(directory, plain, client, starttls=starttls).hold(reverse_path, forward_path)
    finally:
        directory.close()


def _check(reverse_path: str, forward_path: str, client: str) -> None:
    try:
        ipaddress.ip_address(client)
    except ValueError as error:
        raise Invalid(f"{client!r} is not an IP address", field="client") from error
    for name, path in (("from", reverse_path), ("to", forward_path)):
        if not path.isprintable() or "<" in path or ">" in path or len(path.encode()) > LONGEST_PATH:
            raise Invalid(f"{path[:100]!r} is not an address", field=name)


def _plain(settings: Settings) -> dict[str, bytes]:
    return {key: value.encode() for key, value in plan_of(settings)["settings"].items()}


class _Ear:
    """Stands where a channel would: whoever answers, answers into *hear*."""

    closed = False
    backlog = 0

    def __init__(self, peer: str, hear: Callable[[m.Message], None]) -> None:
        self.peer, self._hear = peer, hear

    def send(self, message: m.Message, _descriptors: Sequence[int] = ()) -> None:
        """As `Channel.send`."""
        self._hear(message)

    def close(self) -> None:
        """As `Channel.close`: whoever hangs up does not answer."""


def _channel(peer: str, hear: Callable[[m.Message], None]) -> Channel:
    return cast("Channel", _Ear(peer, hear))


class _Directory:
    """The directory's desk with what it needs around it, and `steps`: what it did."""

    def __init__(self, loop: Loop, snapshot: Snapshot, settings: dict[str, bytes], ledger: "Book | None") -> None:
        self.steps: list[Step] = []
        self.loop, self._snapshot = loop, snapshot
        self.resolver = _Recording(self._snapshot, self.steps)
        self._session_key = os.urandom(tickets.KEY_OCTETS)
        keys = {roster.SESSION_KEY: self._session_key, roster.TICKET_KEY: os.urandom(tickets.KEY_OCTETS)}
        asking = Asking(self.loop)
        start = Start(_channel("supervisor", lambda _message: None), settings | keys)
        guards = protections(start, asking)
        self._relayers = guards.relayers
        desk = Desk(
            self.loop, self._snapshot, self.resolver, guards, asking, keys[roster.TICKET_KEY], keys[roster.SESSION_KEY],
        )  # fmt: skip
        self._neighbours = asking.peers = _Neighbours(self.loop, asking, self.steps, ledger)
        self._sources: list[Callable[[], None]] = []  # to be closed
        self._desk = desk

    def ask_name_servers(self, servers: str) -> None:
        """Look names up at *servers*, for real."""
        self._neighbours.name_servers = servers

    def ask_source(self, state: Path, settings: dict[str, bytes]) -> None:
        """From now on have role source's own code, in this process, ask for recipients of relayed domains."""
        # Lazy imports: TLS and ciphers, which nothing else here needs.
        from mta.roles.source.__main__ import HOOKS, KEY, Hooks, Makers  # noqa: PLC0415
        from mta.roles.source.desk import Desk as SourceDesk  # noqa: PLC0415
        from mta.roles.source.memory import Memory  # noqa: PLC0415

        hooks, opener = str(state / HOOKS), read_opener(state / KEY, SOURCE_SECRET)
        name = settings["host.name"]
        makers = Makers(self.loop, name, Hooks(hooks, hooks), opener, ssl.create_default_context())
        snapshot = Snapshot.open(state / "snapshot" / "sources")
        desk = SourceDesk(self.loop, snapshot, Memory(time.monotonic), makers.make, time.monotonic)
        beyond = _Neighbours(self.loop, makers.asking, self.steps, None)
        beyond.name_servers = settings["dns.servers"].decode()
        desk.peers = makers.asking.peers = beyond
        self._neighbours.source = desk.asked
        self._sources.append(desk.close)

    def ask(self, ask: e.Ask, client: str) -> e.Verdict:
        """As smtpd asks."""
        session = b"%016x" % time.time_ns()
        token = tickets.session_token(self._session_key, session, client.encode())
        accepted = m.Accepted(session, client.encode(), 0, b"smtp", token)
        question = driving.question(1, accepted, ask)
        self._tell_rules(question)
        answers: list[m.Message] = []
        self._desk.asked(_channel("smtpd", answers.append), (question, ()))
        until = time.monotonic() + PATIENCE_SECONDS
        while not answers and time.monotonic() < until:
            self.loop.run_once(0.05)
        verdict = driving.verdict(answers[0] if answers else None)
        late = ", told after the content" if verdict.late else ""
        self.steps.append(
            Step("the directory's word", verdict.word.value.decode() + late + wording.in_brackets(verdict.detail))
        )
        return verdict

    def _tell_rules(self, question: m.Question) -> None:
        with contextlib.suppress(SnapshotMissing, RecordError):
            judgement = self.resolver.judge(question.forward_path)
            if judgement.scopes:
                decided = access.decide(judgement.scopes, question.client, question.reverse_path)
                said = {True: "allow", False: "deny", None: "none of them fits"}[decided]
                self.steps.append(Step(f"access rules for {question.client.decode()}", said))

    def origin(self, reverse_path: bytes, client: bytes) -> Origin:
        """Who somebody is that does not log in."""
        return Origin(b"", reverse_path, is_relayer=self._relayers.decide(client, b"") is True)

    @property
    def missed_source(self) -> bool:
        """Did the decision hang on a role that is not here?"""
        return self._neighbours.missed_source

    def close(self) -> None:
        """Give the files back."""
        self._snapshot.close()
        for close in self._sources:
            close()
        self.loop.close()


class _Recording(Resolver):
    """The directory's look-ups, each written down."""

    def __init__(self, snapshot: Snapshot, steps: list[Step]) -> None:
        self._steps, self._snapshot = steps, snapshot
        self._seen: set[Step] = set()
        super().__init__(self._look_up)

    def judge(self, forward_path: bytes, origin: Origin | None = None) -> Judgement:
        """As `Resolver.judge`."""
        judgement = super().judge(forward_path, origin)
        self._note("recipient", "; ".join(_about(judgement)))
        return judgement

    def _look_up(self, key: bytes) -> bytes | None:
        try:
            octets = self._snapshot.get(key)
        except SnapshotMissing as error:
            self._note("snapshot", str(error))
            raise
        kind, name = key[:2], key[2:].decode("utf-8", "backslashreplace")
        if key != HOST_KEY and not (kind == RULES and octets is None):  # Most have no rules of their own.
            what = f"{_KINDS.get(kind, kind.decode())} {name or 'the host'}"
            self._note(what, "no such record" if octets is None else wording.of_record(unpack_record(octets)))
        return octets

    def _note(self, what: str, outcome: str) -> None:
        step = Step(what, outcome)
        if step not in self._seen:
            self._seen.add(step)
            self._steps.append(step)


class _Neighbours:
    """Whom the directory asks: `Ways`, with the ledger and perhaps the resolver at hand, and nobody else."""

    name_servers = ""
    missed_source = False
    source: Callable[[Channel, tuple[m.Message, tuple[int, ...]]], None] | None = None

    def __init__(self, loop: Loop, asking: Asking, steps: list[Step], ledger: "Book | None") -> None:
        self._loop, self._asking, self._steps, self._ledger = loop, asking, steps, ledger
        if ledger is not None:
            ledger.peers = self

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """What would stand in the log."""
        self._steps.append(
            Step(f"event {name}", " ".join(f"{key}={wording.text(value)}" for key, value in pairs.items()))
        )

    def tell(self, name: str, message: m.Message) -> bool:
        """As `mta.wire.control.Peers.tell`; the answer comes later, as it would."""
        match message:
            case m.UsageOf() | m.Grey() if self._ledger is not None:
                book = self._ledger
                ear = _channel("ledger", lambda answer: self._heard("ledger", message, answer))
                self._loop.call_later(0.0, lambda: book.heed(ear, (message, ())))
                return True
            case m.LookUp() if self.name_servers:
                self._loop.call_later(0.0, lambda: self._look_up(message))
                return True
            case m.LookUp(_, look_up_name, kind):
                self._steps.append(
                    Step(f"DNS {wording.text(kind)} of {wording.text(look_up_name)}", "not asked; counts as silent")
                )
            case m.Exists() if self.source is not None:
                ask, ear = self.source, _channel("source", lambda answer: self._heard("source", message, answer))
                self._loop.call_later(0.0, lambda: ask(ear, (message, ())))
                return True
            case m.Exists(_, address):
                self.missed_source = True
                self._steps.append(Step(f"source of {wording.text(address)}", "not asked here; counts as away"))
            case _:
                self._steps.append(Step(name, "not there; counts as away"))
        return False

    def _look_up(self, question: m.LookUp) -> None:
        # A lazy import: dnspython, which nothing else here needs.
        from mta.roles.resolver.desk import Desk as DnsDesk  # noqa: PLC0415
        from mta.roles.resolver.desk import servers_of  # noqa: PLC0415
        from mta.roles.resolver.sockets import Sockets  # noqa: PLC0415

        desk = DnsDesk(servers_of(self.name_servers), Sockets(self._loop), self._loop.call_later, time.monotonic)
        desk.look_up(
            question.name,
            question.kind,
            lambda answer: self._heard(
                "resolver", question, m.Found(question.tag, answer.outcome, answer.secure, answer.records)
            ),
        )

    def _heard(self, peer: str, question: m.Message, answer: m.Message) -> None:
        self._steps.append(Step(*wording.of_answer(question, answer)))
        self._asking.answered(_channel(peer, lambda _message: None), (answer, ()))


def _ledger(state: Path, folder: Path, loop: Loop) -> "Book | None":
    """The ledger's book over a copy of its store; None: there is none that can be read."""
    # A lazy import: web, which has this module too, never sees the ledger's store.
    from mta.roles.ledger.__main__ import FILE  # noqa: PLC0415
    from mta.roles.ledger.book import Book  # noqa: PLC0415
    from mta.roles.ledger.store import Store, StoreTooNew  # noqa: PLC0415

    path = state / FILE
    # Without a log beside it nobody has it open, and opening it as usual would make one that is not the ledger's own.
    mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{path.as_uri()}?{mode}", uri=True)) as source,
            contextlib.closing(sqlite3.connect(folder / "ledger.db")) as copy,
        ):
            source.backup(copy)
        return Book(loop, Store(folder / "ledger.db"))
    except (sqlite3.Error, StoreTooNew):
        return None


def _offers_tls(state: Path) -> bool:
    """Is there a certificate for tls to show? Then it tells smtpd so, and EHLO offers STARTTLS."""
    folder = state / "snapshot" / "certificates"
    with contextlib.suppress(OSError, SnapshotMissing), contextlib.closing(Snapshot.open(folder)) as snapshot:
        return snapshot.get(CERTIFICATE) is not None
    return False


class _Talk:
    """A client of the session core, and all that the core asks for."""

    def __init__(self, directory: _Directory, settings: dict[str, bytes], client: str, *, starttls: bool) -> None:
        self._directory, self._client = directory, client
        self._core = Server(driving.policy(settings, starttls=starttls))
        self._told = Explanation(steps=directory.steps)
        self._heard = ""
        self._offered = False

    def hold(self, reverse_path: str, forward_path: str) -> Explanation:
        """From the greeting to the answer that matters."""
        told = self._told
        told.dialog.append(Exchange("", self._carry_out(self._core.greet())))
        utf_8 = "" if (reverse_path + forward_path).isascii() else " SMTPUTF8"
        for command in ("EHLO client.example", f"MAIL FROM:<{reverse_path}>{utf_8}", f"RCPT TO:<{forward_path}>"):
            if not self._say(command):
                return told
        told.accepted = True
        # A refusal that is told after the content shows only there.
        if not self._say("DATA", b"DATA\r\n", (b"3",)) or not self._say("content", CONTENT):
            told.accepted = self._offered
        if told.accepted:
            self._follow(forward_path.encode(), reverse_path.encode())
        return told

    def _follow(self, recipient: bytes, reverse_path: bytes) -> None:
        """Where the message goes on to, as the scheduler would be told."""
        told, resolver = self._told, self._directory.resolver
        home = resolver.home_of(recipient)
        if isinstance(home, Kept):
            told.steps.append(Step("a return path of ours", f"the ledger knows whose, as {wording.text(home.token)}"))
            return
        if home is not None:
            told.steps.append(Step("a return path of ours", f"of {wording.text(home)}"))
            recipient = home
        origin = OURS if home is not None else self._directory.origin(reverse_path, self._client.encode())
        found = resolver.expand(recipient, origin)
        if home is not None and found is Obstacle.FOREIGN:
            found = resolver.outside(recipient)
        if isinstance(found, Obstacle):
            told.steps.append(Step("where it goes", found.name.lower().replace("_", " ")))
            return
        told.recipients = [wording.text(end.recipient) for end in found]
        told.steps.append(Step("where it goes", ", ".join(told.recipients)))
        for end in found:
            if isinstance(end, Beyond):
                told.steps.append(Step(f"to {wording.text(end.recipient)}", self._way_to(end, reverse_path)))

    def _way_to(self, end: Beyond, sender: bytes) -> str:
        resolver = self._directory.resolver
        route = resolver.route_of(end, sender)
        way = f"the route of {wording.text(route)}" if route else f"the MX records of {wording.text(end.domain)}"
        path, _ = resolver.reverse_path_of(end, sender, is_own=False)
        return f"by {way}, with the return path <{wording.text(path)}>"

    def _say(self, shown: str, octets: bytes = b"", good: tuple[bytes, ...] = (b"2",)) -> bool:
        replies = self._carry_out(self._core.receive(octets or shown.encode() + b"\r\n"))
        if self._offered:
            replies = ("(the enqueuer has it; 250 when it is on the disk)",)
        self._told.dialog.append(Exchange(shown, replies))
        return bool(replies) and replies[-1].encode().startswith(good)

    def _carry_out(self, events: list[e.Event]) -> tuple[str, ...]:
        said: list[str] = []
        waiting = list(events)
        while waiting:
            event = waiting.pop(0)
            if isinstance(event, e.Send):
                said += event.octets.decode("ascii").splitlines()
            elif isinstance(event, e.Ask):
                verdict = self._directory.ask(event, self._client)
                self._told.word = verdict.word.value.decode()
                self._told.undecided = self._directory.missed_source
                waiting += self._core.verdict(event.number, verdict)
            elif isinstance(event, e.Block):
                self._offered = True
        return tuple(said)


def _about(judgement: Judgement) -> Iterator[str]:
    yield judgement.word.value.decode()
    if judgement.quota_bytes:
        yield f"a quota of {judgement.quota_bytes} octets"
    for name, holds in (
        ("refusals are told after the content", judgement.late),
        ("the DNS lists count", judgement.dnsbl),
        ("unknown senders have to come back", judgement.greylist and judgement.word is Word.ACCEPT),
        ("a source elsewhere decides", judgement.asks_source),
        ("a return path that we made: for bounces alone", judgement.is_return),
        ("bounces need a signed return path", judgement.wants_tag),
    ):
        if holds:
            yield name
