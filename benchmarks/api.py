"""The REST API with a million mailboxes: `python -m benchmarks.api [--mailboxes N] [--domains N] [--postgresql URL]`.

Single POST, batch, list page and search over HTTP as a billing system uses them, and the memory of the web process after it.
With --postgresql (an empty database that the roles reach by TCP) the same there.

A reader would otherwise get wrong: client and appliance share the machine, so what is said of two cores includes the client.
"""

import argparse
import contextlib
import functools
import http
import http.client
import itertools
import json
import random
import re
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import million, peers

CHUNK = 50_000
CLIENTS = 4
BATCH = 500
HASH = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$U3cXsUXuE8jqgcqQ7AAjDKW7oR8Y5sLkO8gTJ5oY7Ok"
FIRST = (
    "anna",
    "ben",
    "carla",
    "dora",
    "emil",
    "fritz",
    "gesa",
    "hans",
    "ida",
    "jan",
    "karl",
    "lena",
    "max",
    "nora",
    "otto",
    "paula",
)
LAST = (
    "meyer",
    "schmidt",
    "fischer",
    "weber",
    "wagner",
    "becker",
    "koch",
    "bauer",
    "klein",
    "wolf",
    "neumann",
    "braun",
    "krause",
)
Call = Callable[[str, str, object], tuple[int, object]]


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured; milliseconds are of the 99th percentile."""

    single_per_second: float
    batch_per_second: float
    list_ms: float
    search_ms: float
    web_mib: float


class House(million.House):
    """The same with API, on either database, and with people's names."""

    def __init__(self, root: Path, domains: int, per_domain: int, postgresql: str | None = None) -> None:
        super().__init__(root, domains, per_domain)
        self.panel = peers.free_port()
        self._postgresql = postgresql

    def make(self) -> None:
        """Settings and rows."""
        self.command("init", "--state", str(self.root / "var"), "--hostname", "mx.bench.test", "--operator", "bench")
        listening = {"smtp": f'"127.0.0.1:{self.port}"', "panel": f'"127.0.0.1:{self.panel}"'}
        text = self.settings.read_text()
        for name in ("smtp", "submission", "submissions", "panel", "metrics"):
            text = re.sub(rf"^{name} = .*$", f"{name} = [{listening.get(name, '')}]", text, count=1, flags=re.MULTILINE)
        text = re.sub(r"^(api_requests_per_minute) = .*$", r"\1 = 0", text, flags=re.MULTILINE)
        if self._postgresql is not None:
            text = re.sub(r"^url = .*$", f'url = "{self._postgresql}"', text, count=1, flags=re.MULTILINE)
        self.settings.write_text(text)
        if self._postgresql is not None:
            self.command("init")
            self._fill_server(self._postgresql)
        else:
            with sqlite3.connect(self.root / "var/postern.db", isolation_level=None) as connection:
                self._fill_file(connection)
        self.key = json.loads(self.command("key", "create", "--json"))["secret"]

    def local_part(self, number: int) -> str:
        """Of the mailbox with this number."""
        return f"{FIRST[number % len(FIRST)]}.{LAST[number // len(FIRST) % len(LAST)]}{number}"

    def _rows(self, first: int, numbers: range) -> Iterator[tuple[object, ...]]:
        for number in numbers:
            name = self.local_part(number)
            yield first + number // self.per_domain, name, name, "", million.SEALED, 0, 0, 0, 1

    def _fill_file(self, connection: sqlite3.Connection) -> None:
        first = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM domain").fetchone()[0]
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO domain ({_DOMAIN}) VALUES (?, ?, 'hosted', 1, 'rcpt', 0, 0, 1)", self._domains(first)
        )
        for start in range(0, self.mailboxes, CHUNK):
            numbers = range(start, min(start + CHUNK, self.mailboxes))
            connection.executemany(
                f"INSERT INTO mailbox ({_MAILBOX}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self._rows(first, numbers)
            )
        connection.execute("INSERT INTO change (kind, key) VALUES ('domain', 'domain0.test')")
        connection.execute("COMMIT")
        connection.execute("ANALYZE")

    def _fill_server(self, url: str) -> None:
        import psycopg  # noqa: PLC0415 - an extra

        with psycopg.connect(url) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM domain")
            first = int((cursor.fetchone() or (1,))[0])
            statement = f"INSERT INTO domain ({_DOMAIN}) VALUES (%s, %s, 'hosted', 1, 'rcpt', 0, 0, 1)"
            cursor.executemany(statement, list(self._domains(first)))
            with cursor.copy(f"COPY mailbox ({_MAILBOX}) FROM STDIN") as copy:
                for row in self._rows(first, range(self.mailboxes)):
                    copy.write_row(row)
            cursor.execute("SELECT setval(pg_get_serial_sequence('domain', 'id'), (SELECT max(id) FROM domain))")
            cursor.execute("INSERT INTO change (kind, key) VALUES ('domain', 'domain0.test')")
            connection.commit()
            connection.autocommit = True
            cursor.execute("ANALYZE")

    def _domains(self, first: int) -> Iterator[tuple[int, str]]:
        return ((first + number, f"domain{number}.test") for number in range(self.domains))

    @contextlib.contextmanager
    def client(self) -> Iterator[Call]:
        """A connection that is kept, as a program keeps it."""
        connection = http.client.HTTPConnection("127.0.0.1", self.panel, timeout=60)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}

        def call(method: str, path: str, body: object = None) -> tuple[int, object]:
            connection.request(method, f"/api/v1{path}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

        with contextlib.closing(connection):
            yield call

    @property
    def web(self) -> int:
        """The web process."""
        assert self._process is not None
        for pid in peers.family(self._process.pid):
            if Path(f"/proc/{pid}/cmdline").read_bytes().endswith(b"-m\0web\0"):
                return pid
        raise RuntimeError("there is no web process")

    def web_mib(self) -> float:
        """What it has in memory."""
        text = Path(f"/proc/{self.web}/smaps_rollup").read_text()
        return int((re.search(r"^Rss:\s+(\d+)", text, re.MULTILINE) or [0, 0])[1]) / 1024


_DOMAIN = "id, name, kind, tenant_id, validation, created_at, proved_at, version"
_MAILBOX = "domain_id, local_part, folded, display_name, sealed_hash, quota_bytes, used_bytes, created_at, version"


def _rate(house: House, seconds: float, act: Callable[[Call, int, int], int]) -> float:
    """How many a second *act* makes, called by several clients with their number and its turn; it says how many it made."""
    made, end, failures = [0] * CLIENTS, time.monotonic() + seconds, list[BaseException]()

    def work(who: int) -> None:
        try:
            with house.client() as call:
                for turn in itertools.takewhile(lambda _: time.monotonic() < end, itertools.count()):
                    made[who] += act(call, who, turn)
        except BaseException as error:  # noqa: BLE001 - told by whoever waits for the thread
            failures.append(error)

    began = time.monotonic()
    threads = [threading.Thread(target=work, args=(who,)) for who in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return sum(made) / (time.monotonic() - began)


_SOLD = {"password_hash": HASH, "quota_bytes": 1 << 30}  # with what a billing system makes a mailbox


def _single(call: Call, who: int, turn: int) -> int:
    status, answer = call("POST", "/mailboxes", {"address": f"single{who}x{turn}@domain{who}.test", **_SOLD})
    assert status == 201, answer
    return 1


def _batch(size: int, call: Call, who: int, turn: int) -> int:
    names = (f"batch{who}x{turn}x{number}@domain{(turn * 7 + who) % 10}.test" for number in range(size))
    operations = [{"method": "POST", "path": "/mailboxes", "body": {"address": name, **_SOLD}} for name in names]
    status, answer = call("POST", "/batch", {"operations": operations})
    if status == http.HTTPStatus.SERVICE_UNAVAILABLE:
        time.sleep(1)  # Others had the database for as long as anybody waits; a program comes again.
        return 0
    assert status == 200, answer
    assert all(result["status"] == 201 for result in answer["results"]), answer  # type: ignore[index]
    return size


def _p99_ms(call: Call, paths: list[str]) -> float:
    took = []
    for path in paths:
        began = time.perf_counter()
        status, answer = call("GET", path, None)
        took.append(1000 * (time.perf_counter() - began))
        assert status == 200, answer
    return statistics.quantiles(took, n=100)[98]


def _list_paths(house: House, call: Call, count: int, choose: random.Random) -> list[str]:
    """Pages anywhere: of a domain, and on and on through all."""
    found, cursor = (
        [f"/mailboxes?limit=50&domain=domain{choose.randrange(house.domains)}.test" for _ in range(count // 2)],
        "",
    )
    for _ in range(count // 2):
        path = f"/mailboxes?limit=50{cursor}"
        found.append(path)
        cursor = f"&cursor={call('GET', path, None)[1]['next']}"  # type: ignore[index]
    return found


def _search_paths(house: House, count: int, choose: random.Random) -> list[str]:
    """What somebody types: a name, most of an address, something that nobody has."""
    found = []
    for number in range(count):
        name = house.local_part(choose.randrange(house.mailboxes))
        found.append((name, name[1:], name.partition(".")[0], "nobody.at.all")[number % 4])
    return [f"/mailboxes?limit=50&search={name}" for name in found]


def measure(root: Path, domains: int, per_domain: int, *, postgresql: str | None = None) -> Found:
    """Make the house below *root* and measure it."""
    root.mkdir(parents=True, exist_ok=True)
    house = House(root, domains, per_domain, postgresql)
    house.make()
    house.start()
    try:
        return ask(house)
    finally:
        house.stop()


def ask(house: House, *, seconds: float = 10.0, reads: int = 400, size: int = BATCH) -> Found:
    """Measure *house*, which runs; *size*: operations in one request."""
    choose = random.Random(1)
    with house.client() as call:
        _wait(call)
        listed = _p99_ms(call, _list_paths(house, call, reads, choose))
        searched = _p99_ms(call, _search_paths(house, reads, choose))
    single = _rate(house, seconds, _single)
    batch = _rate(house, seconds, functools.partial(_batch, size))
    return Found(single, batch, listed, searched, house.web_mib())


def _wait(call: Call) -> None:
    """Until the key is published, with all the rest: minutes, of a million."""
    end = time.monotonic() + million.PATIENCE_SECONDS
    while time.monotonic() < end:
        try:
            if call("GET", "/me", None)[0] == 200:
                return
        except (OSError, http.client.HTTPException, ValueError):
            pass
        time.sleep(0.2)
    raise TimeoutError("the API does not answer")


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--mailboxes", type=int, default=1_000_000)
    arguments.add_argument("--domains", type=int, default=10_000)
    arguments.add_argument("--postgresql", help="postgresql://USER:PASSWORD@ADDRESS:PORT/NAME of an empty database")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        found = measure(
            Path(folder) / "house", given.domains, given.mailboxes // given.domains, postgresql=given.postgresql
        )
    for name, value in asdict(found).items():
        print(f"{name:20} {value:10.1f}")


if __name__ == "__main__":
    main()
