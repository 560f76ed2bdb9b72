"""`make bench`, the other direction: Postern and Postfix in turn relay what a client of theirs sends to smtp-sink. Needs root.

    python -m benchmarks.outbound [--pairs 3] [--messages 10000]

Both have a fixed route for one domain to the sink, so neither asks DNS; both may have as many connections there as they like
by default. A run is over when the sink has counted the last message. Nothing is signed: what is relayed is not ours. What a
signature costs is said apart, behind the ratio.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from benchmarks import dkim, inbound, peers
from benchmarks.inbound import BenchmarkError
from benchmarks.peer_postern import Postern
from benchmarks.peer_postfix import Postfix

DOMAIN = "remote.test"
RATE, CPU = 1.2, 0.85  # what is promised: messages a second at least, CPU a message at most, ours to theirs
NEEDED = ("smtp-source", "smtp-sink", "postfix")
CONNECTIONS = 20
OCTETS = 4096
LOOK_SECONDS = 0.02
PATIENCE_SECONDS = 120.0


class Relay(Protocol):
    """A peer that can be told to relay."""

    name: str
    port: int

    @property
    def pid(self) -> int:
        """Its first process."""

    def relay(self, domain: str, sink: int) -> None:
        """From now on take mail of 127.0.0.0/8 for *domain*, and send it to 127.0.0.1:*sink*."""

    def start(self, isolation: str = "worker") -> None:
        """Start."""

    def stop(self) -> None:
        """Stop."""


@dataclass(frozen=True, slots=True)
class Figures:
    """One run."""

    relayed_per_second: float
    accepted_per_second: float
    cpu_ms_per_message: float  # whole machine, without client and sink


class Sink:
    """smtp-sink, and how many messages it has counted."""

    def __init__(self, port: int) -> None:
        command = ["smtp-sink", "-u", "nobody", "-R", "/", "-c", f"127.0.0.1:{port}", "512"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._process.stdout is not None
        self.messages = 0
        self._thread = threading.Thread(target=self._count, args=(self._process.stdout,), daemon=True)
        self._thread.start()

    def _count(self, said: IO[bytes]) -> None:
        rest = b""
        while octets := os.read(said.fileno(), 4096):
            rest = (rest + octets)[-400:]
            counts = [int(each) for each in re.findall(rb"mesg=(\d+)\b(?=\D)", rest)]
            self.messages = max([self.messages, *counts])

    def cpu_seconds(self) -> float:
        """What it has used."""
        return peers.cpu_seconds(self._process.pid)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextlib.contextmanager
def listening(port: int) -> Iterator[Sink]:
    """A sink that takes mail during the block."""
    sink = Sink(port)
    try:
        peers.wait_until_listening(port)
        yield sink
    finally:
        sink.close()


def send(peer: Relay, sink: Sink, messages: int) -> tuple[float, float]:
    """The moments when the peer had accepted all, and the sink counted all.

    Raises:
        BenchmarkError: the client broke off, or not all arrived.
    """
    wanted = sink.messages + messages
    command = ["smtp-source", "-s", str(CONNECTIONS), "-m", str(messages), "-l", str(OCTETS), "-d"]
    command += ["-f", "sender@client.test", "-t", f"user@{DOMAIN}", f"inet:127.0.0.1:{peer.port}"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        raise BenchmarkError(f"smtp-source: {run.stderr.strip()[-300:]}")
    accepted = time.time()
    while sink.messages < wanted:
        if time.time() > accepted + PATIENCE_SECONDS:
            raise BenchmarkError(f"{wanted - sink.messages} of {messages} messages never reached the sink")
        time.sleep(LOOK_SECONDS)
    return accepted, time.time()


def run_once(peer: Relay, port: int, messages: int) -> Figures:
    """One measured run from a fresh start, after a little mail."""
    with listening(port) as sink:
        peer.start()
        try:
            send(peer, sink, 100)
            time.sleep(inbound.SETTLE_SECONDS)
            os.sync()
            others = inbound.driver_seconds() + sink.cpu_seconds()
            busy, start = inbound.busy_seconds(), time.time()
            accepted, end = send(peer, sink, messages)
            time.sleep(inbound.SETTLE_SECONDS)
            busy = inbound.busy_seconds() - busy - (inbound.driver_seconds() + sink.cpu_seconds() - others)
        finally:
            peer.stop()
    figures = Figures(messages / (end - start), messages / (accepted - start), 1000 * busy / messages)
    print(
        f"  {peer.name:<8} {figures.relayed_per_second:8.0f} relayed/s {figures.accepted_per_second:8.0f} accepted/s "
        f"{figures.cpu_ms_per_message:7.2f} ms CPU a message",
        flush=True,
    )
    return figures


def ratios(ours: Sequence[Figures], theirs: Sequence[Figures]) -> tuple[float, float]:
    """Ours to theirs, of medians: messages a second, CPU a message."""
    both = []
    for name in ("relayed_per_second", "cpu_ms_per_message"):
        mine, other = (statistics.median(getattr(run, name) for run in runs) for runs in (ours, theirs))
        both.append(mine / other)
    return both[0], both[1]


def compare(root: Path, pairs: int, messages: int) -> tuple[list[Figures], list[Figures]]:
    """Make both below *root* and measure them in turn."""
    ours, theirs, sink = Postern(root / "postern"), Postfix(root / "postfix"), peers.free_port()
    key_pair = peers.make_key_pair(root / "tls")
    for peer in (ours, theirs):
        peer.prepare(10, key_pair)
        peer.relay(DOMAIN, sink)
    runs: tuple[list[Figures], list[Figures]] = ([], [])
    for pair in range(pairs):
        print(f"relayed to another host, {messages:,} messages, pair {pair + 1} of {pairs}", flush=True)
        runs[0].append(run_once(ours, sink, messages))
        runs[1].append(run_once(theirs, sink, messages))
    return runs


def main() -> int:
    """Compare and print. Exit status 1: a ratio that is promised was not met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.outbound", description=__doc__)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--below", type=Path, default=Path("/var/tmp"), help="the file system to measure on")
    given = parser.parse_args()
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing or os.geteuid() != 0:
        print(f"bench: needs root and {', '.join(missing or NEEDED)}", file=sys.stderr)
        return 1
    root = Path(tempfile.mkdtemp(prefix="postern-bench-", dir=given.below))
    root.chmod(0o711)
    try:
        rate, cpu = ratios(*compare(root, given.pairs, given.messages))
    except (BenchmarkError, TimeoutError, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(root, ignore_errors=True)
    is_met = rate >= RATE and cpu <= CPU
    print(f"relayed to another host: {rate:.2f} times Postfix in messages a second at {cpu:.2f} of its CPU", end=" ")
    print(f"(wanted {RATE} at {CPU}: {'met' if is_met else 'NOT MET'})")
    print(
        f"apart, for what users send alone: {dkim.signing_ms(OCTETS):.2f} ms CPU a message to sign it (DKIM, both keys)"
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
