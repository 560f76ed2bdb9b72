"""Drives one SMTP server and measures: accepted and delivered per second, CPU per message.

The driver is Postfix's smtp-source, or our own (see source) for what that one cannot send.

A reader would otherwise get wrong: a message is delivered at the moment its file was renamed into some `new/`, which is
its change time, not at the moment the driver found it. So the driver may look seldom and politely.
"""

import argparse
import dataclasses
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import peers

SENDER = "sender@client.test"
DOMAIN = "bench.test"
DOMAINS = tuple(f"d{number}.bench.test" for number in range(50))
MAILBOXES_PER_DOMAIN = 100
LOOK_EVERY_SECONDS = 1.0
SETTLE_SECONDS = 1.0  # what a server still tidies up after the last delivery is its work too


class BenchmarkError(Exception):
    """A run that measured nothing: the client broke off, or mail did not arrive."""


@dataclass(frozen=True, slots=True)
class Load:
    """What is sent."""

    messages: int = 20_000
    octets: int = 4096
    connections: int = 20
    reuse: bool = False  # one connection for many messages, or a fresh one for each
    mailboxes: int = 10_000  # smtp-source counts: 1user@, 2user@ …
    spread: bool = False  # over DOMAINS in turn, MAILBOXES_PER_DOMAIN of each; else all in DOMAIN
    tls: bool = False  # STARTTLS on every connection

    def waves(self) -> Iterator[int]:
        """Messages of each smtp-source: its counter must not run past the last mailbox."""
        left = self.messages
        while left > 0:
            yield min(left, self.mailboxes)
            left -= self.mailboxes


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it."""

    messages: int
    accepted_per_second: float
    delivered_per_second: float
    cpu_ms_per_message: float  # whole machine, without the driver
    process_cpu_ms_per_message: float  # the server's processes alone, without what the kernel does for them behind
    driver_cpu_ms_per_message: float
    busy_before: float  # share of the machine in use just before; more than a little, and the rest is worth little


def busy_seconds() -> float:
    """CPU seconds that all processors spent on anything since the machine started."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    idle, waiting_for_disk = ticks[3], ticks[4]
    return (sum(ticks[:8]) - idle - waiting_for_disk) / os.sysconf("SC_CLK_TCK")


def driver_seconds() -> float:
    """CPU seconds of this process and of the children that it waited for (smtp-source, find)."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def busy_share(seconds: float = 1.0) -> float:
    """How much of the machine is in use while nothing is measured."""
    before = busy_seconds()
    time.sleep(seconds)
    return (busy_seconds() - before) / seconds / (os.cpu_count() or 1)


def send(port: int, load: Load) -> None:
    """Send all messages of *load*; returns when the last was accepted.

    Raises:
        BenchmarkError: the driver gave up.
    """
    if load.spread or load.tls:
        _drive(_source(port, load))
        return
    for wave in load.waves():
        command = ["smtp-source", "-N", "-s", str(load.connections), "-m", str(wave), "-l", str(load.octets)]
        command += ["-f", SENDER, "-t", f"user@{DOMAIN}", *(["-d"] if load.reuse else []), f"inet:127.0.0.1:{port}"]
        _drive(command)


def _source(port: int, load: Load) -> list[str]:
    domains, mailboxes = (DOMAINS, MAILBOXES_PER_DOMAIN) if load.spread else ((DOMAIN,), load.mailboxes)
    command = [sys.executable, "-m", "benchmarks.source", str(port), "--messages", str(load.messages)]
    command += ["--connections", str(load.connections), "--octets", str(load.octets), "--mailboxes", str(mailboxes)]
    return [*command, *(["--tls"] if load.tls else []), "--domains", *domains]


def _drive(command: list[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise BenchmarkError(f"{command[0]}: {run.stderr.strip()[-300:]}")


def delivered(root: Path) -> list[float]:
    """When each message below *root* came into its `new/`. Runs at the lowest priority, beside a server at work."""
    command = ["nice", "-n", "19", "find", str(root), "-path", "*/new/*", "-type", "f", "-printf", "%C@\n"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return [float(line) for line in run.stdout.split()]


def discard_delivered(root: Path) -> None:
    """Empty every `new/` below *root*, so that each run fills the same directories."""
    subprocess.run(["find", str(root), "-path", "*/new/*", "-type", "f", "-delete"], check=True)


def wait_for_delivery(root: Path, messages: int, patience_seconds: float) -> float:
    """The moment when the last of *messages* was delivered.

    Raises:
        BenchmarkError: some were not, within *patience_seconds*.
    """
    deadline = time.monotonic() + patience_seconds
    while True:
        times = delivered(root)
        if len(times) >= messages:
            return max(times)
        if time.monotonic() > deadline:
            raise BenchmarkError(f"{messages - len(times)} of {messages} messages never arrived below {root}")
        time.sleep(LOOK_EVERY_SECONDS)


def measure(port: int, root: Path, load: Load, pid: int | None = None, patience_seconds: float = 300) -> Figures:
    """One run against the server at *port*, first process *pid*, that delivers below *root*, which is emptied first.

    Raises:
        BenchmarkError: the run broke off.
    """
    discard_delivered(root)
    os.sync()  # what earlier runs left to write is not this one's work
    before = busy_share()
    processes = peers.cpu_seconds(pid) if pid else 0.0
    busy, driver, start = busy_seconds(), driver_seconds(), time.time()
    send(port, load)
    accepted = time.time()
    end = wait_for_delivery(root, load.messages, patience_seconds)
    time.sleep(SETTLE_SECONDS)
    processes = peers.cpu_seconds(pid) - processes if pid else 0.0
    driver = driver_seconds() - driver
    busy = busy_seconds() - busy - driver
    return Figures(
        messages=load.messages,
        accepted_per_second=round(load.messages / (accepted - start), 1),
        delivered_per_second=round(load.messages / (end - start), 1),
        cpu_ms_per_message=round(1000 * busy / load.messages, 3),
        process_cpu_ms_per_message=round(1000 * processes / load.messages, 3),
        driver_cpu_ms_per_message=round(1000 * driver / load.messages, 3),
        busy_before=round(before, 3),
    )


def main() -> int:
    """Measure any server: `python -m benchmarks.inbound PORT MAILROOT`."""
    parser = argparse.ArgumentParser(description=measure.__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("root", type=Path, help="every file in a new/ below it is deleted first")
    parser.add_argument("--pid", type=int, help="the server's first process")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--connections", type=int, default=20)
    parser.add_argument("--octets", type=int, default=4096)
    parser.add_argument("--mailboxes", type=int, default=10_000)
    parser.add_argument("--reuse", action="store_true")
    given = parser.parse_args()
    load = Load(given.messages, given.octets, given.connections, given.reuse, given.mailboxes)
    try:
        print(json.dumps(dataclasses.asdict(measure(given.port, given.root, load, given.pid))))
    except BenchmarkError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
