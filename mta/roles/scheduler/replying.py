"""Autoreplies: who has a message now, and answers his mail by himself.

A reader would otherwise get wrong: this is asked once, when the message was delivered in this attempt, and what is asked is
never asked again. The message waits for it, because its header must still be there; it does not fail by it.
"""

from collections.abc import Callable

from mta.record import dataclass
from mta.roles.scheduler.attempt import Answerer, Attempt
from mta.roles.scheduler.hands import Hands
from mta.wire import messages as m

MAX_ASKED = 100  # at once; of more there is no answer


@dataclass(frozen=True, slots=True)
class Replying:
    """All that the bouncer was asked for; *next_tag* gives one that was not used yet."""

    hands: Hands
    next_tag: Callable[[], int]
    asked: dict[int, Attempt]

    def ask(self, attempt: Attempt, answerer: Answerer) -> None:
        """Have *answerer*, who has the message of *attempt* now, answer it."""
        envelope, queue_id = attempt.envelope, attempt.queue_id
        tag = self.next_tag()
        authority = self.hands.authority(queue_id, full=False)
        request = m.Reply(tag, queue_id, authority, answerer.mailbox, envelope.reverse_path, answerer.proof)
        if len(self.asked) < MAX_ASKED and self.hands.tell("bouncer", request):
            self.asked[tag] = attempt
            attempt.asked += 1
        else:
            self.hands.event(
                "reply-withheld",
                queue_id=queue_id,
                final_recipient=answerer.mailbox,
                reverse_path=envelope.reverse_path,
                why="busy",
            )

    def replied(self, tag: int) -> Attempt | None:
        """It is answered, or is not; the attempt that waited for it."""
        attempt = self.asked.pop(tag, None)
        if attempt is not None:
            attempt.asked -= 1
        return attempt

    def lost(self) -> set[Attempt]:
        """The bouncer ended: nobody is answered any more. Answers the attempts that waited for it."""
        return {attempt for tag in list(self.asked) if (attempt := self.replied(tag)) is not None}
