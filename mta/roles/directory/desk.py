"""What is said to whom: questions of smtpd, expansions for scheduler, usage asked of ledger. Messages in, messages out.

A reader would otherwise get wrong: nothing here waits. A question about a mailbox with a quota is put aside under a tag of
our own until the ledger answers, or its time is up; both end in exactly one `Verdict`.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from mta.roles.directory.resolve import Judgement, Obstacle, Resolver
from mta.roles.directory.unknowns import Unknowns
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.records import RecordError
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

LEDGER_SECONDS = 1.0  # a client waits for this answer
SWEEP_SECONDS = 0.25
LOOK_SECONDS = 0.02  # how old what we know of the snapshot's files may be when a question comes
FEW_PACKETS = 500  # unread by the scheduler, above which further answers wait
SOME_PACKETS = 100  # sent before looking at that again
PAUSE_SECONDS = 0.02

_UNRESOLVED = {
    # (permanent, status of RFC 3463, words)
    Obstacle.TOO_MANY: (False, b"4.5.3", b"The address leads to too many mailboxes; its owner has to change that"),
    Obstacle.SUSPENDED: (False, b"4.2.1", b"The mailbox is suspended"),
    Obstacle.UNKNOWN: (True, b"5.1.1", b"No such mailbox here"),
    Obstacle.RING: (True, b"5.4.6", b"The address leads back to itself"),
    Obstacle.FOREIGN: (True, b"5.4.4", b"This host does not send mail to that domain"),
}
_NOT_NOW = (False, b"4.3.0", b"Recipients cannot be looked up now")


class Ways(Protocol):
    """What the desk needs of `mta.wire.control.Peers`."""

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


@dataclass(frozen=True, slots=True)
class _Aside:
    """A question that waits for the ledger."""

    channel: Channel
    question: m.Question
    judgement: Judgement
    deadline: float


class Desk:
    """Answers from *snapshot*. `peers` must be set before the first message."""

    peers: Ways

    def __init__(
        self, loop: Loop, snapshot: Snapshot, resolver: Resolver, unknowns: Unknowns, ticket_key: bytes,
        session_key: bytes, clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """*clock* gives seconds since 1970, for the tickets' expiry."""
        self._loop, self._snapshot, self._resolver, self._unknowns = loop, snapshot, resolver, unknowns
        self._ticket_key, self._session_key, self._clock = ticket_key, session_key, clock
        self._looked = 0.0
        self._trouble = ""  # as last told to the journal
        self._complained = -1  # the state of the snapshot of which a wrong record was told
        self._tag = 0
        self._aside: dict[int, _Aside] = {}
        self._expansions: deque[tuple[Channel, Iterator[m.Message]]] = deque()

    # --- smtpd --------------------------------------------------------------------------------------------------------

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Question` of an smtpd."""
        question = packet[0]
        if not isinstance(question, m.Question):
            channel.close()
            return
        if not tickets.session_token_holds(self._session_key, question.token, question.session, question.client):
            # Answered, but by nothing that could be used: a supervisor replaces only what ended, so hanging up would
            # leave the honest conversations of that process without us, and stop no dishonest one.
            self.peers.event("token-refused", session=question.session, client=question.client)
            self._answer(channel, question, Word.TRY_LATER)
            return
        judgement = self._judge(question.forward_path)
        if judgement.quota_bytes and self._ask_ledger(channel, question, judgement):
            return
        self._answer(channel, question, judgement.word, judgement.counted)

    def _judge(self, forward_path: bytes) -> Judgement:
        self._look()
        try:
            return self._resolver.judge(forward_path)
        except (SnapshotMissing, RecordError) as error:
            self._complain(error)
            return Judgement(Word.TRY_LATER)

    def _answer(self, channel: Channel, question: m.Question, word: Word, counted: bytes = b"") -> None:
        if word is Word.UNKNOWN and self._unknowns.count(question.client):
            word = Word.SLOW_DOWN
            self.peers.event("unknown-too-often", client=question.client, session=question.session)
        expiry, ticket = 0, b""
        if word is Word.ACCEPT:
            expiry = int(self._clock()) + tickets.TICKET_SECONDS
            ticket = tickets.ticket(
                self._ticket_key, question.session, question.reverse_path, question.forward_path, counted, expiry
            )
        else:
            counted = b""
        _send(channel, m.Verdict(question.tag, word.value, counted, expiry, ticket))

    # --- ledger -------------------------------------------------------------------------------------------------------

    def _ask_ledger(self, channel: Channel, question: m.Question, judgement: Judgement) -> bool:
        self._tag += 1
        if not self.peers.tell("ledger", m.UsageOf(self._tag, judgement.counted)):
            self.peers.event("usage-unknown", mailbox=judgement.counted, why="the ledger is away")
            return False
        if not self._aside:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)
        self._aside[self._tag] = _Aside(channel, question, judgement, time.monotonic() + LEDGER_SECONDS)
        return True

    def used(self, channel: Channel, packet: Packet) -> None:
        """A `Usage` of the ledger."""
        usage = packet[0]
        if not isinstance(usage, m.Usage):
            channel.close()
            return
        aside = self._aside.pop(usage.tag, None)
        if aside is not None:
            word = aside.judgement.with_usage(usage.stored, usage.reserved, aside.question.size)
            self._answer(aside.channel, aside.question, word, aside.judgement.counted)

    def lost(self, channel: Channel) -> None:
        """A peer's channel closed. What was asked of a ledger that ended is answered now, without it."""
        if channel.peer == "ledger":
            self._answer_overdue(float("inf"), "the ledger went away")

    def _sweep(self) -> None:
        self._answer_overdue(time.monotonic(), "the ledger is slow")
        if self._aside:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _answer_overdue(self, now: float, why: str) -> None:
        """Not full as far as we know: an overrun is delivered, a false refusal is lost."""
        for tag in [tag for tag, aside in self._aside.items() if aside.deadline <= now]:
            aside = self._aside.pop(tag)
            self.peers.event("usage-unknown", mailbox=aside.judgement.counted, why=why)
            self._answer(aside.channel, aside.question, aside.judgement.word, aside.judgement.counted)

    # --- scheduler ----------------------------------------------------------------------------------------------------

    def expand(self, channel: Channel, packet: Packet) -> None:
        """An `Expand` of the scheduler."""
        question = packet[0]
        if not isinstance(question, m.Expand):
            channel.close()
            return
        self._expansions.append((channel, self._answers(question)))
        if len(self._expansions) == 1:
            self._go_on()

    def _go_on(self) -> None:
        """Send answers as far as the scheduler reads: all at once, a large one would overflow the channel and close it."""
        while self._expansions:
            channel, answers = self._expansions[0]
            if channel.backlog > FEW_PACKETS:
                self._loop.call_later(PAUSE_SECONDS, self._go_on)
                return
            some = list(itertools.islice(answers, SOME_PACKETS))
            is_there = all(_send(channel, answer) for answer in some)
            if not is_there or len(some) < SOME_PACKETS:
                self._expansions.popleft()

    def _answers(self, question: m.Expand) -> Iterator[m.Message]:
        self._look()
        try:
            found = self._resolver.expand(question.recipient)
        except (SnapshotMissing, RecordError) as error:
            self._complain(error)
            yield m.Unresolved(question.tag, *_NOT_NOW)
            return
        if isinstance(found, Obstacle):
            yield m.Unresolved(question.tag, *_UNRESOLVED[found])
            return
        for final in found:
            is_last = final is found[-1]
            yield m.Expansion(question.tag, final.recipient, final.domain, final.store, final.counted, is_last)

    # --- snapshot -----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Take what was published now, and tell the journal when it cannot be used."""
        self._looked = 0.0
        self._look()

    def _look(self) -> None:
        """Take what was published, unless we looked a moment ago."""
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        if self._snapshot.refresh():
            self._resolver.forget()
        if self._snapshot.trouble != self._trouble:
            self._trouble = self._snapshot.trouble
            self.peers.event("snapshot-trouble" if self._trouble else "snapshot-in-use", why=self._trouble)

    def _complain(self, error: Exception) -> None:
        """Tell the journal that a question could not be answered; once for each state of the snapshot, not each time."""
        if self._snapshot.serial != self._complained and isinstance(error, RecordError):
            self._complained = self._snapshot.serial
            self.peers.event("snapshot-record-wrong", why=str(error))


def _send(channel: Channel, message: m.Message) -> bool:
    """Answer; who asked may be gone by now, and then nobody waits."""
    try:
        channel.send(message)
    except ChannelClosed:
        return False
    return True
