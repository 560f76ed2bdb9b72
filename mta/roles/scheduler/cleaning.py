"""What is finished and not yet removed. Told to the cleaner in batches, and again when it could not.

A reader would otherwise get wrong: a message is known until its files are gone. Forgotten earlier, the next listing would
find it and deliver it anew.
"""

from collections.abc import Callable

from mta.roles.scheduler.hands import Hands
from mta.wire import messages as m

CLEANINGS = 100  # messages to be removed that the cleaner is told of in one packet


class Cleaning:
    """Queue ids on their way out; *gone* hears of those whose files are."""

    def __init__(self, hands: Hands, gone: Callable[[set[bytes]], None]) -> None:
        self._hands, self._gone = hands, gone
        self._all: set[bytes] = set()
        self._again: set[bytes] = set()  # to be asked for again
        self._next: list[bytes] = []  # to be asked for at the end of this burst

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, queue_id: bytes) -> bool:
        return queue_id in self._all

    def add(self, queue_id: bytes) -> None:
        """*queue_id* is finished."""
        self._all.add(queue_id)
        self._next.append(queue_id)

    def tell(self) -> None:
        """Ask for what was added."""
        while self._next:
            some, self._next = self._next[:CLEANINGS], self._next[CLEANINGS:]
            if not self._hands.tell("cleaner", m.Clean(tuple(some))):
                self._again.update(some)

    def tick(self) -> None:
        """Time has passed: what was not removed is asked for again."""
        again, self._again = self._again, set()
        for queue_id in again:
            self.add(queue_id)

    def lost(self) -> None:
        """The cleaner ended; who knows how far it came."""
        self._again |= self._all

    def cleaned(self, answer: m.Cleaned) -> None:
        """The files are gone, or could not be removed now."""
        known = self._all.intersection(answer.queue_ids)
        if answer.done:
            self._all -= known
            self._again -= known
            self._gone(known)
        else:
            self._again |= known
