"""The judgement of scheduler: whose turn it is, what is asked of whom, what an answer means for a message.

A reader would otherwise get wrong: there are no states to keep in step. A message is either waiting for a place, in an
attempt, waiting for its moment, waiting for its notification or waiting to be cleaned; everything else is read from its
files when an attempt begins.
"""

import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

from mta.roles.scheduler import reports
from mta.roles.scheduler.attempt import Attempt, Target
from mta.roles.scheduler.retry import AFTER_START_SECONDS, Lifetimes, Soon, next_attempt
from mta.roles.scheduler.waiting import Waiting
from mta.spool import envelope as envelope_format
from mta.spool import progress as progress_format
from mta.spool.envelope import Envelope, Generation, NotWholeError, UnknownVersionError
from mta.spool.progress import DELAY_REPORTED_LINE, Outcome, Progress
from mta.vocabulary import Action, arrival_of
from mta.wire import messages as m

PLACES = 400  # messages in an attempt at once
RETRY_PLACES = 100  # of those, for old mail
DOMAIN_PLACES = 128  # of those, for one domain: twice what a local delivers as one batch
# A target is a final recipient as one of the envelope's comes to it: a thousand of these, each an alias for a thousand, would
# be half a gigabyte. One message has at most so many; all together so many, but a few each has anyway.
MAX_TARGETS = 20_000
ALL_TARGETS = 100_000
FEW_TARGETS = 1000
BEGINNINGS = 800  # attempts begun between two looks at the channels
FRESH_TURNS = 8  # One old message after so many fresh ones, so that old mail moves under any load.
WINDOW = 20  # questions about one message at once; times PLACES less than a channel lets wait for a slow peer
BOUNCES = 50  # notifications in the making at once
MAX_CLEANING = 5_000  # With so many to be removed, deliver no more: the cleaner has trouble.
CLEANINGS = 100  # messages to be removed that the cleaner is told of in one packet
MAX_TOLD = 5_000  # Recipients of a notification that the bouncer is told of; it names far fewer.
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
_TOO_MANY = (b"4.5.3", b"The message has too many recipients behind those that it names")
_OURS = b"4.3."  # RFC 3463 3.4: the mail system's own trouble, not the mailbox's


class Hands(Protocol):
    """What the judgement has done for it."""

    def there(self, peer: str) -> bool:
        """Is *peer* there to be asked?"""

    def tell(self, peer: str, message: m.Message) -> bool:
        """Send; False when the peer is away."""

    def envelope(self, queue_id: bytes) -> bytes | None:
        """The octets of the envelope file. Raises OSError."""

    def progress(self, queue_id: bytes) -> bytes:
        """The octets of the progress file, or nothing. Raises OSError."""

    def record(self, queue_id: bytes, lines: bytes) -> bool:
        """Append to the progress file; False when that may have gone wrong."""

    def authority(self, queue_id: bytes, *, full: bool) -> bytes:
        """What proves to the enqueuer that the bouncer may see this message's header, or with *full* all of it."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Queue:
    """Every message that is owed."""

    def __init__(self, hands: Hands, lifetimes: Lifetimes, chance: Callable[[], float]) -> None:
        self._hands, self._lifetimes, self._chance = hands, lifetimes, chance
        self._known: set[bytes] = set()
        self._listed: tuple[set[bytes], set[bytes]] = (set(), set())  # found in the last listing, and the one before
        self._fresh = Waiting()
        self._sleeping: list[tuple[float, bytes]] = []
        self._due: deque[bytes] = deque()
        self._attempts: set[Attempt] = set()
        self._retrying = 0
        self._targets = 0  # of all attempts
        self._by_domain: dict[bytes, int] = {}
        self._turn = 0
        self._tag = 0
        self._expands: dict[int, tuple[Attempt, int, dict[bytes, tuple[tuple[bytes, bytes], bytes]]]] = {}
        self._delivers: dict[int, tuple[Attempt, tuple[bytes, bytes]]] = {}
        self._bounces: dict[int, tuple[Attempt, list[Outcome]]] = {}  # and what the notification says
        self._cleaning: set[bytes] = set()
        self._uncleaned: set[bytes] = set()  # to be asked for again
        self._to_clean: list[bytes] = []  # to be asked for at the end of this burst
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
            self._fresh.add(b"", queue_id, None)
        for queue_id in found & tried:
            # Perhaps its attempt was only interrupted. The older it is, the more of its like there are to be spread.
            age = max(0.0, now - arrival_of(queue_id))
            planned = next_attempt(arrival_of(queue_id), now, self._chance())
            self._sleep(queue_id, min(planned, now + self._chance() * min(age, AFTER_START_SECONDS)))
        self._known |= found
        for queue_id in tried - self._known:
            self._known.add(queue_id)  # Progress without an envelope: its cleaner was stopped half way (S4).
            self._clean(queue_id)

    # --- whose turn it is

    def tick(self, now: float) -> None:
        """Time has passed: what is due is due, what was not removed is asked for again."""
        while self._sleeping and self._sleeping[0][0] <= now:
            self._due.append(heapq.heappop(self._sleeping)[1])
        again, self._uncleaned = self._uncleaned, set()
        for queue_id in again:
            self._clean(queue_id)

    def pump(self, now: float) -> None:
        """The end of a burst: have removed what is finished, and begin attempts as long as there are places."""
        self._begin_some(now)
        self._tell_cleaner()

    def _begin_some(self, now: float) -> None:
        if not (self._fresh or self._due) or not (self._hands.there("directory") and self._hands.there("localspawn")):
            return
        for _ in range(BEGINNINGS):
            if len(self._attempts) >= PLACES or len(self._cleaning) >= MAX_CLEANING:
                return
            self._turn += 1
            old_may = self._due and self._retrying < RETRY_PLACES
            taken = None
            if not old_may or self._turn % FRESH_TURNS:
                taken = self._fresh.take(self._is_busy)
            if taken is not None:
                self._begin(taken[0], taken[1], now, fresh=True)
            elif old_may:
                self._begin(self._due.popleft(), None, now, fresh=False)
            elif not (self._fresh and self._turn % FRESH_TURNS == 0):
                return

    def _is_busy(self, domain: bytes) -> bool:
        return bool(domain) and self._by_domain.get(domain, 0) >= DOMAIN_PLACES

    def _begin(self, queue_id: bytes, told: Envelope | None, now: float, *, fresh: bool) -> None:
        envelope = told or self._read_envelope(queue_id, now)
        if envelope is None:
            return
        domain = _domain(envelope)
        if self._is_busy(domain):
            if fresh:
                self._fresh.add(domain, queue_id, told)
            else:
                self._sleep(queue_id, now + BUSY_SECONDS * (0.5 + self._chance()))
            return
        progress = _NO_PROGRESS
        if told is None:  # What the enqueuer just told us of has no progress yet.
            try:
                progress = progress_format.parse(self._hands.progress(queue_id))
            except OSError:
                self._sleep(queue_id, now + UNREADABLE_SECONDS)
                return
        attempt = Attempt.begin(queue_id, envelope, domain, progress, fresh=fresh)
        self._attempts.add(attempt)
        self._targets += attempt.targets
        self._retrying += not fresh
        self._by_domain[domain] = self._by_domain.get(domain, 0) + 1
        self._advance(attempt, now)

    def _read_envelope(self, queue_id: bytes, now: float) -> Envelope | None:
        try:
            found = self._hands.envelope(queue_id)
            if found is None:
                self._known.discard(queue_id)
                return None
            return envelope_format.parse(found)
        except NotWholeError:
            self._known.discard(queue_id)  # Being taken at this moment: we are told when it is whole.
        except UnknownVersionError as error:
            # Stays known, so that nobody tries it again before an upgrade starts a new scheduler; and stays in the spool.
            self._hands.event("spool-version-unknown", queue_id=queue_id, error=str(error))
        except OSError as error:
            self._hands.event("spool-unreadable", queue_id=queue_id, error=error.strerror or "?")
            self._sleep(queue_id, now + UNREADABLE_SECONDS)
        return None

    # --- one attempt

    def _advance(self, attempt: Attempt, now: float) -> None:
        """Ask what may be asked; when nothing is open any more, settle."""
        while attempt.asked < WINDOW and attempt.to_deliver:
            self._deliver(attempt)
        while attempt.asked < WINDOW and attempt.to_expand:
            self._expand(attempt)
        if attempt.asked == 0:
            self._settle(attempt, now)
        elif len(attempt.unwritten) >= WRITE_FROM:
            self._write(attempt)

    def _expand(self, attempt: Attempt) -> None:
        index = attempt.to_expand.popleft()
        tag = self._next_tag()
        envelope = attempt.envelope
        recipient = envelope.recipients[index].forward_path
        # Only of what a stranger brought and would be told of can it matter whether he could have been refused.
        blamed = envelope.reverse_path if envelope.session and envelope.generation is Generation.ORDINARY else b""
        if self._hands.tell("directory", m.Expand(tag, recipient, attempt.queue_id, blamed)):
            self._expands[tag] = (attempt, index, {})
            attempt.asked += 1
        else:
            attempt.unanswered(index)

    def _deliver(self, attempt: Attempt) -> None:
        mailbox = attempt.to_deliver.popleft()
        delivery = attempt.mailboxes[mailbox]
        tag = self._next_tag()
        request = m.Deliver(
            tag, attempt.queue_id, attempt.envelope.reverse_path, delivery.recipient, *mailbox, delivery.counted
        )
        if self._hands.tell("localspawn", request):
            self._delivers[tag] = (attempt, mailbox)
            attempt.asked += 1
        else:
            self._undelivered(attempt, mailbox)

    def _undelivered(self, attempt: Attempt, mailbox: tuple[bytes, bytes]) -> None:
        for index, _ in attempt.mailboxes.pop(mailbox).targets:
            attempt.unanswered(index)

    def expansion(self, answer: m.Expansion, now: float) -> None:
        """The directory names a mailbox."""
        asked = self._expands.get(answer.tag)
        if asked is None:
            return
        attempt, index, finals = asked
        finals[answer.recipient] = ((answer.domain, answer.store), answer.counted)
        if not answer.last:
            return
        del self._expands[answer.tag]
        attempt.asked -= 1
        more = attempt.targets_among(index, finals)
        beside = attempt.targets - attempt.known[index]  # One recipient alone is bounded by the directory.
        if beside and beside + len(finals) > MAX_TARGETS:
            target = (index, attempt.envelope.recipients[index].forward_path)
            self._note(attempt, target, Action.DELAYED, *_TOO_MANY, now)
        elif attempt.targets + more > FEW_TARGETS and self._targets - attempt.targets >= ALL_TARGETS:
            attempt.unanswered(index)
        else:
            self._targets += more
            for target, delivery in attempt.expanded(index, finals, now):
                assert delivery.outcome is not None
                self._note(attempt, target, *delivery.outcome, now)
        self._advance(attempt, now)

    def unresolved(self, answer: m.Unresolved, now: float) -> None:
        """The directory knows no mailbox for it, now or at all."""
        asked = self._expands.pop(answer.tag, None)
        if asked is None:
            return
        attempt, index, _ = asked
        attempt.asked -= 1
        action = Action.FAILED if answer.permanent else Action.DELAYED
        target = (index, attempt.envelope.recipients[index].forward_path)
        self._note(attempt, target, action, answer.status, answer.diagnostic_code, now)
        if answer.permanent and answer.refusable and reports.wants_failure(attempt.envelope.recipients[index]):
            self._hands.event(
                "backscatter", queue_id=attempt.queue_id, reverse_path=attempt.envelope.reverse_path,
                forward_path=target[1],
            )  # fmt: skip
        self._advance(attempt, now)

    def attempted(self, answer: m.Attempted, now: float) -> None:
        """A delivery has a result."""
        asked = self._delivers.pop(answer.tag, None)
        if asked is None:
            return
        attempt, mailbox = asked
        attempt.asked -= 1
        delivery = attempt.mailboxes[mailbox]
        action = _ACTIONS.get(answer.action, Action.DELAYED)
        delivery.outcome = (action, answer.status, answer.diagnostic_code)
        if action is Action.DELIVERED:
            self._soon.works()
        for target in delivery.targets:
            self._note(attempt, target, *delivery.outcome, now)
        self._advance(attempt, now)

    def _note(
        self, attempt: Attempt, target: Target, action: Action, status: bytes, diagnostic_code: bytes, now: float
    ) -> None:
        attempt.note(target, action, status, diagnostic_code, now)
        if action is Action.DELAYED and status.startswith(_OURS):
            attempt.soon = True
        index, final = target
        self._hands.event(
            _EVENTS[action], queue_id=attempt.queue_id, original_recipient=
            attempt.envelope.recipients[index].forward_path, final_recipient=final, status=status,
            diagnostic_code=diagnostic_code,
        )  # fmt: skip

    def lost(self, peer: str, now: float) -> None:
        """*peer* ended. What was asked of it was perhaps done, perhaps not: it is tried again, soon, and never failed."""
        touched: set[Attempt] = set()
        if peer == "directory":
            for attempt, index, _ in self._expands.values():
                attempt.unanswered(index)
                attempt.asked -= 1
                touched.add(attempt)
            self._expands.clear()
        elif peer == "localspawn":
            for attempt, mailbox in self._delivers.values():
                self._undelivered(attempt, mailbox)
                attempt.asked -= 1
                touched.add(attempt)
            self._delivers.clear()
        elif peer == "bouncer":
            bounces, self._bounces = self._bounces, {}
            for attempt, _ in bounces.values():
                self._report_later(attempt, now, self._soon.moment(now, self._chance()))
        elif peer == "cleaner":
            self._uncleaned |= self._cleaning
        for attempt in touched:
            self._advance(attempt, now)

    # --- after an attempt

    def _settle(self, attempt: Attempt, now: float) -> None:
        self._attempts.discard(attempt)
        self._targets -= attempt.targets
        self._retrying -= not attempt.fresh
        self._by_domain[attempt.domain] -= 1
        if not self._by_domain[attempt.domain]:
            del self._by_domain[attempt.domain]
        envelope = attempt.envelope
        if attempt.undecided and self._lifetimes.over(envelope.arrival, envelope.generation, now):
            attempt.expire(now)
        told = reports.due(attempt, now)
        if told and envelope.generation is not Generation.DOUBLE_BOUNCE:
            self._report(attempt, told, now)
            return
        if told and not attempt.undecided:
            self._hands.event("double-bounce-dropped", queue_id=attempt.queue_id, failed=len(told))
        self._go_on(attempt, now)

    def _go_on(self, attempt: Attempt, now: float) -> None:
        """Nobody is left to be told anything now."""
        if attempt.undecided:
            self._defer(attempt, now)
        else:
            self._clean(attempt.queue_id)

    def _defer(self, attempt: Attempt, now: float) -> None:
        if attempt.soon:
            # Our own trouble, perhaps a full disk: only what is decided is worth writing down.
            attempt.unwritten = [line for line in attempt.unwritten if line.action is not Action.DELAYED]
            moment = self._soon.moment(now, self._chance())
        else:
            moment = next_attempt(attempt.envelope.arrival, now, self._chance())
        self._write(attempt)
        self._sleep(attempt.queue_id, moment)

    def _write(self, attempt: Attempt) -> None:
        if not attempt.unwritten:
            return
        lines = b"".join(progress_format.line_of(outcome) for outcome in attempt.unwritten)
        attempt.unwritten.clear()
        # After a torn line a new one must begin, or ours would be the rest of it.
        attempt.torn = not self._hands.record(attempt.queue_id, b"\n" + lines if attempt.torn else lines)

    def _report(self, attempt: Attempt, told: list[Outcome], now: float) -> None:
        """Have the sender notified of *told*; what is to become of the message is seen when that is done."""
        self._write(attempt)  # Before anybody is told: a scheduler that starts anew must not attempt what is decided.
        if len(self._bounces) >= BOUNCES:
            self._report_later(attempt, now, now + 0.5 + self._chance())
            return
        tag = self._next_tag()
        if all(self._hands.tell("bouncer", request) for request in self._requests(attempt, told, tag)):
            self._bounces[tag] = (attempt, told)
        else:
            self._report_later(attempt, now, self._soon.moment(now, self._chance()))

    def _requests(self, attempt: Attempt, told: list[Outcome], tag: int) -> Iterator[m.Message]:
        envelope, named = attempt.envelope, told[:MAX_TOLD]
        # RFC 3461 4.3: only a failure brings the content back.
        failed = any(outcome.action is Action.FAILED for outcome in told)
        full = failed and envelope.option(b"RET").upper() == b"FULL"
        yield m.Bounce(
            tag, attempt.queue_id, self._hands.authority(attempt.queue_id, full=full), full,
            envelope.declares(b"SMTPUTF8"), envelope.reverse_path, envelope.option(b"ENVID"),
            int(self._lifetimes.end(envelope.arrival, envelope.generation)), len(named),
        )  # fmt: skip
        for outcome in named:
            recipient = envelope.recipients[outcome.index]
            yield m.ReportedRecipient(
                tag, recipient.option(b"ORCPT"), recipient.forward_path, outcome.final_recipient, outcome.action.value,
                outcome.status, outcome.diagnostic_code, b"",
            )  # fmt: skip

    def _report_later(self, attempt: Attempt, now: float, moment: float) -> None:
        """It could not be told now. With recipients left to try it can wait for their next attempt, else until *moment*."""
        if attempt.undecided:
            self._defer(attempt, now)
        else:
            self._sleep(attempt.queue_id, moment)

    def bounced(self, answer: m.Bounced, now: float) -> None:
        """The notification is queued, or could not be made now."""
        attempt, told = self._bounces.pop(answer.tag, (None, []))
        if attempt is None:
            return
        if not answer.done:
            self._report_later(attempt, now, self._soon.moment(now, self._chance()))
            return
        self._note_report(attempt, told)
        self._go_on(attempt, now)

    def _note_report(self, attempt: Attempt, told: list[Outcome]) -> None:
        lines = b""
        decided = [outcome.attempt for outcome in told if outcome.action is not Action.DELAYED]
        if decided:
            attempt.reported = max(decided)
            lines += progress_format.reported_line(attempt.reported)
        if len(decided) < len(told):
            attempt.delay_reported = True
            lines += DELAY_REPORTED_LINE
        # Until the cleaner has been here, these lines are all that keeps a second notification from being sent.
        attempt.torn = not self._hands.record(attempt.queue_id, b"\n" + lines if attempt.torn else lines)
        failed = any(outcome.action is Action.FAILED for outcome in told)
        self._hands.event(
            "bounced" if failed else "notified", queue_id=attempt.queue_id, reverse_path=attempt.envelope.reverse_path
        )

    def _clean(self, queue_id: bytes) -> None:
        self._cleaning.add(queue_id)
        self._to_clean.append(queue_id)

    def _tell_cleaner(self) -> None:
        while self._to_clean:
            some, self._to_clean = self._to_clean[:CLEANINGS], self._to_clean[CLEANINGS:]
            if not self._hands.tell("cleaner", m.Clean(tuple(some))):
                self._uncleaned.update(some)

    def cleaned(self, answer: m.Cleaned) -> None:
        """The files are gone, or could not be removed now."""
        known = self._cleaning.intersection(answer.queue_ids)
        if answer.done:
            self._cleaning -= known
            self._uncleaned -= known
            self._known -= known
        else:
            self._uncleaned |= known

    def _sleep(self, queue_id: bytes, moment: float) -> None:
        heapq.heappush(self._sleeping, (moment, queue_id))

    def _next_tag(self) -> int:
        self._tag += 1
        return self._tag


def _domain(envelope: Envelope) -> bytes:
    return envelope.recipients[0].forward_path.rpartition(b"@")[2].lower()
