"""What goes to other hosts: one send for each message and destination, and what its answers mean for both.

A reader would otherwise get wrong: a message that cannot go now mostly leaves its attempt. It waits in its destination's
line as nothing but a queue id, and is read and expanded anew when it is called; where mail goes may have changed by then.
"""

from collections.abc import Iterator
from typing import Protocol

from mta.record import dataclass, field
from mta.roles.scheduler.attempt import Attempt, Result, Target
from mta.roles.scheduler.destinations import NO_TROUBLE, Caller, Destination, Destinations, Kind, Trouble
from mta.roles.scheduler.hands import Hands
from mta.vocabulary import TLS_NOT_REQUIRED, Action, arrival_of
from mta.wire import messages as m
from mta.wire.messages import MAX_SEND_RECIPIENTS

MAX_WAITING = 1000  # parts of messages that wait in memory for a slot

_ACTIONS = {each.value: each for each in (Action.RELAYED, Action.DELIVERED, Action.FAILED, Action.DELAYED)}


@dataclass(slots=True, eq=False)
class Going:
    """A message on its way to one destination, for some or all of its recipients there."""

    attempt: Attempt
    destination: Destination
    reverse_path: bytes
    recipients: list[tuple[bytes, list[Target]]]  # final recipient, and which recipients of the envelope come to it
    kind: Kind | None = Kind.HEALTHY  # of the slot that it takes
    unanswered: set[int] = field(default_factory=set)
    took: bool = False  # the host took or refused somebody for good
    trouble: Trouble = NO_TROUBLE


class Judge(Protocol):
    """Whose messages they are."""

    def next_tag(self) -> int:
        """A tag that was not used yet."""

    def result(self, attempt: Attempt, target: Target, outcome: Result, now: float) -> None:
        """One final recipient has a result."""

    def resume(self, destination: Destination, queue_ids: list[bytes]) -> None:
        """*queue_ids*, which waited for *destination*, may go."""

    def advance(self, attempt: Attempt, now: float) -> None:
        """Something that *attempt* had asked was answered."""


class Outward:
    """All sends."""

    def __init__(self, judge: Judge, hands: Hands, destinations: Destinations) -> None:
        self._judge, self._hands, self.destinations = judge, hands, destinations
        self._sends: dict[int, Going] = {}
        self._waiting = 0

    @property
    def under_way(self) -> int:
        """Sends that are not answered yet."""
        return len(self._sends)

    # --- going

    def begin(self, attempt: Attempt, now: float) -> None:
        """Everything that *attempt* has for other hosts, now that it is all known."""
        outward, attempt.outward = attempt.outward, {}
        is_lax = TLS_NOT_REQUIRED in attempt.envelope.options.split()
        for hop, recipients in outward.items():
            destination = self.destinations.at(hop.domain, hop.route, now, is_lax=is_lax)
            for some in _in_parts(list(recipients.items())):
                self._go(Going(attempt, destination, hop.reverse_path, some), now)

    def _go(self, going: Going, now: float) -> None:
        attempt, destination = going.attempt, going.destination
        if attempt.called is not None and attempt.called[0] is destination:
            (_, going.kind), attempt.called = attempt.called, None
            self._send(going, now)
            return
        if destination.until > now and not attempt.insists:
            self._put_off(going, now)
            return
        going.kind = kind = self.destinations.kind_of(destination, arrival_of(attempt.queue_id), now)
        if not destination.waiting and self.destinations.take(destination, kind):
            self._send(going, now)
        elif (destination.is_up or attempt.going) and self._waiting < MAX_WAITING:
            self._waiting += 1
            attempt.asked += 1
            attempt.going += 1
            self.destinations.wait(going, now)
        elif destination.failures:
            self._put_off(going, now)
        else:
            attempt.awaits = attempt.awaits or destination
            for _, targets in going.recipients:
                for index, _ in targets:
                    attempt.left_open(index)

    def _put_off(self, going: Going, now: float) -> None:
        """Not now: the destination is in trouble, and what it was is what everybody hears who wanted to go there."""
        going.attempt.put_off.add(going.destination)
        for _, targets in going.recipients:
            for target in targets:
                self._judge.result(going.attempt, target, Result(Action.DELAYED, *going.destination.trouble), now)

    def _send(self, going: Going, now: float) -> None:
        """Hand it to remotespawn; a slot is taken for it."""
        tag = self._judge.next_tag()
        if all(self._hands.tell("remotespawn", request) for request in self._requests(going, tag)):
            going.unanswered = set(range(len(going.recipients)))
            self._sends[tag] = going
            going.attempt.asked += 1
            going.attempt.going += 1
        else:
            self.destinations.give_back(going.destination, going.kind, now)
            for _, targets in going.recipients:
                for index, _ in targets:
                    going.attempt.unanswered(index)

    def _requests(self, going: Going, tag: int) -> Iterator[m.Message]:
        attempt, destination = going.attempt, going.destination
        envelope = attempt.envelope
        yield m.Send(
            tag, attempt.queue_id, destination.domain, destination.route, going.reverse_path, envelope.mail_options,
            envelope.size, len(going.recipients), going.kind is Kind.DOUBTFUL,
        )  # fmt: skip
        for number, (final, targets) in enumerate(going.recipients):
            yield m.SendRecipient(tag, number, final, _wishes(attempt, targets))

    def call(self, now: float) -> tuple[Caller, bytes] | None:
        """Send what waits in memory and may go; then a queue id whose turn it is, if there is one, with its slot."""
        while (called := self.destinations.call(now)) is not None:
            caller, next_one = called
            if isinstance(next_one, bytes):
                return caller, next_one
            self._waiting -= 1
            next_one.attempt.asked -= 1
            next_one.attempt.going -= 1
            next_one.kind = caller[1]
            self._send(next_one, now)
            self._judge.advance(next_one.attempt, now)
        return None

    # --- what became of it

    def sent(self, answer: m.Sent, now: float) -> None:
        """One recipient has a result."""
        going = self._sends.get(answer.tag)
        if going is None or answer.index not in going.unanswered:
            return
        going.unanswered.discard(answer.index)
        action = _ACTIONS.get(answer.action, Action.DELAYED)
        trouble = Trouble(answer.status, answer.diagnostic_code, answer.remote_mta)
        if action is Action.DELAYED:
            going.trouble = trouble
        else:
            going.took = True
        targets = going.recipients[answer.index][1]
        notifies = action is Action.RELAYED and answer.notifies and bool(_wishes(going.attempt, targets))
        for target in targets:
            self._judge.result(going.attempt, target, Result(action, *trouble, notifies, answer.tls, answer.stage), now)
        if action is Action.FAILED:
            self._tell_whoever_forwards(going, answer)

    def _tell_whoever_forwards(self, going: Going, answer: m.Sent) -> None:
        final, targets = going.recipients[answer.index]
        recipients = going.attempt.envelope.recipients
        if all(recipients[index].forward_path != final for index, _ in targets):
            words = b"%b %b" % (answer.status, answer.diagnostic_code[:800])
            self._hands.tell("ledger", m.TargetFailed(final, words))

    def waits(self, answer: m.SendWaits) -> None:
        """A send takes no place at remotespawn any more, and so no slot here."""
        going = self._sends.get(answer.tag)
        if going is not None and going.kind is not None:
            self.destinations.step_aside(going.kind)
            going.kind = None

    def done(self, answer: m.SendDone, now: float) -> None:
        """All recipients of a send have been answered, and the destination may be judged."""
        going = self._sends.pop(answer.tag, None)
        if going is None:
            return
        self._judge_host(going, answer, now)
        self._end(going, now)

    def _judge_host(self, going: Going, answer: m.SendDone, now: float) -> None:
        destination, trouble, is_news = going.destination, going.trouble, False
        if answer.host_trouble:
            going.attempt.put_off.add(destination)
            trouble = trouble if trouble.status else destination.trouble
            is_news = self.destinations.failed(destination, trouble, float(answer.retry_after), now)
        elif not trouble.is_ours:
            going.attempt.otherwise = going.attempt.otherwise or bool(trouble.status)
            if going.took or not trouble.status:
                self._worked(destination)
            else:
                is_news = self.destinations.took_nothing(destination, trouble, now)
        if destination.until > now:
            self._put_off_waiting(destination, now)
        if is_news:
            self._hands.event(
                "destination-down", domain=destination.domain, route=destination.route, status=destination.trouble.status,
                diagnostic_code=destination.trouble.words,
            )  # fmt: skip

    def _put_off_waiting(self, destination: Destination, now: float) -> None:
        """It may be hours. They hear what it is, and what else is known of their messages need not wait for it."""
        waiting, destination.waiting = destination.waiting, []
        for going in waiting:
            self._waiting -= 1
            going.attempt.asked -= 1
            going.attempt.going -= 1
            self._put_off(going, now)
            self._judge.advance(going.attempt, now)

    def _worked(self, destination: Destination) -> None:
        was_down, line = self.destinations.worked(destination)
        if was_down:
            self._hands.event("destination-up", domain=destination.domain, route=destination.route)
        self._judge.resume(destination, line)

    def _end(self, going: Going, now: float) -> None:
        attempt = going.attempt
        for number in going.unanswered:
            for index, _ in going.recipients[number][1]:
                attempt.unanswered(index)
        attempt.asked -= 1
        attempt.going -= 1
        self.destinations.give_back(going.destination, going.kind, now)
        self._judge.advance(attempt, now)

    def lost(self, now: float) -> None:
        """Its role ended: what that was asked was perhaps done, perhaps not."""
        sends, self._sends = self._sends, {}
        for going in sends.values():
            for _ in going.unanswered:
                self._hands.event(
                    "in-doubt", queue_id=going.attempt.queue_id, domain=going.destination.domain, remote_mta=b""
                )
            self._end(going, now)


def _wishes(attempt: Attempt, targets: list[Target]) -> bytes:
    """What the next host is asked to notify of, for the one final recipient that *targets* come to; empty: that is ours.

    RFC 3461 5.2.7.3: of an address that turned out to be several the sender's wishes are ours to fulfil. So they are when
    two of his recipients come to the same one, and he wishes something else of each.
    """
    wishes = {attempt.envelope.recipients[index].options for index, _ in targets}
    is_one = len(wishes) == 1 and all(attempt.ends.get(index) == 1 for index, _ in targets)
    return wishes.pop() if is_one else b""


def _in_parts(recipients: list[tuple[bytes, list[Target]]]) -> Iterator[list[tuple[bytes, list[Target]]]]:
    for start in range(0, len(recipients), MAX_SEND_RECIPIENTS):
        yield recipients[start : start + MAX_SEND_RECIPIENTS]
