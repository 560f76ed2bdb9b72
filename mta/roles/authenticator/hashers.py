"""Threads that hash, beside the loop that does everything else.

A reader would otherwise get wrong: a thread is handed a hash and a secret, nothing else, and gives back a truth and perhaps a
better hash. It touches neither the snapshot nor a channel, so nothing of it needs a lock.
"""

import os
import queue
import threading
from collections.abc import Callable

from mta import scram
from mta.record import dataclass
from mta.roles.authenticator import hashing
from mta.wire.loop import Loop

THREADS = 2
MAX_WAITING = 64  # questions; at 17 ms each, who comes later would wait longer than anybody does


@dataclass(frozen=True, slots=True)
class Task:
    """Check *secret* against the hash in *content* (of a seal); None: there is none, and nothing fits."""

    content: bytes | None
    secret: bytes
    salt: bytes = b""  # for SCRAM; empty: leave what is stored as it is


@dataclass(frozen=True, slots=True)
class Outcome:
    """Did it fit? And if so, what should be stored instead of the former content; empty: nothing."""

    fits: bool
    better: bytes = b""


_Hear = Callable[[Outcome], None]
_Numbered = tuple[int, Task]


class Hashers:
    """Checks in the background. `begin` must be called inside the sandbox."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._dummy = hashing.dummy_hash()
        self._tasks: queue.SimpleQueue[_Numbered | None] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._hearing: dict[int, _Hear] = {}
        self._number = 0
        self._threads: list[threading.Thread] = []

    def begin(self) -> None:
        """Start the threads: after the walls stand, which bind a thread and what it starts."""
        self._loop.add_reader(self._wake, self._take_outcomes)
        for _ in range(THREADS):
            thread = threading.Thread(target=self._work, daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End the threads."""
        for _ in self._threads:
            self._tasks.put(None)
        for thread in self._threads:
            thread.join()
        self._loop.remove_reader(self._wake)
        os.close(self._wake)

    @property
    def is_full(self) -> bool:
        """Is more waiting than anybody would wait for?"""
        return len(self._hearing) >= MAX_WAITING

    def check(self, task: Task, hear: _Hear) -> None:
        """Tell *hear* what came of *task*, later."""
        self._number += 1
        self._hearing[self._number] = hear
        self._tasks.put((self._number, task))

    def _take_outcomes(self) -> None:
        os.eventfd_read(self._wake)
        while not self._outcomes.empty():
            number, outcome = self._outcomes.get()
            self._hearing.pop(number)(outcome)

    def _work(self) -> None:
        while (numbered := self._tasks.get()) is not None:
            number, task = numbered
            self._outcomes.put((number, _outcome(task, self._dummy)))
            os.eventfd_write(self._wake, 1)


def _outcome(task: Task, dummy: bytes) -> Outcome:
    stored, keys = (None, None) if task.content is None else scram.split(task.content)
    if not hashing.fits(stored, task.secret, dummy):
        return Outcome(fits=False)
    is_good = stored is not None and hashing.is_best(stored)
    if not task.salt or (is_good and keys is not None):
        return Outcome(fits=True)
    keys = scram.keys_of(task.secret, task.salt)
    if is_good and keys is None:
        return Outcome(fits=True)  # Nothing would be better than it is.
    better = stored if is_good and stored is not None else hashing.hash_of(task.secret)
    return Outcome(fits=True, better=scram.join(better, keys))
