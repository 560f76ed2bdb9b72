"""The children of a spawner: forked, told to one callback when they ended, none forgotten.

A reader would otherwise get wrong: a child runs under another uid, so its parent cannot kill it. It can only hang up and
wait, and whoever must not have two children under one uid waits for `ended`, not for the hanging up.
"""

import os
import signal
import sys
from collections.abc import Callable

from mta.record import write_all
from mta.roster import Role
from mta.wire.control import Start
from mta.wire.loop import Loop

UNEXPECTED = 111  # The exit status of a process that met what it was not made for.


class Offspring:
    """Forks children and reaps them."""

    def __init__(self, loop: Loop) -> None:
        write_all()  # Children are copies of this process, and should not each begin with it.
        self._ended: dict[int, Callable[[int], None]] = {}
        self._reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        # The signal itself does nothing; Python writes its number into the pipe, which wakes the loop.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        loop.add_reader(self._reading, self._woken)

    def fork(self, work: Callable[[], int], ended: Callable[[int], None]) -> int:
        """Run *work* in a child; it ends with the status that *work* returns. *ended* is told once it is gone. Answers its pid.

        Raises:
            OSError: the kernel has no process to give.
        """
        pid = os.fork()
        if pid == 0:
            _be_child(work)
        self._ended[pid] = ended
        return pid

    @property
    def descriptors(self) -> tuple[int, int]:
        """Its own, for a role that makes it before it enters the sandbox: one without files cannot afterwards."""
        return self._reading, self._writing

    @property
    def alive(self) -> int:
        """Children that did not end yet."""
        return len(self._ended)

    def reap(self) -> None:
        """Tell of those that ended."""
        while self._ended:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            self._ended.pop(pid)(status)  # All children of a role are its offspring.

    def _woken(self) -> None:
        # Several signals may have become one: what the pipe says is only that there is something to reap.
        os.read(self._reading, 4096)
        self.reap()


class Uids:
    """The uids of cells: `count` from `first` on, each given to one at a time; none (always 0) where all have the same."""

    def __init__(self, first: int, count: int, is_alive: Callable[[int], bool]) -> None:
        self._first, self._count, self._is_alive = first, count, is_alive
        self._taken: set[int] = set()
        self._next = 0

    def take(self) -> int | None:
        """One that nobody lives under; None when there is none."""
        if not self._count:
            return 0
        for _ in range(self._count):
            uid = self._first + self._next
            self._next = (self._next + 1) % self._count
            if uid not in self._taken and not self._is_alive(uid):
                self._taken.add(uid)
                return uid
        return None

    def give_back(self, uid: int) -> None:
        """Its process was reaped."""
        self._taken.discard(uid)


def uids_of(role: Role, start: Start) -> Uids:
    """The pool of *role*, a range of its own as root, else only the uid we all have."""
    first, count = role.pool
    return Uids(start.number("uid_base") + first, count if start.number("root") == 1 else 0, is_alive)


def is_alive(uid: int) -> bool:
    """Does any process run under *uid*? The kernel tells everybody, so no right is needed to ask."""
    try:
        os.getpriority(os.PRIO_USER, uid)
    except ProcessLookupError:
        return False
    return True


def _be_child(work: Callable[[], int]) -> None:
    """Never returns: the parent's stack above us is not ours."""
    status = UNEXPECTED
    try:
        signal.set_wakeup_fd(-1)
        status = work()
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else UNEXPECTED
    except BaseException:  # noqa: BLE001 - the last frame there is: told on stderr, and the exit status tells the parent
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(status)
