"""Questions of web, answered in their time. Hashing is done by threads; everything else here.

A reader would otherwise get wrong: a thread is handed a hash and a secret, nothing else, and gives back a number and a
truth. It touches neither the snapshot nor a channel, so nothing of it needs a lock.
"""

import os
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from mta.roles.authenticator import judge
from mta.roles.authenticator.patience import Patience
from mta.seal import NotOpened, Opener
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.records import RecordError
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

THREADS = 2
MAX_WAITING = 64  # questions; at 17 ms each, who comes later would wait longer than anybody does

_Found = TypeVar("_Found")
_Job = tuple[int, bytes, bytes]  # number, hash, secret


class Events(Protocol):
    """What the desk needs of `mta.wire.control.Peers`."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


@dataclass(frozen=True, slots=True)
class _Open:
    """A question whose secret is being checked."""

    channel: Channel
    tag: int
    who: bytes
    may_be_right: bool  # no: it is checked for the time it takes


class Desk:
    """Answers from *snapshot*. `peers` must be set before the first message, `begin` called inside the sandbox."""

    peers: Events

    def __init__(self, loop: Loop, snapshot: Snapshot, opener: Opener | None, patience: Patience) -> None:
        """Without an *opener* no password is right."""
        self._loop, self._snapshot, self._opener, self._patience = loop, snapshot, opener, patience
        self._dummy = judge.dummy_hash(os.urandom(32))
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._open: dict[int, _Open] = {}
        self._number = 0
        self._threads: list[threading.Thread] = []
        self._trouble = ""

    def begin(self) -> None:
        """Start the threads: after the walls stand, which bind a thread and what it starts."""
        self._loop.add_reader(self._wake, self._take_results)
        for _ in range(THREADS):
            thread = threading.Thread(target=_work, args=(self._jobs, self._results, self._wake), daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End the threads."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self._loop.remove_reader(self._wake)
        os.close(self._wake)

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Verify` of web."""
        question = packet[0]
        if not isinstance(question, m.Verify):
            channel.close()
            return
        self._look()
        if question.scope == b"key":
            right = self._judged(lambda: judge.is_right_key(question.name, question.secret, self._snapshot.get))
            _answer(channel, question.tag, right=bool(right))
            return
        who = question.scope + b" " + question.name.lower()
        if self._patience.is_refused(who) or len(self._open) >= MAX_WAITING:
            self.peers.event("login-refused", scope=question.scope, login=question.name)
            _answer(channel, question.tag, right=False)
            return
        self._check(channel, question, who)

    def _check(self, channel: Channel, question: m.Verify, who: bytes) -> None:
        phc = self._judged(lambda: self._phc(question))
        self._number += 1
        self._open[self._number] = _Open(channel, question.tag, who, phc is not None)
        self._jobs.put((self._number, self._dummy if phc is None else phc, question.secret))

    def _phc(self, question: m.Verify) -> bytes | None:
        if self._opener is None:
            return None
        return judge.phc_of(question.scope, question.name, self._snapshot.get, self._opener)

    def _judged(self, look: Callable[[], _Found]) -> _Found | None:
        try:
            return look()
        except (NotOpened, RecordError) as error:
            self.peers.event("credential-wrong", why=str(error))
        except SnapshotMissing as error:
            self._complain(str(error))
        return None

    def _take_results(self) -> None:
        os.eventfd_read(self._wake)
        while not self._results.empty():
            number, fits = self._results.get()
            asked = self._open.pop(number)
            if fits and asked.may_be_right:
                self._patience.right(asked.who)
                _answer(asked.channel, asked.tag, right=True)
            else:
                self._wrong(asked)

    def _wrong(self, asked: _Open) -> None:
        # Later with each in a row; the secret itself is forgotten already.
        delay = self._patience.wrong(asked.who)
        self._loop.call_later(delay, lambda: _answer(asked.channel, asked.tag, right=False))

    def _look(self) -> None:
        self._snapshot.refresh()
        self._complain(self._snapshot.trouble)

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            self.peers.event("snapshot-trouble" if trouble else "snapshot-in-use", why=trouble)


def _work(
    jobs: "queue.SimpleQueue[_Job | None]", results: "queue.SimpleQueue[tuple[int, bool]]", wake: int
) -> None:  # fmt: skip
    while (job := jobs.get()) is not None:
        number, phc, secret = job
        results.put((number, judge.fits(phc, secret)))
        os.eventfd_write(wake, 1)


def _answer(channel: Channel, tag: int, *, right: bool) -> None:
    """Say it; who asked may be gone by now."""
    try:
        channel.send(m.Verified(tag, right))
    except ChannelClosed:
        return
