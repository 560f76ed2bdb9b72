"""Reverse-paths under their tokens: kept for as long as a bounce may come, and never more than there is room for."""

import sqlite3

import pytest

from mta import roster
from mta.roles.ledger import __main__ as ledger
from mta.roles.ledger import paths
from mta.wire import messages as m
from tests.fakes.house import House

NOW = 1_700_000_000
DAY = 86_400


@pytest.fixture
def database():
    database = sqlite3.connect(":memory:")
    database.executescript(paths.SCHEMA)
    yield database
    database.close()


def test_a_token_stands_for_its_path(database):
    """Also for whoever opens the store next."""
    paths.Paths(database).keep(b"t1", b"Ann@else.example", NOW)
    again = paths.Paths(database)
    assert again.path_of(b"t1") == b"Ann@else.example"
    assert again.path_of(b"t2") == b""


def test_it_is_kept_from_the_last_time_it_was_said(database):
    """A sender who goes on sending is not forgotten."""
    kept = paths.Paths(database)
    kept.keep(b"old", b"a@b.test", NOW)
    kept.keep(b"used", b"c@d.test", NOW)
    kept.keep(b"used", b"c@d.test", NOW + 10 * DAY)
    assert kept.prune(NOW + paths.KEPT_SECONDS) == 0
    assert kept.prune(NOW + paths.KEPT_SECONDS + 1) == 1
    assert (kept.path_of(b"old"), kept.path_of(b"used")) == (b"", b"c@d.test")


def test_saying_it_often_writes_it_once_a_day(database):
    """A mailing goes to a thousand with one return path."""
    kept = paths.Paths(database)
    for _ in range(100):
        kept.keep(b"t", b"a@b.test", NOW)
    assert database.total_changes == 1


def test_without_room_the_oldest_goes(database, monkeypatch):
    """Whoever invents senders cannot fill the disk."""
    monkeypatch.setattr(paths, "MAX_PATHS", 3)
    kept = paths.Paths(database)
    for number in range(6):
        kept.keep(b"%d" % number, b"a@b.test", NOW + number)
    assert [kept.path_of(b"%d" % number) != b"" for number in range(6)] == [False] * 3 + [True] * 3


def test_directory_says_and_asks(tmp_path):
    """The first without an answer; what is not known has an empty path."""
    (tmp_path / "ledger").mkdir()
    with House(roster.LEDGER, {"state": str(tmp_path).encode(), roster.NOTICE_KEY: b"n" * 32}) as house:
        book, _ = ledger.serve(house.loop, house.start)
        directory = house.client("directory")
        assert house.ask(directory, m.KeepPath(b"t1", b"Ann@else.example"), m.PathOf(1, b"t1"), m.PathOf(2, b"t2")) == [
            m.KeptPath(1, b"Ann@else.example"),
            m.KeptPath(2, b""),
        ]
        book.close()
