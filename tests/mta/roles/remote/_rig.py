"""A destination on a loop, with a clock that a test can put forward; and the hosts that it is to reach."""

import itertools
import os
import tempfile
import time

from mta.roles.remote.connection import Manner
from mta.roles.remote.content import Content
from mta.roles.remote.destination import Destination, Job
from mta.roles.remote.hosts import Host
from mta.roles.remote.outcome import delayed
from mta.roles.remote.security import Contexts, Level, RouteGuard
from mta.roles.remote.transaction import Mail, Recipient
from mta.wire.loop import Loop

CONTENT = b"Subject: hello\r\n\r\nhi\r\n"
SECONDS = 10.0
RIGS = []


def tidy():
    """End what tests began."""
    while RIGS:
        rig = RIGS.pop()
        rig.destination.hurry()
        for connection in list(rig.destination._connections):
            connection.abandon(delayed(b"4.4.2", b"the test is over"))
        rig.loop._epoll.close()


class Rig:
    """A destination, with a clock that the test can put forward."""

    def __init__(self, hosts, *, manner=None, guard=None, most=5):
        self.loop, self.late = Loop(), 0.0
        self.done: dict[int, Job] = {}
        self.guard = guard or RouteGuard(Level.MAY, Contexts())
        manner = manner or Manner(b"client.test", may_be_us=True)
        self.destination = Destination(
            self.loop, lambda hear: hear(hosts), self.guard, manner, self, most=most, now=self.now
        )  # fmt: skip
        self._tags = itertools.count(1)
        RIGS.append(self)

    def now(self):
        return time.monotonic() + self.late

    def finished(self, job):
        self.done[job.tag] = job

    def send(self, *paths, octets=CONTENT, options=b""):
        with tempfile.TemporaryFile() as file:
            file.write(octets)
            file.flush()
            content = Content(os.dup(file.fileno()))
        recipients = [Recipient(number, path) for number, path in enumerate(paths or (b"joe@example.test",))]
        job = Job(next(self._tags), Mail.of(b"me@client.test", options), recipients, content)
        self.destination.take(job)
        return job

    def run(self, is_enough):
        deadline = time.monotonic() + SECONDS
        while not is_enough():
            assert time.monotonic() < deadline, "nothing came of it"
            self.loop.run_once(0.02)

    def outcomes(self, *jobs):
        self.run(lambda: all(job.tag in self.done for job in jobs))
        found = [[(each.action.value, each.status) for _, each in sorted(job.outcomes.items())] for job in jobs]
        return found[0] if len(found) == 1 else found

    def skip(self, seconds):
        """Put the clock forward, and let everybody look at it."""
        self.late += seconds
        for connection in list(self.destination._connections):
            connection.heed_time()


def at(*stubs):
    return [Host(b"mx%d.stub.test" % number, stub.address, stub.port) for number, stub in enumerate(stubs)]
