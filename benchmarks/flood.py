"""Fifty clients name unknown recipients as fast as they can, while another client sends mail to a known one.

    python -m benchmarks.flood [--messages 5000] [--clients 50]

What is asked: the known recipient's mail is taken at no less than half the rate it has undisturbed, and the flood sees the
tarpit and 421. Both rates are of the same closed loop (smtp-source, ten connections, a fresh one for each message), so both
include what the flood's own driver takes of the machine.
"""

import argparse
import contextlib
import dataclasses
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.fixtures.house import House

KNOWN = "known@flood.test"
CLIENTS = 50
CONNECTIONS = 10
ROUNDS = 5  # of each rate; the median counts, since others use the machine too
SLOW_SECONDS = 0.9  # no reply is so late by itself
AT_LEAST = 0.5
GREETING_DELAY_SECONDS = 1
SETTINGS = {
    # The flood comes from loopback too, but is to be treated as anybody from outside.
    "smtpd.allow_clients": '["127.0.0.1/32"]',
    "limits.unknown_recipients_per_minute": "20",
    "limits.greeting_delay_seconds": str(GREETING_DELAY_SECONDS),
}


@dataclass(slots=True)
class Seen:
    """What the flood met."""

    replies: Counter[str] = field(default_factory=Counter)  # to RCPT and at connect, by code
    slow: int = 0  # replies that were held back for at least SLOW_SECONDS
    broken: int = 0  # conversations that ended otherwise


@dataclass(frozen=True, slots=True)
class Figures:
    """What came of it."""

    undisturbed_per_second: float
    flooded_per_second: float
    replies: dict[str, int]
    slow_replies: int
    guesses_per_second: float

    @property
    def ratio(self) -> float:
        """Which part of the rate is left."""
        return self.flooded_per_second / self.undisturbed_per_second

    @property
    def is_met(self) -> bool:
        """Is it what was asked for?"""
        return self.ratio >= AT_LEAST and self.slow_replies > 0 and self.replies.get("421", 0) > 0


class Flooder(threading.Thread):
    """One client that guesses; hung up on, it comes again at once."""

    def __init__(self, port: int, number: int, seen: Seen, over: threading.Event) -> None:
        super().__init__(daemon=True)
        self._port, self._address = port, f"127.0.1.{1 + number}"
        self._seen, self._over = seen, over
        self._guess = 0

    def run(self) -> None:
        """Guess until it is over."""
        while not self._over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", self._port), 30, (self._address, 0)) as client:
                    self._converse(client)
            except OSError:
                self._seen.broken += 1

    def _converse(self, client: socket.socket) -> None:
        replies = client.makefile("rb")
        code = self._reply(replies)
        if code != "220":
            self._seen.replies[code] += 1
            return
        for command in ("EHLO flood.test", "MAIL FROM:<guess@flood.invalid>"):
            client.sendall(command.encode() + b"\r\n")
            self._reply(replies)
        while not self._over.is_set():
            self._guess += 1
            start = time.monotonic()
            client.sendall(b"RCPT TO:<nobody%d@flood.test>\r\n" % self._guess)
            code = self._reply(replies)
            self._seen.replies[code] += 1
            self._seen.slow += time.monotonic() - start >= SLOW_SECONDS
            if code in ("421", ""):
                return

    @staticmethod
    def _reply(replies: object) -> str:
        line = b"   -"
        while line[3:4] == b"-":
            line = replies.readline(1000)  # type: ignore[attr-defined]
        return line[:3].decode("latin-1")


def flood(port: int, clients: int, over: object, results: object) -> None:
    """The flood's process: *clients* threads until *over*, then what they saw."""
    seen, end = Seen(), threading.Event()
    for number in range(clients):
        Flooder(port, number, seen, end).start()
    over.wait()  # type: ignore[attr-defined]
    end.set()
    results.put(seen)  # type: ignore[attr-defined]


@contextlib.contextmanager
def flooded(port: int, clients: int) -> Iterator[list[Seen]]:
    """The flood runs while the block does; afterwards the list has what it saw."""
    context = multiprocessing.get_context("fork")
    over, results, seen = context.Event(), context.Queue(), list[Seen]()
    process = context.Process(target=flood, args=(port, clients, over, results), daemon=True)
    process.start()
    try:
        yield seen
    finally:
        over.set()
        seen.append(results.get(timeout=30))
        process.kill()
        process.join()


def known_per_second(port: int, messages: int) -> float:
    """How fast the known recipient's mail is taken: the median of ROUNDS, which share *messages*."""
    return statistics.median(_known_once(port, messages // ROUNDS) for _ in range(ROUNDS))


def _known_once(port: int, messages: int) -> float:
    command = ["smtp-source", "-s", str(CONNECTIONS), "-m", str(messages), "-l", "4096"]
    command += ["-f", "sender@client.test", "-t", KNOWN, f"inet:127.0.0.1:{port}"]
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return messages / (time.monotonic() - start)


def measure(folder: Path, messages: int, clients: int = CLIENTS, tarpit_seconds: int = 5) -> Figures:
    """Both rates, with an appliance of its own in *folder*."""
    with House(folder / "house", settings={**SETTINGS, "limits.tarpit_seconds": str(tarpit_seconds)}) as house:
        house.add_domain(KNOWN.partition("@")[2])
        house.add_mailbox(KNOWN)
        house.wait_until_known(KNOWN)
        port = house.port("smtp")
        known_per_second(port, messages // 4)
        undisturbed = known_per_second(port, messages)
        with flooded(port, clients) as seen:
            start = time.monotonic()
            time.sleep(GREETING_DELAY_SECONDS + tarpit_seconds + 1.0)  # until the flood has met its limits
            disturbed = known_per_second(port, messages)
            lasted = time.monotonic() - start
    [met] = seen
    return Figures(
        round(undisturbed, 1), round(disturbed, 1), dict(met.replies), met.slow, round(met.replies.total() / lasted, 1)
    )


def main() -> int:
    """Measure and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postern-flood-") as folder:
        figures = measure(Path(folder), given.messages, given.clients)
    print(json.dumps({**dataclasses.asdict(figures), "ratio": round(figures.ratio, 2)}))
    print("met" if figures.is_met else "NOT MET")
    return 0 if figures.is_met else 1


if __name__ == "__main__":
    sys.exit(main())
