"""The judgement of scheduler: whose turn it is, what is asked of whom, what an answer means for a message.

A reader would otherwise get wrong: there are no states to keep in step. A message is either waiting for a place, in an
attempt, waiting for its moment, in the line of a destination, waiting for its notification, held, or waiting to be cleaned;
everything else is read from its files when an attempt begins.
"""

import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Collection

from mta.roles.scheduler import reports
from mta.roles.scheduler.attempt import Answerer, Attempt, Ends, Home, Hop, Mailbox, Result, Target
from mta.roles.scheduler.cleaning import Cleaning
from mta.roles.scheduler.destinations import MOST_DESTINATIONS, Caller, Destination, Destinations
from mta.roles.scheduler.hands import Hands
from mta.roles.scheduler.holds import Holds
from mta.roles.scheduler.orders import Orders
from mta.roles.scheduler.outward import Outward
from mta.roles.scheduler.replying import Replying
from mta.roles.scheduler.retry import AFTER_START_SECONDS, Lifetimes, Soon, next_attempt
from mta.roles.scheduler.telling import Telling
from mta.roles.scheduler.waiting import Waiting
from mta.spool import envelope as envelope_format
from mta.spool import progress as progress_format
from mta.spool.envelope import Envelope, Generation, NotWholeError, UnknownVersionError
from mta.spool.progress import Progress
from mta.vocabulary import Action, arrival_of
from mta.wire import messages as m

PLACES = 400  # messages in an attempt at once, those not counted that only wait for other hosts
RETRY_PLACES = 100  # of those, for old mail
DOMAIN_PLACES = 128  # of all, for one domain: twice what a local delivers as one batch
# Of old messages so many are begun at once, and the next so much later: five hundred a second. Begun all together they would
# keep scheduler and directory busy for 20 ms, in which a fresh message waits.
OLD_AT_ONCE = 5
OLD_SECONDS = 0.01
RECENT_SECONDS = 60.0  # What is found in the spool and came longer ago is old, tried or not.
# A target is a final recipient as one of the envelope's comes to it: a thousand of these, each an alias for a thousand, would
# be half a gigabyte. One message has at most so many; all together so many, but a few each has anyway.
MAX_TARGETS = 20_000
ALL_TARGETS = 100_000
FEW_TARGETS = 1000
BEGINNINGS = 800  # attempts begun between two looks at the channels
FRESH_TURNS = 8  # One old message after so many fresh ones, so that old mail moves under any load.
WINDOW = 20  # questions about one message at once; times PLACES less than a channel lets wait for a slow peer
MAX_CLEANING = 5_000  # With so many to be removed, deliver no more: the cleaner has trouble.
WRITE_FROM = 10  # Outcomes after which they are written down though the attempt goes on.
BUSY_SECONDS = 10.0  # An old message of a busy domain looks again so much later.
UNREADABLE_SECONDS = 300.0

_NO_PROGRESS = Progress()

_ACTIONS = {action.value: action for action in (Action.DELIVERED, Action.FAILED, Action.DELAYED)}
_EVENTS = {
    Action.DELIVERED: "delivered",
    Action.FAILED: "failed",
    Action.DELAYED: "deferred",
    Action.EXPANDED: "expanded",
    Action.RELAYED: "relayed",
}
_TOO_MANY = Result(Action.DELAYED, b"4.5.3", b"The message has too many recipients behind those that it names")
_OURS = b"4.3."  # RFC 3463 3.4: the mail system's own trouble, not the mailbox's


class Queue:
    """Every message that is owed."""

    def __init__(
        self, hands: Hands, lifetimes: Lifetimes, chance: Callable[[], float], delay: float = reports.DELAY_SECONDS,
        is_ours: Callable[[Envelope], bool] = lambda envelope: bool(envelope.identity),
        most_destinations: int = MOST_DESTINATIONS,
    ) -> None:  # fmt: skip
        """*delay*: seconds after which a sender of ours (*is_ours*) hears that his message takes long; 0: never."""
        self._hands, self._lifetimes, self._chance = hands, lifetimes, chance
        self._delay, self._is_ours = delay, is_ours
        self.destinations = Destinations(chance, most_destinations)
        self.outward = Outward(self, hands, self.destinations)
        self._telling = Telling(self, hands, lifetimes, is_ours)
        self._replying = Replying(hands, self.next_tag, {})
        self._cleaning = Cleaning(hands, self._forget)
        self.holds = Holds(self, hands)
        self.orders = Orders(self, hands)
        self._known: set[bytes] = set()
        self._listed: tuple[set[bytes], set[bytes]] = (set(), set())  # found in the last listing, and the one before
        self._fresh = Waiting()
        self._sleeping: list[tuple[float, bytes]] = []
        self._due: deque[bytes] = deque()
        self._old_turns = OLD_AT_ONCE
        self._in_hand: dict[bytes, Attempt] = {}  # in an attempt, or in what follows from it
        self._abroad = 0  # attempts that wait for nothing but other hosts
        self._attempts: set[Attempt] = set()
        self._retrying = 0
        self._targets = 0  # of all attempts
        self._by_domain: dict[bytes, int] = {}
        self._turn = 0
        self._tag = 0
        self._is_closed = False
        self._expands: dict[int, tuple[Attempt, int, Ends]] = {}
        self._delivers: dict[int, tuple[Attempt, Mailbox]] = {}
        self._soon = Soon()

    def __len__(self) -> int:
        """Messages that are owed or not yet removed."""
        return len(self._known)

    # --- what there is

    def queued(self, queue_id: bytes, octets: bytes) -> None:
        """The enqueuer has a new message; *octets* are its envelope, or nothing when it is to be read."""
        if queue_id in self._known or any(queue_id in listed for listed in self._listed):
            return
        self._known.add(queue_id)
        envelope = None
        if octets:  # Else, and should they be wrong, what is in the file counts.
            with contextlib.suppress(NotWholeError, UnknownVersionError):
                envelope = envelope_format.parse(octets)
        self._fresh.add(_domain(envelope) if envelope else b"", queue_id, envelope)

    def listed(self, enveloped: Collection[bytes], in_progress: Collection[bytes], now: float) -> None:
        """What is in the folders: *enveloped* is owed, *in_progress* has been tried."""
        found = set(enveloped) - self._known
        self._listed = (found, self._listed[0])
        tried = set(in_progress)
        for queue_id in sorted(found - tried):
            if now - arrival_of(queue_id) < RECENT_SECONDS:
                self._fresh.add(b"", queue_id, None)
            else:
                self._due.append(queue_id)
        for queue_id in found & tried:
            # Perhaps its attempt was only interrupted. The older it is, the more of its like there are to be spread.
            age = max(0.0, now - arrival_of(queue_id))
            planned = next_attempt(arrival_of(queue_id), now, self._chance())
            self._sleep(queue_id, min(planned, now + self._chance() * min(age, AFTER_START_SECONDS)))
        self._known |= found
        for queue_id in tried - self._known:
            self._known.add(queue_id)  # Progress without an envelope: its cleaner was stopped half way (S4).
            self._cleaning.add(queue_id)

    def owed(self) -> list[bytes]:
        """See `Orders`."""
        return sorted(self._known)

    def is_owed(self, queue_id: bytes) -> bool:
        """See `Orders`."""
        return queue_id in self._known and queue_id not in self._cleaning

    def is_in_hand(self, queue_id: bytes) -> bool:
        """See `Orders`."""
        return queue_id in self._in_hand

    def finish(self, queue_id: bytes) -> None:
        """See `Holds`."""
        self._cleaning.add(queue_id)

    def planned(self) -> dict[bytes, float]:
        """See `Orders`."""
        found: dict[bytes, float] = {}
        for moment, queue_id in self._sleeping:
            if found.setdefault(queue_id, moment) > moment:
                found[queue_id] = moment
        return found

    def flush(self, now: float) -> int:
        """See `Orders`."""
        early, self._sleeping = self._sleeping, []
        self._due.extend(queue_id for _, queue_id in sorted(early))
        self._due.extend(self.destinations.flush(now))
        return len(self._due) + len(self._fresh)

    # --- whose turn it is

    def tick(self, now: float) -> None:
        """Time has passed: what is due is due, what was not removed is asked for again."""
        while self._sleeping and self._sleeping[0][0] <= now:
            self._due.append(heapq.heappop(self._sleeping)[1])
        self._due.extend(self.destinations.tick(now, self._is_due))
        self._cleaning.tick()

    def give_old_turns(self) -> bool:
        """OLD_SECONDS have passed: the next old messages may begin. Does any wait, so that this is to be called again?"""
        self._old_turns = OLD_AT_ONCE
        return bool(self._due)

    def close(self) -> None:
        """Begin nothing any more: this process ends."""
        self._is_closed = True

    def _is_due(self, queue_id: bytes, before: float, now: float) -> bool:
        """Has a message that waits for a destination become too old in between, or its sender something to hear?"""
        arrival = arrival_of(queue_id)
        moments = (self._delay, self._lifetimes.ordinary, self._lifetimes.bounce)
        return any(before < arrival + moment <= now for moment in moments)

    def pump(self, now: float) -> None:
        """The end of a burst: have removed what is finished, and begin attempts as long as there are places."""
        self._begin_some(now)
        self.orders.step()
        self._cleaning.tell()

    def _begin_some(self, now: float) -> None:
        if self._is_closed or not (self._hands.there("directory") and self._hands.there("localspawn")):
            return
        for _ in range(BEGINNINGS):
            if len(self._cleaning) >= MAX_CLEANING:
                return
            called = self.outward.call(now)
            if called is not None:
                self._begin(called[1], None, now, fresh=True, caller=called[0])
            elif len(self._attempts) - self._abroad >= PLACES or not self._begin_next(now):
                return

    def _begin_next(self, now: float) -> bool:
        """Begin what an operator asked for, else a fresh message, or now and then an old one; was there any?"""
        if (asked_for := self.holds.next_called()) is not None:
            self._begin(asked_for, None, now, fresh=True)
            return True
        self._turn += 1
        old_may = self._due and self._retrying < RETRY_PLACES and self._old_turns > 0
        taken = None
        if not old_may or self._turn % FRESH_TURNS:
            taken = self._fresh.take(self._is_busy)
        if taken is not None:
            self._begin(taken[0], taken[1], now, fresh=True)
            return True
        if old_may:
            self._old_turns -= 1
            self._begin(self._due.popleft(), None, now, fresh=False)
            return True
        return bool(self._fresh) and self._turn % FRESH_TURNS == 0

    def _is_busy(self, domain: bytes) -> bool:
        return bool(domain) and self._by_domain.get(domain, 0) >= DOMAIN_PLACES

    def _begin(
        self, queue_id: bytes, told: Envelope | None, now: float, *, fresh: bool, caller: Caller | None = None
    ) -> None:
        """Begin an attempt, for which *caller* keeps a slot when it came out of a destination's line."""
        attempt = self._attempt_at(queue_id, told, now, fresh=fresh, is_called=caller is not None)
        if attempt is None:
            if caller is not None:
                self.destinations.give_back(*caller, now)
            return
        attempt.called = caller
        self._attempts.add(attempt)
        self._in_hand[queue_id] = attempt
        self._targets += attempt.targets
        self._retrying += not fresh
        self._by_domain[attempt.domain] = self._by_domain.get(attempt.domain, 0) + 1
        self.advance(attempt, now)

    def _attempt_at(
        self, queue_id: bytes, told: Envelope | None, now: float, *, fresh: bool, is_called: bool
    ) -> Attempt | None:
        may_go = self.holds.lets_go(queue_id)  # Asked in any case: an entry of it has come up.
        if not may_go or queue_id in self._in_hand or queue_id in self._cleaning:
            return None
        insists = self.holds.insists(queue_id)
        envelope = told or self._read_envelope(queue_id, now)
        if envelope is None:
            return None
        domain = _domain(envelope)
        if not is_called and self._is_busy(domain):
            if fresh:
                self._fresh.add(domain, queue_id, told)
            else:
                self._sleep(queue_id, now + BUSY_SECONDS * (0.5 + self._chance()))
            return None
        # What the enqueuer just told us of has no progress yet.
        progress = _NO_PROGRESS if told else self._read_progress(queue_id, now)
        if progress is None:
            return None
        attempt = Attempt.begin(queue_id, envelope, domain, progress, fresh=fresh)
        attempt.insists = insists
        return attempt

    def _read_progress(self, queue_id: bytes, now: float) -> Progress | None:
        """What was written down of a message; None when it is not to be tried now."""
        try:
            progress = progress_format.parse(self._hands.progress(queue_id))
        except OSError:
            self._sleep(queue_id, now + UNREADABLE_SECONDS)
            return None
        if progress.removed:
            self._cleaning.add(queue_id)
        elif progress.held:
            self.holds.found(queue_id)
        return None if progress.removed or progress.held else progress

    def _read_envelope(self, queue_id: bytes, now: float) -> Envelope | None:
        try:
            found = self._hands.envelope(queue_id)
            if found is None:
                self._forget({queue_id})
                return None
            return envelope_format.parse(found)
        except NotWholeError:
            self._forget({queue_id})  # Being taken at this moment: we are told when it is whole.
        except UnknownVersionError as error:
            # Stays known, so that nobody tries it again before an upgrade starts a new scheduler; and stays in the spool.
            self._hands.event("spool-version-unknown", queue_id=queue_id, error=str(error))
        except OSError as error:
            self._hands.event("spool-unreadable", queue_id=queue_id, error=error.strerror or "?")
            self._sleep(queue_id, now + UNREADABLE_SECONDS)
        return None

    # --- one attempt

    def advance(self, attempt: Attempt, now: float) -> None:
        """Ask what may be asked; when nothing is open any more, settle."""
        while attempt.asked - attempt.going < WINDOW and attempt.to_deliver:
            self._deliver(attempt)
        while attempt.asked - attempt.going < WINDOW and attempt.to_expand:
            self._expand(attempt)
        if attempt.outward and not attempt.expanding and not attempt.to_expand:
            self.outward.begin(attempt, now)
        if attempt.asked == 0:
            self._settle(attempt, now)
            return
        if len(attempt.unwritten) >= WRITE_FROM or attempt.has_relayed:
            self._write(attempt)
        self._see_abroad(attempt, is_abroad=attempt.asked == attempt.going)

    def _see_abroad(self, attempt: Attempt, *, is_abroad: bool) -> None:
        """Whoever waits for other hosts only leaves his place to others: slots bound how many there are."""
        if is_abroad is not attempt.is_abroad:
            attempt.is_abroad = is_abroad
            change = 1 if is_abroad else -1
            self._abroad += change
            self._retrying -= change * (not attempt.fresh)

    def _expand(self, attempt: Attempt) -> None:
        index = attempt.to_expand.popleft()
        tag = self.next_tag()
        envelope = attempt.envelope
        # Only of what a stranger brought and would be told of can it matter whether he could have been refused.
        is_strangers = bool(envelope.session) and not envelope.identity
        blamed = envelope.reverse_path if is_strangers and envelope.generation is Generation.ORDINARY else b""
        question = m.Expand(
            tag, envelope.recipients[index].forward_path, attempt.queue_id, blamed, envelope.reverse_path,
            envelope.identity, envelope.client if is_strangers else b"", envelope.size,
            self._hands.glance(attempt.queue_id), index in envelope.passed,
        )  # fmt: skip
        if self._hands.tell("directory", question):
            self._expands[tag] = (attempt, index, {})
            attempt.asked += 1
            attempt.expanding += 1
        else:
            attempt.unanswered(index)

    def _deliver(self, attempt: Attempt) -> None:
        mailbox = attempt.to_deliver.popleft()
        delivery = attempt.mailboxes[mailbox]
        tag = self.next_tag()
        request = m.Deliver(
            tag, attempt.queue_id, attempt.envelope.reverse_path, delivery.recipient, *mailbox, delivery.counted
        )
        if self._hands.tell("localspawn", request):
            self._delivers[tag] = (attempt, mailbox)
            attempt.asked += 1
        else:
            self._undelivered(attempt, mailbox)

    def _undelivered(self, attempt: Attempt, mailbox: Mailbox) -> None:
        for index, _ in attempt.mailboxes.pop(mailbox).targets:
            attempt.unanswered(index)

    def expansion(self, answer: m.Expansion, now: float) -> None:
        """The directory names a mailbox."""
        answerer = Answerer(answer.replies, answer.proof) if answer.replies else None
        self._end_found(answer, Home((answer.domain, answer.store), answer.counted, answerer), now)

    def outward_end(self, answer: m.Outward, now: float) -> None:
        """The directory names an address at another host."""
        self._end_found(answer, Hop(answer.domain, answer.route, answer.reverse_path), now)

    def _end_found(self, answer: m.Expansion | m.Outward, end: Home | Hop, now: float) -> None:
        asked = self._expands.get(answer.tag)
        if asked is None:
            return
        attempt, index, ends = asked
        ends[answer.recipient] = end
        if not answer.last:
            return
        del self._expands[answer.tag]
        attempt.asked -= 1
        attempt.expanding -= 1
        more = attempt.targets_among(index, ends)
        beside = attempt.targets - attempt.known[index]  # One recipient alone is bounded by the directory.
        if beside and beside + len(ends) > MAX_TARGETS:
            target = (index, attempt.envelope.recipients[index].forward_path)
            attempt.otherwise = True
            self.result(attempt, target, _TOO_MANY, now)
        elif attempt.targets + more > FEW_TARGETS and self._targets - attempt.targets >= ALL_TARGETS:
            attempt.unanswered(index)
        else:
            self._targets += more
            for target, delivery in attempt.expanded(index, ends, now):
                assert delivery.outcome is not None
                self.result(attempt, target, delivery.outcome, now)
        self.advance(attempt, now)

    def unresolved(self, answer: m.Unresolved, now: float) -> None:
        """The directory knows no mailbox for it, now or at all."""
        asked = self._expands.pop(answer.tag, None)
        if asked is None:
            return
        attempt, index, _ = asked
        attempt.asked -= 1
        attempt.expanding -= 1
        attempt.otherwise = True
        attempt.parked = attempt.parked or answer.parked
        action = Action.FAILED if answer.permanent else Action.DELAYED
        target = (index, attempt.envelope.recipients[index].forward_path)
        self.result(attempt, target, Result(action, answer.status, answer.diagnostic_code), now)
        if answer.permanent and answer.refusable and reports.wants_failure(attempt.envelope.recipients[index]):
            self._hands.event(
                "backscatter", queue_id=attempt.queue_id, reverse_path=attempt.envelope.reverse_path,
                forward_path=target[1],
            )  # fmt: skip
        self.advance(attempt, now)

    def attempted(self, answer: m.Attempted, now: float) -> None:
        """A delivery has a result."""
        asked = self._delivers.pop(answer.tag, None)
        if asked is None:
            return
        attempt, mailbox = asked
        attempt.asked -= 1
        delivery = attempt.mailboxes[mailbox]
        action = _ACTIONS.get(answer.action, Action.DELAYED)
        delivery.outcome = Result(action, answer.status, answer.diagnostic_code)
        if action is Action.DELIVERED:
            self._soon.works()
        attempt.otherwise = attempt.otherwise or action is Action.DELAYED
        for target in delivery.targets:
            self.result(attempt, target, delivery.outcome, now)
        if action is Action.DELIVERED and delivery.answerer is not None:
            self._replying.ask(attempt, delivery.answerer)
        self.advance(attempt, now)

    def replied(self, answer: m.Replied, now: float) -> None:
        """A mailbox has answered, or does not."""
        attempt = self._replying.replied(answer.tag)
        if attempt is not None:
            self.advance(attempt, now)

    def result(self, attempt: Attempt, target: Target, result: Result, now: float) -> None:
        """One final recipient has a result."""
        action, status, diagnostic_code, remote_mta, _, tls, stage = result
        attempt.note(target, result, now)
        if action is Action.DELAYED and status.startswith(_OURS) and not remote_mta:
            attempt.soon = True
        index, final = target
        of_remote = {"remote_mta": remote_mta, "tls": tls, "stage": stage} if remote_mta else {}
        self._hands.event(
            _EVENTS[action], queue_id=attempt.queue_id, original_recipient=
            attempt.envelope.recipients[index].forward_path, final_recipient=final, status=status,
            diagnostic_code=diagnostic_code, **{name: value for name, value in of_remote.items() if value},
        )  # fmt: skip

    def lost(self, peer: str, now: float) -> None:
        """*peer* ended. What was asked of it was perhaps done, perhaps not: it is tried again, soon, and never failed."""
        touched: set[Attempt] = set()
        if peer == "directory":
            for attempt, index, _ in self._expands.values():
                attempt.unanswered(index)
                attempt.asked -= 1
                attempt.expanding -= 1
                touched.add(attempt)
            self._expands.clear()
        elif peer == "localspawn":
            for attempt, mailbox in self._delivers.values():
                self._undelivered(attempt, mailbox)
                attempt.asked -= 1
                touched.add(attempt)
            self._delivers.clear()
        elif peer == "remotespawn":
            self.outward.lost(now)
        elif peer == "bouncer":
            self._telling.lost(now)
            touched = self._replying.lost()
        elif peer == "cleaner":
            self._cleaning.lost()
        for attempt in touched:
            self.advance(attempt, now)

    # --- after an attempt

    def _settle(self, attempt: Attempt, now: float) -> None:
        self._see_abroad(attempt, is_abroad=False)
        self._attempts.discard(attempt)
        self._targets -= attempt.targets
        self._retrying -= not attempt.fresh
        self._by_domain[attempt.domain] -= 1
        if not self._by_domain[attempt.domain]:
            del self._by_domain[attempt.domain]
        if attempt.called is not None:  # It went nowhere near whoever called it.
            caller, attempt.called = attempt.called, None
            self.destinations.give_back(*caller, now)
        envelope = attempt.envelope
        is_kept = attempt.parked or self.holds.keeps(attempt.queue_id)
        if attempt.undecided and not is_kept and self._lifetimes.over(envelope.arrival, envelope.generation, now):
            for target, result in attempt.expire():
                self.result(attempt, target, result, now)
        told = reports.due(attempt, now, self._delay, is_ours=self._is_ours(envelope))
        if told and envelope.generation is not Generation.DOUBLE_BOUNCE:
            self._write(
                attempt
            )  # Before anybody is told: a scheduler that starts anew must not attempt what is decided.
            self._telling.tell(attempt, told, now)
            return
        if told and not attempt.undecided:
            self._hands.event("double-bounce-dropped", queue_id=attempt.queue_id, failed=len(told))
        self.go_on(attempt, now)

    def go_on(self, attempt: Attempt, now: float) -> None:
        """Nobody is left to be told anything now."""
        if not attempt.undecided or self.holds.removes(attempt.queue_id):
            self._in_hand.pop(attempt.queue_id, None)
            if attempt.has_relayed:
                # Until the cleaner has been here the message is owed. A mailbox would have it anew under the same name;
                # another host would have it twice.
                self._write(attempt)
            self._cleaning.add(attempt.queue_id)
        else:
            self._defer(attempt, now)

    def tell_later(self, attempt: Attempt, now: float, *, trouble: bool) -> None:
        """It could not be told now. With recipients left to try it can wait for their next attempt."""
        if attempt.undecided:
            self._defer(attempt, now)
            return
        self._in_hand.pop(attempt.queue_id, None)
        pause = self._soon.moment(now, self._chance()) if trouble else now + 0.5 + self._chance()
        self._sleep(attempt.queue_id, pause)

    def _defer(self, attempt: Attempt, now: float) -> None:
        queue_id = attempt.queue_id
        del self._in_hand[queue_id]
        if attempt.soon:
            # Our own trouble, perhaps a full disk: only what is decided is worth writing down.
            attempt.unwritten = [line for line in attempt.unwritten if line.action is not Action.DELAYED]
        self._write(attempt)
        if attempt.parked:
            self.holds.park(queue_id, attempt.envelope.identity)
        elif self.holds.keeps(queue_id):
            self.holds.found(queue_id)
        elif attempt.soon:
            self._sleep(queue_id, self._soon.moment(now, self._chance()))
        elif attempt.awaits is not None:
            self.destinations.line_up(attempt.awaits, queue_id, now)
        elif len(attempt.put_off) == 1 and not attempt.otherwise:
            self.destinations.line_up(attempt.put_off.pop(), queue_id, now)
        else:
            self._sleep(queue_id, next_attempt(attempt.envelope.arrival, now, self._chance()))

    def resume(self, destination: Destination, queue_ids: list[bytes]) -> None:
        """A destination works again: all who waited for it may go, as if they had just come."""
        for queue_id in queue_ids:
            self._fresh.add(destination.domain, queue_id, None)

    def _write(self, attempt: Attempt) -> None:
        if not attempt.unwritten:
            return
        lines = b"".join(progress_format.line_of(outcome) for outcome in attempt.unwritten)
        attempt.unwritten.clear()
        # After a torn line a new one must begin, or ours would be the rest of it.
        attempt.torn = not self._hands.record(attempt.queue_id, b"\n" + lines if attempt.torn else lines)

    def bounced(self, answer: m.Bounced, now: float) -> None:
        """The notification is queued, or could not be made now."""
        self._telling.bounced(answer, now)

    def cleaned(self, answer: m.Cleaned) -> None:
        """The files are gone, or could not be removed now."""
        self._cleaning.cleaned(answer)

    def _forget(self, queue_ids: set[bytes]) -> None:
        self._known -= queue_ids
        self.holds.forget(queue_ids)

    def _sleep(self, queue_id: bytes, moment: float) -> None:
        heapq.heappush(self._sleeping, (moment, queue_id))

    def next_tag(self) -> int:
        """A tag that was not used yet."""
        self._tag += 1
        return self._tag


def _domain(envelope: Envelope) -> bytes:
    return envelope.recipients[0].forward_path.rpartition(b"@")[2].lower()
