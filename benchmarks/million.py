"""A million mailboxes in ten thousand domains: `python -m benchmarks.million [--mailboxes N] [--domains N]`. Needs no root.

Makes the database, times the first publication as `postern publish --full` does it, starts the appliance, and measures RCPT
over the wire, how soon a change is in force there, and the directory's own memory - at rest, and after many changes.

A reader would otherwise get wrong: of the directory's memory only what is its own counts (`Anonymous` of smaps_rollup). The
mapped snapshot is the kernel's page cache, which it takes back when somebody else needs it.
"""

import argparse
import base64
import os
import re
import select
import socket
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.config import load_settings
from appliance.database.engine import open_engine
from appliance.database.session import unit_of_work
from appliance.services import mailboxes
from appliance.services.actor import Actor
from benchmarks import peers
from benchmarks.peer_postern import COMMAND

ACTOR = Actor("system", "benchmark")
CHUNK = 50_000  # rows in one transaction
SEALED = base64.b64encode(b"\x01" + bytes(145)).decode()  # as long as a real one; nobody logs in here
PUBLIC = base64.b64encode(bytes(32)).decode()
CONNECTIONS = 8
SECONDS = 6.0  # of each measurement
MOST_NAMED = 900  # recipients on one connection, in one transaction; a message has at most 1000
SPARES = 20  # connections that are made before the clock runs, in the place of those that have named their most
TICK_SECONDS = 0.001  # epoll knows no shorter pause
CHANGES = 20
CHURN = 5_000  # mailboxes changed in one transaction
PATIENCE_SECONDS = 120.0


class House:
    """An appliance below *root*, with its database filled by plain statements."""

    def __init__(self, root: Path, domains: int, per_domain: int) -> None:
        self.root, self.domains, self.per_domain = root, domains, per_domain
        self.port = peers.free_port()
        self.settings = root / "postern.toml"
        self._process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> str:
        """What `postern` answers."""
        command = [str(COMMAND), "--config", str(self.settings), *arguments]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=self.root).stdout

    def make(self) -> None:
        """Settings and rows."""
        self.command("init", "--state", str(self.root / "var"), "--hostname", "mx.bench.test", "--operator", "bench")
        listening = {"smtp": f'"127.0.0.1:{self.port}"'}
        text = self.settings.read_text()
        for name in ("smtp", "submission", "submissions", "panel", "metrics"):
            text = re.sub(rf"^{name} = .*$", f"{name} = [{listening.get(name, '')}]", text, count=1, flags=re.MULTILINE)
        text = re.sub(r"^(unknown_recipients_per_minute) = .*$", r"\1 = 10000", text, flags=re.MULTILINE)
        self.settings.write_text(text)
        with sqlite3.connect(self.root / "var/postern.db", isolation_level=None) as connection:
            self._fill(connection)

    def address(self, number: int) -> str:
        """The mailbox with this number."""
        return f"user{number % self.per_domain}@domain{number // self.per_domain}.test"

    @property
    def mailboxes(self) -> int:
        """How many there are."""
        return self.domains * self.per_domain

    def _fill(self, connection: sqlite3.Connection) -> None:
        first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM domain").fetchone()[0]
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT INTO domain (id, name, kind, tenant_id, validation, created_at, proved_at, version) "
            "VALUES (?, ?, 'hosted', 1, 'rcpt', 0, 0, 1)",
            ((first + number, f"domain{number}.test") for number in range(self.domains)),
        )
        # With keys, as domains have that were not all made this minute: half a processor makes them for a quarter of an hour.
        connection.executemany(
            "INSERT INTO dkim_key (domain_id, selector, algorithm, public_key, sealed_key, state, changed_at, created_at, "
            "version) VALUES (?, 'bench', 'ed25519-sha256', ?, ?, 'signing', 0, 0, 1)",
            ((first + number, PUBLIC, SEALED) for number in range(self.domains)),
        )
        connection.executemany(
            "INSERT INTO change (kind, key) VALUES ('domain', ?)", ((f"domain{n}.test",) for n in range(self.domains))
        )
        connection.execute("COMMIT")
        for start in range(0, self.mailboxes, CHUNK):
            connection.execute("BEGIN")
            numbers = range(start, min(start + CHUNK, self.mailboxes))
            connection.executemany(
                "INSERT INTO mailbox (domain_id, local_part, folded, display_name, sealed_hash, quota_bytes, used_bytes, "
                "created_at, version) VALUES (?, ?, ?, '', ?, 0, 0, 0, 1)",
                ((first + n // self.per_domain, *(f"user{n % self.per_domain}",) * 2, SEALED) for n in numbers),
            )
            connection.executemany(
                "INSERT INTO change (kind, key) VALUES ('address', ?)", ((self.address(n),) for n in numbers)
            )
            connection.execute("COMMIT")

    def start(self) -> float:
        """Seconds until it greets."""
        began = time.monotonic()
        with (self.root / "up.log").open("a") as log:
            command = [str(COMMAND), "--config", str(self.settings), "up"]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.root)
        peers.wait_until_listening(self.port, PATIENCE_SECONDS)
        return time.monotonic() - began

    def stop(self) -> None:
        """End it and all it made."""
        if self._process is not None:
            pids = peers.family(self._process.pid)
            self._process.terminate()
            self._process.wait(PATIENCE_SECONDS)
            peers.end(pids, seconds=2)

    def directory(self) -> dict[str, float]:
        """MiB of the directory process, by the kernel's names."""
        assert self._process is not None
        for pid in peers.family(self._process.pid):
            if b"mta.roles.directory" in Path(f"/proc/{pid}/cmdline").read_bytes():
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                return {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE)}
        raise RuntimeError("there is no directory")


class Client:
    """One SMTP connection that only ever asks for recipients."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        self.read()
        self._say("EHLO client.test")
        self.named = 0
        self._say("MAIL FROM:<sender@example.com>")

    def rcpt(self, address: str) -> int:
        """The reply's code."""
        self.send_rcpt(address)
        return self.read()

    def send_rcpt(self, address: str) -> None:
        """Ask without waiting."""
        self.named += 1
        self._socket.sendall(f"RCPT TO:<{address}>\r\n".encode())

    def fileno(self) -> int:
        """Of the socket."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._socket.close()

    def _say(self, line: str) -> int:
        self._socket.sendall(line.encode() + b"\r\n")
        return self.read()

    def read(self) -> int:
        """The next reply's code."""
        while True:
            line = self._file.readline()
            if line[3:4] != b"-":
                return int(line[:3])


def spread(mailboxes: int, first: int) -> Iterator[int]:
    """Numbers that jump about, so that no cache has them all."""
    number = first * 104_729
    while True:
        number = (number + 7_919) % mailboxes
        yield number


class Asker:
    """One connection of the load: asks, and is told later."""

    def __init__(self, port: int, spares: list[Client]) -> None:
        self.port, self.asked, self._spares = port, 0.0, spares
        self.client = Client(port)

    def ask(self, address: str, asked: float) -> None:
        """Name a recipient; the answer's time counts from *asked*."""
        if self.client.named >= MOST_NAMED:
            self.client.close()
            # To make one takes milliseconds, in which the answers to all others would wait for us to read them.
            self.client = self._spares.pop() if self._spares else Client(self.port)
        self.asked = asked
        self.client.send_rcpt(address)


def load(house: House, rate: float | None, seconds: float) -> tuple[float, list[float]]:
    """RCPTs a second, and the milliseconds of each; at *rate*, or as fast as it goes.

    One thread: several would wait for one another, and their waiting would pass for the server's. Where all connections were
    busy when a question was due, its time counts from then; our own oversleeping does not.
    """
    spares = [Client(house.port) for _ in range(SPARES)]
    idle = [Asker(house.port, spares) for _ in range(CONNECTIONS)]
    waiting, found, numbers = dict[int, Asker](), list[float](), spread(house.mailboxes, 1)
    poll, is_behind = select.epoll(), False
    began = due = time.perf_counter()
    while (now := time.perf_counter()) < began + seconds or waiting:
        while idle and now < began + seconds and (not rate or due <= now):
            asker = idle.pop()
            asker.ask(house.address(next(numbers)), due if rate and is_behind else now)
            waiting[asker.client.fileno()] = asker
            poll.register(asker.client.fileno(), select.EPOLLIN)
            due += 1 / rate if rate else 0.0
        is_behind = not idle and due <= now
        if rate and idle and not waiting:
            time.sleep(max(0.0, due - time.perf_counter()))
            continue
        for descriptor, _ in poll.poll(TICK_SECONDS if rate and idle else 1.0):
            asker = waiting.pop(descriptor)
            poll.unregister(descriptor)
            assert asker.client.read() == 250
            found.append(1e3 * (time.perf_counter() - asker.asked))
            idle.append(asker)
    poll.close()
    for client in (*spares, *(asker.client for asker in idle)):
        client.close()
    return len(found) / seconds, sorted(found)


def change(house: House) -> list[float]:
    """Milliseconds from the commit of a new mailbox until RCPT takes it, for each of some."""
    engine = open_engine(load_settings(house.settings).database_url)
    client, found = Client(house.port), []
    for number in range(CHANGES):
        address = f"new{number}@domain{number}.test"
        with unit_of_work(engine) as session:
            mailboxes.create(session, address, actor=ACTOR)
        committed = time.perf_counter()
        while client.rcpt(address) != 250:
            if time.perf_counter() - committed > 10:
                raise TimeoutError(f"{address} is not known after ten seconds")
            time.sleep(0.01)
        found.append(1e3 * (time.perf_counter() - committed))
    client.close()
    engine.dispose()
    return sorted(found)


def churn(house: House, wanted: int) -> tuple[float, float]:
    """Change *wanted* mailboxes' quotas; seconds until the last is published, and the most MiB the directory had."""
    most, began, client = 0.0, time.monotonic(), Client(house.port)
    with sqlite3.connect(house.root / "var/postern.db", isolation_level=None, timeout=30) as connection:
        for start in range(0, wanted, CHURN):
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO change (kind, key) VALUES ('address', ?)",
                ((house.address((start + number) % house.mailboxes),) for number in range(CHURN)),
            )
            connection.execute("COMMIT")
            for _ in range(4):
                # It looks at what was published when it is asked.
                client.rcpt(house.address(0))
                most = max(most, house.directory()["Anonymous"])
                time.sleep(0.05)
    house.command("publish")
    took = time.monotonic() - began
    for _ in range(20):
        client.rcpt(house.address(0))
        most = max(most, house.directory()["Anonymous"])
        time.sleep(0.1)
    client.close()
    return took, most


def change_again(house: House) -> float:
    """Milliseconds until one more new mailbox is taken."""
    engine = open_engine(load_settings(house.settings).database_url)
    client = Client(house.port)
    with unit_of_work(engine) as session:
        mailboxes.create(session, "last@domain0.test", actor=ACTOR)
    committed = time.perf_counter()
    while client.rcpt("last@domain0.test") != 250 and time.perf_counter() - committed < 10:
        time.sleep(0.01)
    client.close()
    engine.dispose()
    return 1e3 * (time.perf_counter() - committed)


@dataclass(frozen=True, slots=True)
class Figures:
    """What came out."""

    fill_seconds: float
    publish_seconds: float
    publish_cpu_seconds: float
    start_seconds: float
    highest_rate: float  # RCPT a second
    rate: float  # half of it, or what came of that
    median_ms: float
    p99_ms: float
    p999_ms: float
    change_ms: float
    worst_change_ms: float
    own_mib: float
    resident_mib: float
    churn_seconds: float
    most_own_mib: float
    late_change_ms: float


def measure(root: Path, domains: int, per_domain: int, churned: int, seconds: float = SECONDS) -> Figures:
    """Make an appliance at *root*, publish it, ask it."""
    house = House(root, domains, per_domain)
    root.mkdir(mode=0o711)
    began = time.monotonic()
    house.make()
    filled = time.monotonic()
    cpu = sum(os.times()[2:4])
    house.command("publish", "--full")
    published, used = time.monotonic(), sum(os.times()[2:4]) - cpu
    try:
        started = house.start()
        highest, _ = load(house, None, seconds)
        rate, found = load(house, highest / 2, seconds)
        took, memory = change(house), house.directory()
        churn_seconds, most = churn(house, churned)
        return Figures(
            fill_seconds=filled - began,
            publish_seconds=published - filled,
            publish_cpu_seconds=used,
            start_seconds=started,
            highest_rate=highest,
            rate=rate,
            median_ms=found[len(found) // 2],
            p99_ms=found[int(0.99 * len(found))],
            p999_ms=found[int(0.999 * len(found))],
            change_ms=took[len(took) // 2],
            worst_change_ms=took[-1],
            own_mib=memory["Anonymous"],
            resident_mib=memory["Rss"],
            churn_seconds=churn_seconds,
            most_own_mib=max(most, memory["Anonymous"]),
            late_change_ms=change_again(house),
        )
    finally:
        house.stop()


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mailboxes", type=int, default=1_000_000)
    parser.add_argument("--domains", type=int, default=10_000)
    parser.add_argument("--churn", type=int, default=200_000, help="how many mailboxes are changed afterwards")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="postern-million-") as folder:
        Path(folder).chmod(0o711)
        per_domain = max(1, asked.mailboxes // asked.domains)
        found = measure(Path(folder) / "house", asked.domains, per_domain, asked.churn)
    print(f"{asked.domains * per_domain:,} mailboxes in {asked.domains:,} domains; {CONNECTIONS} connections")
    for name, value in asdict(found).items():
        print(f"{name:20} {value:10.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
