"""Notifications in the making: what the bouncer is asked, and what is written down once it has done it.

A reader would otherwise get wrong: the sender is told before the message is settled. Until the line that says so is written,
a scheduler that starts anew would tell him again; so it is written at once, and only then the message goes on.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from mta.roles.scheduler.attempt import Attempt
from mta.roles.scheduler.hands import Hands
from mta.roles.scheduler.retry import Lifetimes
from mta.spool import progress as progress_format
from mta.spool.envelope import Envelope
from mta.spool.progress import DELAY_REPORTED_LINE, Outcome
from mta.vocabulary import Action
from mta.wire import messages as m

BOUNCES = 50  # notifications in the making at once
MAX_TOLD = 5_000  # Recipients of a notification that the bouncer is told of; it names far fewer.


class Owner(Protocol):
    """Whose messages they are."""

    def next_tag(self) -> int:
        """A tag that was not used yet."""

    def go_on(self, attempt: Attempt, now: float) -> None:
        """Nobody is left to be told anything now."""

    def tell_later(self, attempt: Attempt, now: float, *, trouble: bool) -> None:
        """It could not be told now: too many at once, or *trouble*."""


class Telling:
    """All notifications that the bouncer was asked for."""

    def __init__(self, owner: Owner, hands: Hands, lifetimes: Lifetimes, is_ours: Callable[[Envelope], bool]) -> None:
        """*is_ours*: did one of our own send it?"""
        self._owner, self._hands, self._lifetimes, self._is_ours = owner, hands, lifetimes, is_ours
        self._asked: dict[int, tuple[Attempt, list[Outcome]]] = {}  # and what the notification says

    def tell(self, attempt: Attempt, told: list[Outcome], now: float) -> None:
        """Have the sender notified of *told*, which is written down; what becomes of the message is seen when that is done."""
        if len(self._asked) >= BOUNCES:
            self._owner.tell_later(attempt, now, trouble=False)
            return
        tag = self._owner.next_tag()
        if all(self._hands.tell("bouncer", request) for request in self._requests(attempt, told, tag, now)):
            self._asked[tag] = (attempt, told)
        else:
            self._owner.tell_later(attempt, now, trouble=True)

    def _requests(self, attempt: Attempt, told: list[Outcome], tag: int, now: float) -> Iterator[m.Message]:
        envelope, named = attempt.envelope, told[:MAX_TOLD]
        # RFC 3461 4.3: only a failure brings the content back, and who said nothing leaves it to us. One of ours gets what he
        # wrote; a stranger, whose reverse-path may be forged, does not have his spam sent on.
        failed = any(outcome.action is Action.FAILED for outcome in told)
        wanted = envelope.option(b"RET").upper()
        full = failed and (wanted == b"FULL" or (not wanted and self._is_ours(envelope)))
        yield m.Bounce(
            tag, attempt.queue_id, self._hands.authority(attempt.queue_id, full=full), full,
            envelope.declares(b"SMTPUTF8"), envelope.reverse_path, envelope.option(b"ENVID"),
            int(self._lifetimes.end(envelope.arrival, envelope.generation)), len(named),
        )  # fmt: skip
        for outcome in named:
            recipient = envelope.recipients[outcome.index]
            yield m.ReportedRecipient(
                tag, recipient.option(b"ORCPT"), recipient.forward_path, outcome.final_recipient, outcome.action.value,
                outcome.status, outcome.diagnostic_code, outcome.remote_mta, int(now),  # told as soon as it was tried
            )  # fmt: skip

    def bounced(self, answer: m.Bounced, now: float) -> None:
        """The notification is queued, or could not be made now."""
        attempt, told = self._asked.pop(answer.tag, (None, []))
        if attempt is None:
            return
        if not answer.done:
            self._owner.tell_later(attempt, now, trouble=True)
            return
        self._note(attempt, told)
        self._owner.go_on(attempt, now)

    def _note(self, attempt: Attempt, told: list[Outcome]) -> None:
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

    def lost(self, now: float) -> None:
        """The bouncer ended: what it was asked is asked again."""
        asked, self._asked = self._asked, {}
        for attempt, _ in asked.values():
            self._owner.tell_later(attempt, now, trouble=True)
