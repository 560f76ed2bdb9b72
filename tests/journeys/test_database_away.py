"""Mail flows while the database is away, from a running house and from a cold start, and nothing wrong is published.

Before each way of being away, a mailbox that stays and one that was removed; during it, both are asked about again and
again, mail is delivered; after it, the database is what it was and changes are in force again.
"""

import contextlib
import itertools
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.fixtures.house import House, wait_until
from tests.fixtures.served import DOMAIN, PATIENT

pytestmark = [pytest.mark.journey, pytest.mark.must_show]

STAYS, REMOVED, OLD = f"stays@{DOMAIN}", f"removed@{DOMAIN}", f"old@{DOMAIN}"
WATCH_SECONDS = (
    1.5  # The compiler looks every 50 ms, or each second while the database is away; it would publish by then.
)


def database(house: House) -> Path:
    """The file itself; var/postern.db is a link to it."""
    return (house.state / "postern.db").resolve()


def companions(path: Path) -> list[Path]:
    """The file and what SQLite keeps beside it."""
    return [each for each in (path, Path(f"{path}-wal"), Path(f"{path}-shm")) if each.exists()]


def set_aside(house: House) -> Path:
    """Move the database away, whole; answers where it is."""
    away = house.folder / "away"
    away.mkdir()
    for each in companions(database(house)):
        shutil.move(each, away / each.name)
    return away


def bring_back(house: House, away: Path) -> None:
    path = database(house)
    for each in companions(path):
        each.unlink()
    for each in away.iterdir():
        shutil.move(each, path.parent / each.name)
    away.rmdir()


@contextlib.contextmanager
def missing(house: House) -> Iterator[None]:
    """Not there at all."""
    away = set_aside(house)
    try:
        yield
    finally:
        bring_back(house, away)


@contextlib.contextmanager
def emptied(house: House) -> Iterator[None]:
    """There, with the right owner, and nothing in it: what a failed copy leaves."""
    owner = database(house).stat()
    away = set_aside(house)
    path = database(house)
    path.touch()
    _like(path, owner)
    try:
        yield
    finally:
        bring_back(house, away)


@contextlib.contextmanager
def locked(house: House) -> Iterator[None]:
    """Somebody holds the write lock, and does not give it back."""
    with contextlib.closing(sqlite3.connect(database(house), isolation_level=None, timeout=10)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@contextlib.contextmanager
def older(house: House) -> Iterator[None]:
    """A copy from before the removal and the newest mailbox, such as a restore from last night's backup."""
    owner = database(house).stat()
    away = set_aside(house)
    path = database(house)
    shutil.copy(house.folder / "copy.db", path)
    _like(path, owner)
    try:
        yield
    finally:
        bring_back(house, away)


def tables(path: Path) -> int:
    """How many there are in the database; none in none."""
    if not path.exists():
        return 0
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]


def _like(path: Path, owner) -> None:
    shutil.chown(path, owner.st_uid, owner.st_gid)
    path.chmod(owner.st_mode & 0o777)


NUMBERS = itertools.count()
Away = Callable[[House], AbstractContextManager[None]]
WAYS = pytest.mark.parametrize("away", [missing, emptied, locked, older], ids=lambda away: away.__name__)


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """Running; with an older copy of its database in copy.db, from when OLD and REMOVED were there and STAYS was not."""
    house = House(tmp_path_factory.mktemp("away") / "house", settings=PATIENT, by_command=True)
    with house:
        house.add_domain(DOMAIN)
        house.add_mailbox(OLD)
        house.add_mailbox(REMOVED)
        house.wait_until_known(REMOVED)
        with (
            contextlib.closing(sqlite3.connect(database(house))) as source,
            contextlib.closing(sqlite3.connect(house.folder / "copy.db")) as copy,
        ):
            source.backup(copy)
        house.add_mailbox(STAYS)
        house.postern("mailbox", "remove", REMOVED)
        house.wait_until_known(STAYS)
        wait_until(lambda: house.rcpt(REMOVED)[1].startswith("5.1.1"), 30, house.said)
        yield house


def answers_are_right(house: House) -> None:
    """For whoever stays and for whoever is gone."""
    with house.smtp() as client:
        client.ehlo()
        client.mail("someone@client.test")
        said = [client.rcpt(address) for address in (STAYS, OLD, REMOVED)]
    assert [code for code, _ in said] == [250, 250, 550]
    assert said[2][1].startswith(b"5.1.1")


def watch(house: House) -> None:
    """For a while all answers stay right, at every look; then a message goes all the way."""
    until = time.monotonic() + WATCH_SECONDS
    while time.monotonic() < until:
        answers_are_right(house)
        time.sleep(0.1)
    before = len(house.messages(STAYS))
    house.send(STAYS, b"Subject: without a database\r\n\r\n")
    house.wait_for_messages(STAYS, before + 1)


def changes_are_in_force_again(house: House) -> None:
    address = f"after{next(NUMBERS)}@{DOMAIN}"
    house.add_mailbox(address)
    house.wait_until_known(address)
    answers_are_right(house)


@WAYS
def test_while_it_runs(house: House, away: Away) -> None:
    """Accept, refuse and deliver go on; once the database is back, so do changes."""
    with away(house):
        watch(house)
    changes_are_in_force_again(house)


@WAYS
def test_from_a_cold_start(house: House, away: Away) -> None:
    """The same when the appliance is started in that state: the snapshot is enough to serve."""
    house.stop()
    with away(house):
        house.start()
        watch(house)
    changes_are_in_force_again(house)


@pytest.mark.parametrize("away", [missing, emptied], ids=lambda away: away.__name__)
def test_the_command_line_says_so_in_one_line(house: House, away: Away) -> None:
    """Exit 1, one clear line, no traceback; and it makes no new database in the old one's place."""
    with away(house):
        result = house.postern("mailbox", "add", f"new@{DOMAIN}", check=False)
        assert result.returncode == 1
        assert len(result.stderr.strip().splitlines()) == 1
        assert "Traceback" not in result.stderr
        assert tables(database(house)) == 0
