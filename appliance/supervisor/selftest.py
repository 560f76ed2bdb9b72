"""The self-test of all roles' walls: one process after the other, started like a role and told no secret; what they came to.

A reader would otherwise get wrong: nothing is judged here. What an attempt means its process says (`mta.sandbox.selftest`), and
what is to be thought of it whoever reads. It runs at most once in EVERY_SECONDS, whoever asks for it and however often.
"""

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from appliance.supervisor.spawn import Streams, spawn
from mta import roster
from mta.record import dataclass, field
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, Packet, pair
from mta.wire.loop import Loop

MODULE = "mta.sandbox.selftest"
EVERY_SECONDS = 60.0
ROLE_SECONDS = 20.0  # Whatever takes longer is told as not finished.
MAX_PROBES = 100  # of one role


@dataclass(slots=True)
class Tested:
    """What was tried behind one role's walls: name, outcome and answer of each attempt. *whole*: it came to its end."""

    role: str
    probes: list[tuple[str, str, str]] = field(default_factory=list)
    whole: bool = False


class SelfTest:
    """The last one that was begun. *changed* is told when one ends."""

    def __init__(
        self, file: Path, loop: Loop, streams: Streams, settings: Callable[[], Mapping[str, bytes]]
    ) -> None:  # fmt: skip
        """*file* remembers the last one over restarts; *settings*: what roles are told, without anybody's keys."""
        self.began = self.ended = 0  # seconds since 1970; never: 0
        self.results: list[Tested] = []
        self._file, self._loop, self._streams, self._settings = file, loop, streams, settings
        self._waiting: list[roster.Role] = []
        self._pid = 0
        self._not_before = 0.0
        self._remember()

    @property
    def running(self) -> bool:
        """Is it under way?"""
        return self.began > self.ended or bool(self._pid)

    @property
    def left(self) -> int:
        """How many roles are still to come."""
        return len(self._waiting)

    def begin(self, roles: Sequence[roster.Role]) -> bool:
        """Test the walls of *roles*; False: one is under way, or the last was a moment ago."""
        if self.running or time.monotonic() < self._not_before or not roles:
            return False
        self._not_before = time.monotonic() + EVERY_SECONDS
        self.began, self.ended, self.results = int(time.time()), 0, []
        self._waiting = list(roles)
        self._next()
        return True

    def reaped(self, pid: int) -> None:
        """The process *pid* ended, and its number may be somebody else's from now on."""
        if pid == self._pid:
            self._pid = 0

    def _next(self) -> None:
        if not self._waiting:
            self.ended = max(int(time.time()), self.began)
            self._write()
            return
        role = self._waiting.pop(0)
        tested = Tested(role.name)
        self.results.append(tested)
        ours, theirs = pair()
        channel = Channel(ours, f"self-test of {role.name}", permits.TEST_TO_SUPERVISOR)
        try:
            with theirs:
                self._pid = spawn(MODULE, theirs, self._streams.of(""), role.name)
        except OSError:  # No process to be had: it is told as not finished.
            channel.close()
            self._loop.call_later(0.0, self._next)
            return
        self._loop.add_channel(channel, lambda _, packet: _heed(tested, packet), self._finished)
        self._loop.call_later(ROLE_SECONDS, channel.close)
        with contextlib.suppress(ChannelClosed):
            channel.send(
                m.Begin(tuple(part for name, value in self._settings().items() for part in (name.encode(), value)))
            )

    def _finished(self, _channel: Channel) -> None:
        if self._pid:  # It was not reaped, so the number is its own; whoever is at its end does not feel it.
            os.kill(self._pid, signal.SIGKILL)
            self._pid = 0
        self._next()

    def _write(self) -> None:
        told = {
            "began": self.began,
            "ended": self.ended,
            "results": [[one.role, one.whole, one.probes] for one in self.results],
        }
        fresh = self._file.with_suffix(".new")
        with contextlib.suppress(OSError):  # A full disk: it is known until the house stops.
            fresh.write_text(json.dumps(told))
            fresh.rename(self._file)

    def _remember(self) -> None:
        # Our own writing, in a folder that nobody else enters; what is torn or older than this form is no memory.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(self._file.read_text())
            results = [
                Tested(role, [(a, b, c) for a, b, c in probes], whole) for role, whole, probes in told["results"]
            ]
            self.began, self.ended, self.results = int(told["began"]), int(told["ended"]), results


def _heed(tested: Tested, packet: Packet) -> None:
    message = packet[0]
    if isinstance(message, m.Probed) and len(tested.probes) < MAX_PROBES:
        tested.probes.append((message.probe.decode(), message.outcome.decode(), message.answer.decode()))
    elif isinstance(message, m.Ready):
        tested.whole = True
