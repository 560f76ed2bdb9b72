"""What an operator, or a suspension, changed about single messages: held, released, called out of turn, removed.

A reader would otherwise get wrong: nobody searches the places where a message may be waiting. Its entry there stays; when it
comes up it is passed over, because the message is held, or because it was called earlier and has another entry since.
"""

from collections import deque
from typing import Protocol

from mta.roles.scheduler.hands import Hands
from mta.spool.progress import RELEASED_LINE, REMOVED_LINE, held_line

BY_OPERATOR, PARKED = b"operator", b"parked"


class Owner(Protocol):
    """Whose messages they are."""

    def is_owed(self, queue_id: bytes) -> bool:
        """Is there such a message, and not finished?"""

    def is_in_hand(self, queue_id: bytes) -> bool:
        """Is it in an attempt?"""

    def finish(self, queue_id: bytes) -> None:
        """Have its files removed."""


class Holds:
    """Queue ids that are not treated as the others."""

    def __init__(self, owner: Owner, hands: Hands) -> None:
        self._owner, self._hands = owner, hands
        self._held: dict[bytes, bool] = {}  # and whether its entry came up and was taken
        self._stale: dict[bytes, int] = {}  # entries to be passed over
        self._called: deque[bytes] = deque()
        self._calling = b""
        self._removed: set[bytes] = set()  # in an attempt still

    def __contains__(self, queue_id: bytes) -> bool:
        """Is it held, as far as is known? One that was held before a restart is known when its time comes."""
        return queue_id in self._held

    # --- asked by the queue

    def next_called(self) -> bytes | None:
        """A message that is to be tried now, whatever was planned."""
        self._calling = self._called.popleft() if self._called else b""
        return self._calling or None

    def lets_go(self, queue_id: bytes) -> bool:
        """An entry of *queue_id* came up: may it be tried?"""
        if queue_id in self._held:
            self._held[queue_id] = True
            return False
        if queue_id != self._calling and self._stale.get(queue_id):
            self._stale[queue_id] -= 1
            if not self._stale[queue_id]:
                del self._stale[queue_id]
            return False
        return True

    def insists(self, queue_id: bytes) -> bool:
        """Was it called by an operator, who does not care whether its destination is in trouble?"""
        is_called, self._calling = queue_id == self._calling, b""
        return is_called

    def keeps(self, queue_id: bytes) -> bool:
        """Is it to be held, now that its attempt is over?"""
        return queue_id in self._held

    def removes(self, queue_id: bytes) -> bool:
        """Is it to be removed, likewise?"""
        return queue_id in self._removed

    def found(self, queue_id: bytes) -> None:
        """It is held, as its file says, and nothing of it waits anywhere."""
        self._held[queue_id] = True

    def park(self, queue_id: bytes, identity: bytes) -> None:
        """Its sender is suspended: it waits, with no entry anywhere, until somebody releases it."""
        self._held[queue_id] = True
        self._write(queue_id, held_line(PARKED))
        self._hands.event("parked", queue_id=queue_id, identity=identity)

    def forget(self, queue_ids: set[bytes]) -> None:
        """They are gone."""
        self._removed -= queue_ids
        for queue_id in queue_ids:
            self._held.pop(queue_id, None)
            self._stale.pop(queue_id, None)

    # --- asked by an operator; each says whether it changed anything, which it does only once that is written down

    def hold(self, queue_id: bytes, *, is_held: bool) -> bool:
        """Try it no more; *is_held*: its file says so already."""
        if is_held or queue_id in self._held or not self._owner.is_owed(queue_id):
            return False
        if not self._write(queue_id, held_line(BY_OPERATOR)):
            return False
        self._held[queue_id] = False
        self._hands.event("held", queue_id=queue_id)
        return True

    def release(self, queue_id: bytes, *, is_held: bool) -> bool:
        """Try it again, now."""
        if not (is_held or queue_id in self._held) or not self._owner.is_owed(queue_id):
            return False
        if not self._write(queue_id, RELEASED_LINE):
            return False
        self._hands.event("released", queue_id=queue_id)
        has_no_entry = self._held.pop(queue_id, False)
        if not self._owner.is_in_hand(queue_id):
            self._call(queue_id, has_entry=not has_no_entry)
        return True

    def retry(self, queue_id: bytes, *, is_held: bool) -> bool:
        """Try it now, and not at the moment that was planned."""
        if is_held or queue_id in self._held or self._owner.is_in_hand(queue_id) or not self._owner.is_owed(queue_id):
            return False
        self._call(queue_id, has_entry=True)
        return True

    def remove(self, queue_id: bytes) -> bool:
        """It failed, and nobody is told."""
        if queue_id in self._removed or not self._owner.is_owed(queue_id):
            return False
        if not self._write(queue_id, REMOVED_LINE):
            return False
        self._hands.event("removed", queue_id=queue_id)
        if self._owner.is_in_hand(queue_id):
            self._removed.add(queue_id)  # What is on its way to a host now may arrive all the same.
        else:
            self._owner.finish(queue_id)
        return True

    def _write(self, queue_id: bytes, line: bytes) -> bool:
        # Nobody knows here whether a crash tore the last line; an empty one means nothing.
        return self._hands.record(queue_id, b"\n" + line)

    def _call(self, queue_id: bytes, *, has_entry: bool) -> None:
        self._called.append(queue_id)
        if has_entry:
            self._stale[queue_id] = self._stale.get(queue_id, 0) + 1
