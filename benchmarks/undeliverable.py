"""Promise P5: a large queue for hosts that refuse, put off, hang (before or after the content) or do not resolve, and fresh mail.

    python -m benchmarks.undeliverable [--messages 100000] [--domains 20000] [--samples 500] [--beside-postfix]

What is asked: a fresh message to a mailbox, and one to another host that works, arrive with a 99th percentile of at most twice
the empty queue's and below a second; scheduler has less than 200 MiB; started with this queue on disk, the house serves within
ten seconds. The queue is laid into the spool as enqueuer would have written it, which takes a minute instead of many; the world
around the house, name server and hosts, is a process of its own. What Postfix makes of the same: undeliverable_postfix.py.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import smtplib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rrset

from appliance.config import load_settings
from benchmarks import peers
from benchmarks.arrivals import Arrivals
from mta import roster
from mta.spool.envelope import Envelope, Generation, Recipient, render
from tests.fixtures.house import House, wait_until

MAILBOX, LIVE = "postmaster@mx.house.test", "someone@live.bench.test"
# What a queued message's host does; `mute` takes all of it and never says so, `dark` does not resolve.
KINDS = ("refuse", "defer", "hang", "mute", "dark")
HOSTS = {kind: f"127.0.77.{number}" for number, kind in enumerate(("live", "refuse", "defer", "hang", "mute"), 1)}
OLDEST_SECONDS = 6 * 3600  # the queue grew over so long
CONTENT = b"Received: from client.bench.test\r\nSubject: waits\r\n\r\n" + b"x" * 500 + b"\r\n"
PAUSE_SECONDS = 0.05  # between two fresh messages
PATIENCE_SECONDS = 60.0
SETTLE_SECONDS = 20.0  # after a start, for the old mail to be tried; less of it needs less
SETTLED_PER_SECOND = 200
MOST_SECONDS, MOST_TIMES, MOST_MIB, MOST_START_SECONDS = 1.0, 2.0, 200.0, 10.0


@dataclass(frozen=True, slots=True)
class Latency:
    """Seconds from MAIL to the file in the mailbox, or to the other host's 250."""

    median: float
    p99: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it."""

    messages: int
    domains: int
    empty_mailbox: Latency
    empty_remote: Latency
    full_mailbox: Latency
    full_remote: Latency
    start_seconds: float  # with the queue on disk, until everything serves
    scheduler_mib: float  # the most resident memory that it had
    still_queued: int

    @property
    def times(self) -> float:
        """How many times the empty queue's the 99th percentile is, the worse of both."""
        pairs = ((self.full_mailbox, self.empty_mailbox), (self.full_remote, self.empty_remote))
        return max(full.p99 / empty.p99 for full, empty in pairs)

    @property
    def is_met(self) -> bool:
        """Is it what was asked for?"""
        slowest = max(self.full_mailbox.p99, self.full_remote.p99)
        is_soon = self.times <= MOST_TIMES and slowest < MOST_SECONDS
        return is_soon and self.scheduler_mib < MOST_MIB and self.start_seconds < MOST_START_SECONDS


# --- the world around: name server and hosts -------------------------------------------------------------------------


class Names(asyncio.DatagramProtocol):
    """Answers at once: the first label says which host a domain has."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can answer."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question."""
        query = dns.message.from_wire(data)
        question = query.question[0]
        labels = [label.decode().lower() for label in question.name.labels]
        kind = labels[-4].rstrip("0123456789") if len(labels) > 3 else ""
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        asked = dns.rdatatype.to_text(question.rdtype)
        if kind == "dark":
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif asked == "MX" and kind in HOSTS:
            answer.answer.append(dns.rrset.from_text(question.name, 3600, "IN", "MX", f"10 mx.{kind}.bench.test."))
        elif asked == "A" and kind in HOSTS:
            answer.answer.append(dns.rrset.from_text(question.name, 3600, "IN", "A", HOSTS[kind]))
        self._transport.sendto(answer.to_wire(), addr)


async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, takes: bool) -> None:
    """One conversation of a host that takes everything, telling when, or of one that puts everybody off."""
    with contextlib.suppress(ConnectionError):
        writer.write(b"220 mx.world.test ESMTP\r\n")
        is_content, subject = False, b""
        while line := await reader.readline():
            if is_content:
                subject = line.partition(b":")[2].strip() if line.startswith(b"Subject:") else subject
                if line != b".\r\n":
                    continue
                is_content, reply = False, b"250 2.0.0 taken"
                sys.stdout.write(f"{subject.decode()} {time.time()}\n")
                sys.stdout.flush()
            else:
                verb = line[:4].upper()
                is_content = verb == b"DATA" and takes
                reply = {b"DATA": b"354 go" if takes else b"503 no", b"QUIT": b"221 bye"}.get(verb, b"250 2.0.0 ok")
                reply = b"450 4.2.0 later" if verb == b"RCPT" and not takes else reply
                reply = b"250-mx.world.test\r\n250 PIPELINING" if verb == b"EHLO" else reply
            writer.write(reply + b"\r\n")
    writer.close()


async def take_and_be_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One conversation of a host that has the content, and says nothing of it."""
    with contextlib.suppress(ConnectionError):
        writer.write(b"220 mx.world.test ESMTP\r\n")
        while (line := await reader.readline()) and not line.startswith(b"DATA"):
            writer.write(b"250 2.0.0 ok\r\n")
        writer.write(b"354 go\r\n")
        await reader.read()


async def be_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """One conversation of a host that never says a word."""
    with contextlib.suppress(ConnectionError):
        await reader.read()


async def be_the_world(port: int, names_port: int) -> None:
    """Serve until killed; the first line says where the name server is. Port 0 of it: any."""
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Names, ("127.0.0.1", names_port))
    await asyncio.start_server(lambda r, w: converse(r, w, takes=True), HOSTS["live"], port, backlog=1000)
    await asyncio.start_server(lambda r, w: converse(r, w, takes=False), HOSTS["defer"], port, backlog=1000)
    await asyncio.start_server(be_silent, HOSTS["hang"], port, backlog=1000)
    await asyncio.start_server(take_and_be_silent, HOSTS["mute"], port, backlog=1000)
    host, own_port = transport.get_extra_info("sockname")[:2]
    print(f"{host}:{own_port}", flush=True)
    await asyncio.sleep(1e9)


class World:
    """That process, and what its live host took: subject to the moment."""

    def __init__(self, port: int = 0, names_port: int = 0) -> None:
        self.port = port or peers.free_port()
        command = [sys.executable, "-m", "benchmarks.undeliverable", "--world", str(self.port), str(names_port)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._said = self._process.stdout
        self.names = self._said.readline().strip()
        self.taken: dict[str, float] = {}
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in self._said:
            subject, _, moment = line.partition(" ")
            self.taken[subject] = float(moment)

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        self._said.close()


# --- the queue ---------------------------------------------------------------------------------------------------------


def address(number: int, domains: int) -> str:
    """To whom the queued message of this *number* is."""
    domain = number % domains
    return f"someone@{KINDS[domain % len(KINDS)]}{domain}.bench.test"


def fill(house: House, messages: int, domains: int) -> None:
    """Lay *messages* for *domains* into the spool, as enqueuer would have in the last hours."""
    lay(house.state, house.config, messages, lambda number: address(number, domains))


def lay(state: Path, config: Path, messages: int, recipient_of: Callable[[int], str]) -> None:
    """The same for any house, by its *state* folder and settings; *recipient_of* says to whom each message is."""
    now = int(time.time())
    base = load_settings(config).host.uid_base
    owner = (base + roster.ENQUEUER.number, base + roster.CLEANER.number) if os.geteuid() == 0 else (-1, -1)
    for number in range(messages):
        arrival = now - OLDEST_SECONDS * (messages - number) // messages - 60
        recipient = Recipient(recipient_of(number).encode())
        envelope = Envelope(
            arrival,
            len(CONTENT),
            b"postmaster@mx.house.test",
            b"",
            b"0",
            b"127.0.0.1",
            Generation.ORDINARY,
            (recipient,),
        )
        name = f"{arrival * 1_000_000 + number % 1_000_000:016x}{number & 0xFFFF:04x}"
        for part, octets in (("content", CONTENT), ("envelope", render(envelope))):
            path = state / "spool" / part / name
            path.write_bytes(octets)
            os.chown(path, *owner)
    os.sync()  # It has lain there for hours: what the kernel has yet to write of it is none of the question.


# --- measuring ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """Who is asked: its port, a mailbox of it, and the new/ of that."""

    port: int
    mailbox: str
    inbox: Path


def measure_fresh(
    server: Server, world: World, samples: int, name: str, *, counts_lost: bool = False
) -> tuple[Latency, Latency]:
    """Fresh messages to the mailbox and to the live host in turn: how long each took.

    *counts_lost*: one that does not come within PATIENCE_SECONDS counts as one that took so long; otherwise it is an error.
    """
    with Arrivals(server.inbox) as arrivals:
        sent = _send(server, samples, name)

        def missing() -> set[str]:
            return set(sent) - set(arrivals.came) - set(world.taken)

        try:
            wait_until(lambda: not missing(), PATIENCE_SECONDS, lambda: f"{len(missing())} never came")
        except AssertionError:
            if not counts_lost:
                raise
    subjects = list(sent)
    here, there = (
        [came.get(subject, sent[subject] + PATIENCE_SECONDS) - sent[subject] for subject in subjects[first::2]]
        for first, came in ((0, arrivals.came), (1, world.taken))
    )
    return _latency(here), _latency(there)


def _send(server: Server, samples: int, name: str) -> dict[str, float]:
    """One after the other, to the mailbox and to the live host in turn; answers each one's Subject and moment."""
    sent: dict[str, float] = {}
    with smtplib.SMTP("127.0.0.1", server.port, "client.bench.test", 60) as client:
        for number in range(2 * samples):
            subject, to = f"{name}-{number}", LIVE if number % 2 else server.mailbox
            sent[subject] = time.time()
            client.sendmail("postmaster@mx.house.test", [to], f"Subject: {subject}\r\n\r\nfresh\r\n")
            time.sleep(PAUSE_SECONDS)
    return sent


def _latency(seconds: list[float]) -> Latency:
    ordered = sorted(max(0.0, each) for each in seconds)
    return Latency(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)])


def peak_mib(pid: int) -> float:
    """The most resident memory that *pid* has had."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def measure(folder: Path, messages: int, domains: int, samples: int) -> Figures:
    """The whole of it, below *folder*."""
    world = World()
    settings = {
        "dns.servers": f'["{world.names}"]', "outbound.port": str(world.port), "outbound.allow_loopback": "true",
        "smtpd.relay_clients": '["127.0.0.0/8"]', "limits.messages_per_minute": "0", "limits.delay_warning_hours": "0",
    }  # fmt: skip
    house = House(folder / "house", settings=settings)
    try:
        house.start()
        house.wait_until_known(MAILBOX)
        house.send(MAILBOX, b"Subject: first\r\n\r\nThe Maildir is made with it.\r\n")
        house.wait_for_messages(MAILBOX)
        server = Server(house.port("smtp"), MAILBOX, house.maildir(MAILBOX) / "new")
        warming = min(20, samples)
        measure_fresh(server, world, warming, "warm")
        empty_mailbox, empty_remote = measure_fresh(server, world, samples, "empty")
        house.stop()
        fill(house, messages, domains)
        began = time.monotonic()
        house.start()
        start_seconds = time.monotonic() - began
        time.sleep(min(SETTLE_SECONDS, messages / SETTLED_PER_SECOND))
        measure_fresh(server, world, warming, "again")
        full_mailbox, full_remote = measure_fresh(server, world, samples, "full")
        queued = sum(1 for _ in (house.state / "spool/envelope").iterdir())
        return Figures(
            messages, domains, empty_mailbox, empty_remote, full_mailbox, full_remote, round(start_seconds, 2),
            round(peak_mib(house.pid("scheduler")), 1), queued,
        )  # fmt: skip
    finally:
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
            house.__exit__()
        world.close()


def latencies(figures: Figures) -> Iterator[str]:
    """How long fresh mail took, with and without the queue."""
    yield f"{figures.messages:,} messages for {figures.domains:,} domains: refuse, put off, hang, take and hang, do not resolve"
    for name in ("mailbox", "remote"):
        empty, full = getattr(figures, f"empty_{name}"), getattr(figures, f"full_{name}")
        yield (
            f"  fresh to a {name:<8} median {empty.median * 1000:6.1f} -> {full.median * 1000:6.1f} ms, "
            f"99th percentile {empty.p99 * 1000:6.1f} -> {full.p99 * 1000:6.1f} ms"
        )


def report(figures: Figures) -> Iterator[str]:
    """The lines that answer the question."""
    yield from latencies(figures)
    yield f"  scheduler {figures.scheduler_mib:.0f} MiB at most, start {figures.start_seconds:.1f} s"
    yield f"  {figures.still_queued:,} still queued"
    yield f"  {figures.times:.2f} times the empty queue's, wanted {MOST_TIMES:g}: {'met' if figures.is_met else 'NOT MET'}"


def main() -> int:
    """Measure and print. Exit status 1: a promise was not kept."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.undeliverable", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--domains", type=int, default=20_000)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--below", type=Path, default=Path("/var/tmp"), help="the file system to measure on")
    parser.add_argument("--beside-postfix", action="store_true", help="ask Postfix the same afterwards; needs root")
    parser.add_argument("--world", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.world:
        asyncio.run(be_the_world(*given.world))
        return 0
    with tempfile.TemporaryDirectory(prefix="postern-bench-", dir=given.below) as folder:
        Path(folder).chmod(0o711)
        figures = measure(Path(folder), given.messages, given.domains, given.samples)
    print("\n".join(report(figures)))
    print(dataclasses.asdict(figures), flush=True)
    if given.beside_postfix:
        size = ("--messages", str(given.messages), "--domains", str(given.domains), "--samples", str(given.samples))
        subprocess.run([sys.executable, "-m", "benchmarks.undeliverable_postfix", *size], check=True)
    return 0 if figures.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
