"""What the directory asks, from memory where it can be: each question goes out once, however many ask it at the same time.

A reader would otherwise get wrong: the directory waits two seconds and then tells its client to come back. The question is
not given up by that: its answer is kept, and there when the client comes back.
"""

from collections.abc import Callable
from typing import Protocol

from mta.roles.source.memory import Memory
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.records import SOURCE, RecordError, Source, unpack_record
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

FLIGHT_SECONDS = 20.0  # after which a question is answered, whatever became of it
MAX_FLIGHTS = 2000
MAX_BACKENDS = 500  # places that are kept at hand; one more, and all are looked up anew
LOOK_SECONDS = 0.1
QUIET_SECONDS = 60.0  # between two lines of the journal about one domain

Hear = Callable[[Word], None]


class Backend(Protocol):
    """One place that knows recipients."""

    @property
    def trouble(self) -> str:
        """What went wrong last, for the operator."""

    def ask(self, address: bytes, hear: Hear) -> None:
        """Does it know *address*? *hear* is told once, perhaps before this returns."""

    def close(self) -> None:
        """Nobody asks any more: hang up."""


class Events(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Desk:
    """Answers from *memory* and from backends made by *make*. `peers` must be set before the first message."""

    peers: Events

    def __init__(
        self,
        loop: Loop,
        snapshot: Snapshot,
        memory: Memory,
        make: Callable[[Source], Backend],
        clock: Callable[[], float],
    ) -> None:
        """*make* raises ValueError for settings that make no sense. *clock* counts seconds."""
        self._loop, self._snapshot, self._memory, self._make, self._clock = loop, snapshot, memory, make, clock
        self._looked = float("-inf")
        self._sources: dict[bytes, Source | None] = {}  # by domain, until the snapshot changes
        self._backends: dict[Source, Backend] = {}
        self._flights: dict[bytes, list[tuple[Channel, int]]] = {}
        self._told: dict[bytes, float] = {}

    def asked(self, channel: Channel, packet: Packet) -> None:
        """An `Exists` of the directory, or of web for whoever tries."""
        question = packet[0]
        if not isinstance(question, m.Exists):
            channel.close()
            return
        domain = question.address.rpartition(b"@")[2]
        source = self._source(domain)
        if source is None:
            _answer(channel, question.tag, Word.TRY_LATER, 0)
            return
        # With where it was asked: an answer of a former place is none of this one.
        key = question.address + b"\0%d" % hash(source)
        known = self._memory.get(key)
        if known is not None:
            _answer(channel, question.tag, *known)
        elif key in self._flights:
            self._flights[key].append((channel, question.tag))
        elif len(self._flights) >= MAX_FLIGHTS:
            _answer(channel, question.tag, Word.TRY_LATER, 0)
        else:
            flight = self._flights[key] = [(channel, question.tag)]
            self._loop.call_later(FLIGHT_SECONDS, lambda: self._give_up(key, flight))
            self._send_out(key, question.address, domain, source)

    def close(self) -> None:
        """Hang up on everybody and give the files back: for who asks in a process that goes on without."""
        for backend in self._backends.values():
            backend.close()
        self._snapshot.close()

    def _send_out(self, key: bytes, address: bytes, domain: bytes, source: Source) -> None:
        try:
            backend = self._backend(source)
        except ValueError as error:
            self._complain(domain, str(error))
            self._land(key, Word.TRY_LATER)
            return

        def hear(word: Word) -> None:
            if word is Word.TRY_LATER:
                self._complain(domain, backend.trouble)
            self._land(key, word)

        backend.ask(address, hear)

    def _give_up(self, key: bytes, flight: list[tuple[Channel, int]]) -> None:
        """Its time is up; the same question may be under way anew by now, and has its own."""
        if self._flights.get(key) is flight:
            self._land(key, Word.TRY_LATER)

    def _land(self, key: bytes, word: Word) -> None:
        """The answer is there; a second one is for nobody."""
        asked = self._flights.pop(key, None)
        if asked is None:
            return
        seconds = self._memory.put(key, word)
        for channel, tag in asked:
            _answer(channel, tag, word, seconds)

    def _source(self, domain: bytes) -> Source | None:
        now = self._clock()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            if self._snapshot.refresh():
                self._sources.clear()
        if domain not in self._sources:
            try:
                octets = self._snapshot.get(SOURCE + domain)
                record = unpack_record(octets) if octets is not None else None
            except (SnapshotMissing, RecordError) as error:
                self._complain(domain, str(error))
                return None
            if len(self._sources) >= MAX_BACKENDS:
                self._sources.clear()
            self._sources[domain] = record if isinstance(record, Source) else None
        return self._sources[domain]

    def _backend(self, source: Source) -> Backend:
        backend = self._backends.get(source)
        if backend is None:
            if len(self._backends) >= MAX_BACKENDS:
                self._backends.clear()  # What they have in hand they still answer.
            backend = self._backends[source] = self._make(source)
        return backend

    def _complain(self, domain: bytes, why: str) -> None:
        """Tell the journal that a place is of no use now; not for each question."""
        now = self._clock()
        if now - self._told.get(domain, float("-inf")) < QUIET_SECONDS:
            return
        if len(self._told) >= MAX_BACKENDS:
            self._told.clear()
        self._told[domain] = now
        self.peers.event("source-trouble", domain=domain, why=why)


def _answer(channel: Channel, tag: int, word: Word, seconds: int) -> None:
    try:
        channel.send(m.Existence(tag, word.value, seconds))
    except ChannelClosed:
        return  # A new directory asks anew.
