"""One attempt at one message: which recipients are decided, what is still asked, what must be written down.

A reader would otherwise get wrong: a recipient is decided when *all* mailboxes its address expanded to are. Two recipients
that come to the same mailbox share one delivery.
"""

import collections
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, NamedTuple

from mta.record import dataclass, field, replace
from mta.spool.envelope import Envelope
from mta.spool.progress import MAX_DIAGNOSTIC, Outcome, Progress
from mta.vocabulary import Action

if TYPE_CHECKING:
    from mta.roles.scheduler.destinations import Caller, Destination

Target = tuple[int, bytes]  # which recipient of the envelope, and the final recipient
Mailbox = tuple[bytes, bytes]  # domain and store


class Result(NamedTuple):
    """What became of one final recipient."""

    action: Action
    status: bytes  # RFC 3463
    diagnostic_code: bytes
    remote_mta: bytes = b""  # the host that said so
    notifies: bool = False  # it took over the sender's wishes about notifications (RFC 3461 5.2.1)
    tls: bytes = b""  # of the conversation in which it was said
    stage: bytes = b""  # the command whose answer decided it


class Answerer(NamedTuple):
    """A mailbox that answers its mail by itself."""

    mailbox: bytes  # address key
    proof: bytes  # the directory's word for it


class Home(NamedTuple):
    """A mailbox here, and whose quota it counts against, or nothing."""

    mailbox: Mailbox
    counted: bytes
    answerer: Answerer | None = None


class Hop(NamedTuple):
    """Where mail goes on to, and with which reverse-path."""

    domain: bytes
    route: bytes
    reverse_path: bytes


Ends = dict[bytes, Home | Hop]  # final recipient: where that is


_UNTRIED = Result(Action.DELAYED, b"", b"it could not be tried")
_FINAL = frozenset({Action.DELIVERED, Action.FAILED, Action.RELAYED})


@dataclass(slots=True, eq=False)
class Delivery:
    """What waits for, or knows, the result of writing into one mailbox."""

    recipient: bytes
    counted: bytes
    targets: list[Target]
    answerer: Answerer | None = None
    outcome: Result | None = None


@dataclass(slots=True, eq=False)
class Attempt:
    """All that is in memory of a message while it has a place."""

    queue_id: bytes
    envelope: Envelope
    domain: bytes
    fresh: bool
    number: int = 1
    asked: int = 0  # questions without an answer, and what waits for its turn to be asked
    expanding: int = 0  # of those, the directory's
    going: int = 0  # of those, sends to other hosts
    is_abroad: bool = False  # nothing else is open: it takes no place
    called: "Caller | None" = None  # the destination out of whose line it came, which keeps a slot for it
    awaits: "Destination | None" = None  # whose turn it has to wait for, having asked nobody
    put_off: "set[Destination]" = field(default_factory=set)  # destinations in trouble that something of it goes to
    otherwise: bool = False  # something was deferred, and not because of a destination
    parked: bool = False  # its sender is suspended
    insists: bool = False  # an operator wants it tried, whatever is known of its destinations
    targets: int = 0  # how many are decided, or were begun in this attempt
    soon: bool = False  # what was deferred was deferred by trouble of our own
    reported: int = 0  # the sender was told what was decided in attempts up to this one
    delay_reported: bool = False
    torn: bool = False
    to_expand: collections.deque[int] = field(default_factory=collections.deque)
    to_deliver: collections.deque[Mailbox] = field(default_factory=collections.deque)
    mailboxes: dict[Mailbox, Delivery] = field(default_factory=dict)
    outward: dict[Hop, dict[bytes, list[Target]]] = field(default_factory=dict)  # not begun yet
    ends: dict[int, int] = field(default_factory=dict)  # recipient: how many it came to in this attempt
    decided: dict[Target, Outcome] = field(default_factory=dict)
    complete: dict[int, int] = field(default_factory=dict)  # recipient: the attempt that decided it
    open_targets: dict[int, int] = field(default_factory=dict)  # recipient: final recipients without a result yet
    delayed: dict[Target, Result] = field(default_factory=dict)  # in this attempt
    known: collections.Counter[int] = field(default_factory=collections.Counter)  # recipient: how many in decided
    held_up: set[int] = field(default_factory=set)  # recipients with something delayed in this attempt
    told: dict[Target, bytes] = field(default_factory=dict)  # status of the last delay that is on disk
    unwritten: list[Outcome] = field(default_factory=list)

    @classmethod
    def begin(cls, queue_id: bytes, envelope: Envelope, domain: bytes, progress: Progress, *, fresh: bool) -> "Attempt":
        """An attempt at what *progress* leaves undecided."""
        self = cls(queue_id, envelope, domain, fresh, torn=progress.torn)
        self.reported, self.delay_reported = progress.reported, progress.delay_reported
        # Above both, though lines may be lost: what this attempt decides must not pass for told already.
        self.number = progress.reported + 1
        completes: dict[int, tuple[int, int]] = {}
        for outcome in progress.outcomes:
            target = (outcome.index, outcome.final_recipient)
            self.number = max(self.number, outcome.attempt + 1)
            if outcome.action in _FINAL:
                self.known[outcome.index] += target not in self.decided
                self.decided[target] = outcome
            elif outcome.action is Action.DELAYED:
                self.told[target] = outcome.status
            if outcome.completes:
                completes[outcome.index] = (outcome.completes, outcome.attempt)
        self.targets = len(self.decided)
        self.complete = {index: number for index, (count, number) in completes.items() if self.known[index] >= count}
        self.to_expand.extend(index for index in range(len(envelope.recipients)) if index not in self.complete)
        return self

    @property
    def undecided(self) -> list[int]:
        """The recipients that need another attempt."""
        return [index for index in range(len(self.envelope.recipients)) if index not in self.complete]

    @property
    def failed(self) -> list[Outcome]:
        """What has failed since the last notification."""
        return [
            outcome for outcome in self.decided.values()
            if outcome.action is Action.FAILED and outcome.attempt > self.reported
        ]  # fmt: skip

    @property
    def has_relayed(self) -> bool:
        """Does another host have a copy of which nothing is written down yet? Not for long: it would get a second one."""
        return any(outcome.action is Action.RELAYED for outcome in self.unwritten)

    @property
    def asked_to_notify(self) -> bool:
        """Did the sender say anything about notifications?"""
        return any(recipient.options for recipient in self.envelope.recipients)

    def targets_among(self, index: int, finals: Collection[bytes]) -> int:
        """How many more there are when recipient *index* comes to *finals*."""
        return sum((index, final) not in self.decided for final in finals)

    def expanded(self, index: int, ends: Ends, now: float) -> list[tuple[Target, Delivery]]:
        """Recipient *index* comes to *ends*. Answers those whose mailbox has a result already."""
        open_ends = [(final, end) for final, end in ends.items() if (index, final) not in self.decided]
        self.open_targets[index] = len(open_ends)
        self.ends[index] = len(ends)
        self.targets += len(open_ends)
        if not open_ends:
            self._complete(index, now)
        known = []
        for final, end in open_ends:
            if isinstance(end, Hop):
                self.outward.setdefault(end, {}).setdefault(final, []).append((index, final))
                continue
            delivery = self.mailboxes.get(end.mailbox)
            if delivery is None:
                self.mailboxes[end.mailbox] = Delivery(final, end.counted, [(index, final)], end.answerer)
                self.to_deliver.append(end.mailbox)
            elif delivery.outcome is None:
                delivery.targets.append((index, final))
            else:
                known.append(((index, final), delivery))
        return known

    def note(self, target: Target, result: Result, now: float) -> None:
        """One final recipient has a result in this attempt."""
        index, final = target
        self.open_targets[index] = self.open_targets.get(index, 1) - 1
        outcome = Outcome(
            index, final, result.action, result.status, self.number, int(now), result.diagnostic_code,
            remote_mta=result.remote_mta, notifies=result.notifies,
        )  # fmt: skip
        if result.action in _FINAL:
            self.decided[target] = outcome
            self.known[index] += 1
            self.unwritten.append(outcome)
        else:
            self.delayed[target] = result
            self.held_up.add(index)
            if self.told.get(target) != result.status:
                # One line for each new reason is enough for whoever looks; a line for each attempt would grow for days.
                self.told[target] = result.status
                self.unwritten.append(outcome)
        if not self.open_targets[index] and index not in self.held_up:
            self._complete(index, now)

    def unanswered(self, index: int) -> None:
        """Whom we asked about recipient *index* is gone, or away: it stays undecided, through no fault of the recipient."""
        self.soon = True
        self.left_open(index)

    def left_open(self, index: int) -> None:
        """Recipient *index* stays undecided in this attempt."""
        self.open_targets[index] = -1  # Never zero again in this attempt, so it cannot become complete.

    def expire(self) -> Iterator[tuple[Target, Result]]:
        """The lifetime is over: what is undecided fails. Answers the results, which are for the caller to `note`."""
        delayed = collections.defaultdict(list)
        for target in self.delayed:
            delayed[target[0]].append(target)
        self.held_up.clear()
        for index in self.undecided:
            targets = delayed[index] or [(index, self.envelope.recipients[index].forward_path)]
            self.open_targets[index] = len(targets)
            for target in targets:
                last = self.delayed.pop(target, _UNTRIED)
                # Cut as the file cuts it: of more the bouncer would make nothing, and hang up.
                why = (b"it was tried for too long; last: " + last.diagnostic_code)[:MAX_DIAGNOSTIC]
                yield target, Result(Action.FAILED, b"5.4.7", why, last.remote_mta)

    def _complete(self, index: int, now: float) -> None:
        count = self.known[index]
        if self.unwritten and self.unwritten[-1].index == index and self.unwritten[-1].action in _FINAL:
            last = self.unwritten.pop()
            line = replace(last, completes=count)
        else:
            # Nothing new became of it: the mailboxes that were still open are no longer among those it expands to.
            forward_path = self.envelope.recipients[index].forward_path
            line = Outcome(index, forward_path, Action.EXPANDED, b"2.0.0", self.number, int(now), b"", max(count, 1))
        self.unwritten.append(line)
        self.complete[index] = self.number
