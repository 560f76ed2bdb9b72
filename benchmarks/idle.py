"""Ten thousand connections that do nothing, a thousand that send an octet a second, and a fresh message among them.

    python -m benchmarks.idle [--connections 10000] [--slow 1000]

What is asked: under 60 KiB of memory for each idle connection, over all processes, and a fresh message delivered within a
second all the while. Memory is USS, pages that a process shares with nobody: what would come back if it ended. What the kernel
keeps for a socket is not in it.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import select
import signal
import smtplib
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers
from tests.fixtures.house import House

MAILBOX = "postmaster@mx.house.test"
ADDRESSES = 250  # that the connections come from; more than 50 from one would be turned away
AT_ONCE = 400  # connections being made
PATIENCE_SECONDS = 120.0
POLL_SECONDS = 0.005
MOST_KIB_EACH = 60.0
MOST_SECONDS = 1.0
CALM_SECONDS = 2.0  # until those who came are nobody's work any more; fewer of them need less
CALMED_PER_SECOND = 1000
TRIES = 10  # fresh messages measured in each state; the worst one counts


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it."""

    connections: int
    kib_each: float  # what the connections added to the memory of all processes
    kib_each_in_all: float  # all memory of all processes, divided
    connect_seconds: float
    fresh_seconds_alone: float  # the slowest of TRIES, with nobody else there
    fresh_seconds_idle: float  # with all idle connections
    slow_senders: int
    fresh_seconds_slow: float

    @property
    def is_met(self) -> bool:
        """Is it what was asked for?"""
        slowest = max(self.fresh_seconds_idle, self.fresh_seconds_slow)
        return self.kib_each_in_all < MOST_KIB_EACH and slowest < MOST_SECONDS


def allow_files(wanted: int) -> None:
    """Let this process and its children have *wanted* descriptors.

    Raises:
        ValueError: the host does not.
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def uss_kib(pid: int) -> int:
    """Memory of *pid* and its descendants that each shares with nobody."""
    total = 0
    for each in peers.family(pid):
        with contextlib.suppress(OSError):  # It ended meanwhile.
            for line in Path(f"/proc/{each}/smaps_rollup").read_text().splitlines():
                if line.startswith(("Private_Clean:", "Private_Dirty:")):
                    total += int(line.split()[1])
    return total


def fresh_seconds(house: House) -> float:
    """From the first octet of the conversation to the file in the mailbox, the slowest of TRIES."""
    slowest = 0.0
    for _ in range(TRIES):
        had, start = len(house.messages(MAILBOX)), time.monotonic()
        with smtplib.SMTP("127.0.0.1", house.port("smtp"), local_hostname="fresh.test", timeout=30) as client:
            client.sendmail("fresh@client.test", [MAILBOX], b"Subject: fresh\r\n\r\nfresh\r\n")
        while len(house.messages(MAILBOX)) <= had:
            if time.monotonic() - start > PATIENCE_SECONDS:
                raise TimeoutError("a fresh message was not delivered")
            time.sleep(POLL_SECONDS)
        slowest = max(slowest, time.monotonic() - start)
    return slowest


class Crowd:
    """Many connections from one process."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._epoll = select.epoll()
        self.members: dict[int, socket.socket] = {}

    def gather(self, count: int) -> None:
        """Connect *count* times and read each greeting.

        Raises:
            TimeoutError: not all were greeted.
        """
        waiting: set[int] = set()
        until, begun = time.monotonic() + PATIENCE_SECONDS, 0
        while begun < count or waiting:
            while begun < count and len(waiting) < AT_ONCE:
                waiting.add(self._connect(begun))
                begun += 1
            waiting -= {descriptor for descriptor, said in self.hear(1.0) if said.startswith(b"220 ")}
            if time.monotonic() > until:
                raise TimeoutError(f"{len(waiting)} of {count} connections were not greeted")

    def hear(self, seconds: float) -> Iterator[tuple[int, bytes]]:
        """What was said to whom; waits at most *seconds* for the first.

        Raises:
            ConnectionError: the server hung up on one.
        """
        for descriptor, _ in self._epoll.poll(seconds):
            said = self.members[descriptor].recv(4096)
            if not said or said.startswith((b"421", b"554")):
                raise ConnectionError(f"a connection was not kept: {said!r}")
            yield descriptor, said

    def say_to_all(self, octets: bytes, answer: bytes) -> None:
        """Say *octets* to each, and wait until each has heard a line that begins with *answer*.

        Raises:
            TimeoutError: some did not.
        """
        heard = dict.fromkeys(self.members, b"")
        for member in self.members.values():
            member.sendall(octets)
        until = time.monotonic() + PATIENCE_SECONDS
        while not all(any(line.startswith(answer) for line in said.splitlines()) for said in heard.values()):
            for descriptor, said in self.hear(1.0):
                heard[descriptor] += said
            if time.monotonic() > until:
                raise TimeoutError(f"not everybody heard {answer.decode()}")

    def drip(self, seconds: float) -> None:
        """One octet from each in a second, evenly spread."""
        members, until = list(self.members.values()), time.monotonic() + seconds
        place, start = 0, time.monotonic()
        while time.monotonic() < until:
            due = int((time.monotonic() - start) * len(members))
            for _ in range(due - place):
                members[place % len(members)].send(b"x")
                place += 1
            time.sleep(0.01)

    def leave(self) -> None:
        """Close all."""
        for member in self.members.values():
            member.close()
        self._epoll.close()

    def _connect(self, number: int) -> int:
        client = socket.socket()
        client.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        client.bind((f"127.0.2.{1 + number % ADDRESSES}", 0))
        client.settimeout(PATIENCE_SECONDS)
        client.connect(("127.0.0.1", self._port))
        self._epoll.register(client.fileno(), select.EPOLLIN)
        self.members[client.fileno()] = client
        return client.fileno()


def measure_slow(house: House, senders: int) -> float:
    """How long a fresh message takes while *senders* drip their content."""
    crowd = Crowd(house.port("smtp"))
    crowd.gather(senders)
    crowd.say_to_all(
        b"EHLO slow.test\r\nMAIL FROM:<slow@client.test>\r\nRCPT TO:<%b>\r\nDATA\r\n" % MAILBOX.encode(), b"354"
    )
    # In a process of its own, so that who drips and who measures do not wait for each other.
    pid = os.fork()
    if not pid:
        crowd.drip(PATIENCE_SECONDS)
        os._exit(0)
    try:
        time.sleep(min(CALM_SECONDS, senders / CALMED_PER_SECOND + 0.5))
        return fresh_seconds(house)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        crowd.leave()


def measure(folder: Path, connections: int, slow: int) -> Figures:
    """All of it, with an appliance of its own in *folder*."""
    most = connections + slow + 1000
    settings = {
        "smtpd.max_connections": str(2 * connections),
        "limits.command_timeout_seconds": "3600",
        "limits.unknown_recipients_per_minute": "20",
    }
    allow_files(most + 1000)
    with House(folder / "house", settings=settings) as house:
        pid = house.pid("supervisor")
        alone = fresh_seconds(house)
        before = uss_kib(pid)
        crowd, start = Crowd(house.port("smtp")), time.monotonic()
        crowd.gather(connections)
        connected = time.monotonic() - start
        time.sleep(min(CALM_SECONDS, connections / CALMED_PER_SECOND))
        held = sum(1 for smtpd in house.pids("smtpd") for _ in Path(f"/proc/{smtpd}/fd").iterdir())
        if held < connections:
            raise ConnectionError(f"smtpd holds {held} descriptors for {connections} connections")
        after = uss_kib(pid)
        idle = fresh_seconds(house)
        crowd.leave()
        slowly = measure_slow(house, slow) if slow else 0.0
        return Figures(
            connections, round((after - before) / connections, 1), round(after / connections, 1), round(connected, 1),
            round(alone, 3), round(idle, 3), slow, round(slowly, 3),
        )  # fmt: skip


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--slow", type=int, default=1000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postern-idle-") as folder:
        figures = measure(Path(folder), given.connections, given.slow)
    print(json.dumps(dataclasses.asdict(figures)))
    print("met" if figures.is_met else "NOT MET")
    return 0 if figures.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
