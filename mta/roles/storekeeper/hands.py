"""Children that work inside a domain's folder under its uid, one at a time for each domain, several jobs for each child.

A reader would otherwise get wrong: a child's uid is a customer's, and whoever else lives under it can stop the child with a
signal. So storekeeper never waits for one: it reads what the child says when it says it, and gives up after CHILD_SECONDS.
"""

import collections
import contextlib
import errno
import os
from collections.abc import Callable

from mta import sandbox
from mta.maildir import sync_filesystem
from mta.offspring import Offspring
from mta.record import dataclass, field
from mta.roles.storekeeper import inside
from mta.wire.loop import Loop

MAX_CHILDREN = 8
MAX_TOGETHER = 64  # jobs of one child: one fork, one sync
CHILD_SECONDS = 60.0

DONE = ""
MORE = "more"  # a purge that has not removed everything yet

# Inside the domain's folder; raises OSError, or `inside.MoreToDo`.
Task = Callable[[int], None]
# Told DONE, MORE, or what went wrong.
Report = Callable[[str], None]
# Opens the folder and says its uid; the descriptor is closed by us.
Place = Callable[[], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Job:
    """One task and who wants to know."""

    task: Task
    report: Report


@dataclass(slots=True)
class _Child:
    key: str
    reports: list[Report]
    pipe: int
    heard: bytearray = field(default_factory=bytearray)
    open: bool = True
    alive: bool = True


class Hands:
    """Runs jobs. *key* says which of them must not run beside each other: whatever has the same uid."""

    def __init__(self, loop: Loop, offspring: Offspring) -> None:
        self._loop, self._offspring = loop, offspring
        self._waiting: dict[str, tuple[Place, collections.deque[Job]]] = {}
        self._children: dict[str, _Child] = {}
        loop.after_burst.append(self._start_some)

    def add(self, key: str, place: Place, job: Job) -> None:
        """Have *job* done as soon as it is *key*'s turn."""
        _, jobs = self._waiting.setdefault(key, (place, collections.deque()))
        jobs.append(job)

    def is_busy(self, key: str) -> bool:
        """Does a child work for *key*, or is one about to?"""
        return key in self._children or key in self._waiting

    def _start_some(self) -> None:
        for key in list(self._waiting):
            if len(self._children) >= MAX_CHILDREN:
                return
            if key not in self._children:
                place, jobs = self._waiting[key]
                now = [jobs.popleft() for _ in range(min(len(jobs), MAX_TOGETHER))]
                if not jobs:
                    del self._waiting[key]
                self._start(key, place, now)

    def _start(self, key: str, place: Place, jobs: list[Job]) -> None:
        try:
            uid, folder = place()
        except OSError as error:
            _report_all([job.report for job in jobs], _words(error))
            return
        reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            child = _Child(key, [job.report for job in jobs], reading)
            self._offspring.fork(
                lambda: _work(uid, folder, writing, [job.task for job in jobs]), lambda _: self._reaped(child)
            )
        except OSError as error:
            os.close(reading)
            _report_all([job.report for job in jobs], _words(error))
            return
        finally:
            os.close(writing)
            os.close(folder)
        self._children[key] = child
        self._loop.add_reader(reading, lambda: self._listen(child))
        self._loop.call_later(CHILD_SECONDS, lambda: self._hush(child))

    def _listen(self, child: _Child) -> None:
        heard = os.read(child.pipe, 65536)
        child.heard += heard
        # More than all its reports could be is not from a child as we made it.
        if not heard or len(child.heard) > 1000 * MAX_TOGETHER:
            self._hush(child)

    def _hush(self, child: _Child) -> None:
        """Take what was heard for all there will be; a job without a word is not done."""
        if not child.open:
            return
        child.open = False
        self._loop.remove_reader(child.pipe)
        os.close(child.pipe)
        words = bytes(child.heard).decode(errors="replace").split("\n")[:-1]
        for number, report in enumerate(child.reports):
            report(words[number] if number < len(words) else "interrupted")
        self._forget(child)

    def _reaped(self, child: _Child) -> None:
        child.alive = False
        self._forget(child)

    def _forget(self, child: _Child) -> None:
        if not child.open and not child.alive:
            del self._children[child.key]


def _report_all(reports: list[Report], words: str) -> None:
    for report in reports:
        report(words)


def _work(uid: int, folder: int, writing: int, tasks: list[Task]) -> int:
    """In the child: become *uid*, shut in *folder*; do all, sync once, then say how it went."""
    os.set_blocking(writing, True)
    sandbox.confine_domain(uid, folder, keep=(folder, writing))
    # The folder came as a mere place (O_PATH): who opened it may not look inside, we may.
    own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
    words = [_try(task, own) for task in tasks]
    try:
        sync_filesystem(own)
    except OSError as error:
        words = [word or _words(error) for word in words]
    # Whoever listened may have given us up, or ended: then it is asked again, and what we did is done.
    with contextlib.suppress(BrokenPipeError):
        for word in words:
            os.write(writing, word[:200].replace("\n", " ").encode() + b"\n")
    return 0


def _try(task: Task, folder: int) -> str:
    try:
        task(folder)
    except inside.MoreToDo:
        return MORE
    except OSError as error:
        return _words(error)
    return DONE


def _words(error: OSError) -> str:
    return f"{errno.errorcode.get(error.errno or 0, 'error')}: {error.strerror}"
