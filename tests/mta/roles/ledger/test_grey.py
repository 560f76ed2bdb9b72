"""Greylisting: who comes back in time passes, who has shown it often need not wait, and the memory of it is bounded."""

import sqlite3

import pytest

from mta import roster
from mta.roles.ledger import __main__ as ledger
from mta.roles.ledger import grey
from mta.roles.ledger.grey import ENOUGH_PASSES, FIRST_WAIT, KEPT_SECONDS, RETRY_WINDOW, TOUCH_SECONDS, Greylist
from mta.roles.ledger.store import Store
from mta.wire import messages as m
from tests.fakes.house import House

NET, OTHER_NET = b"192.0.2.0/24", b"198.51.100.0/24"
DAY = 86_400


@pytest.fixture
def greylist():
    database = sqlite3.connect(":memory:", isolation_level=None)
    database.executescript(grey.SCHEMA)
    yield Greylist(database)
    database.close()


def test_who_comes_back_after_the_wait_passes_from_then_on(greylist):
    """Told how long, also when it comes too early; an early attempt does not begin the waiting anew."""
    assert greylist.wait(NET, b"t", 1000) == FIRST_WAIT
    assert greylist.wait(NET, b"t", 1020) == FIRST_WAIT - 20
    assert greylist.wait(NET, b"t", 1000 + FIRST_WAIT) == 0
    assert greylist.wait(NET, b"t", 1001 + FIRST_WAIT) == 0
    assert greylist.wait(NET, b"another", 1001 + FIRST_WAIT) == FIRST_WAIT


def test_who_comes_back_too_late_begins_anew(greylist):
    """Two days after the first attempt it is a new spray."""
    greylist.wait(NET, b"t", 1000)
    assert greylist.wait(NET, b"t", 1001 + RETRY_WINDOW) == FIRST_WAIT
    assert greylist.wait(NET, b"t", 1001 + RETRY_WINDOW + FIRST_WAIT) == 0


def test_a_triplet_that_is_used_now_and_then_never_waits_again(greylist):
    """A monthly letter keeps itself known; after too long a silence it waits once more."""
    greylist.wait(NET, b"t", 0)
    now = FIRST_WAIT
    for _ in range(4):
        assert greylist.wait(NET, b"t", now) == 0
        now += 31 * DAY
    assert greylist.wait(NET, b"t", now + KEPT_SECONDS + TOUCH_SECONDS) == FIRST_WAIT


def test_a_network_whose_triplets_passed_is_let_in_at_once(greylist):
    """Five of them; another network still waits; when it was long silent, the network too."""
    for number in range(ENOUGH_PASSES):
        assert greylist.wait(NET, b"%d" % number, 1000) == FIRST_WAIT
    for number in range(ENOUGH_PASSES):
        assert greylist.wait(NET, b"%d" % number, 1100) == 0
    assert greylist.wait(NET, b"new", 1101) == 0
    assert greylist.wait(OTHER_NET, b"newer", 1101) == FIRST_WAIT
    assert greylist.wait(NET, b"newest", 1102 + KEPT_SECONDS + TOUCH_SECONDS) == FIRST_WAIT


def test_repeating_one_triplet_does_not_make_its_network_trusted(greylist):
    """Only different ones count: one spammer's one retry is one."""
    greylist.wait(NET, b"t", 1000)
    for second in range(20):
        assert greylist.wait(NET, b"t", 1100 + second) == 0
    assert greylist.wait(NET, b"u", 1200) == FIRST_WAIT


def test_a_clock_that_went_back_makes_nobody_wait_for_ever(greylist):
    """The first attempt then seems to lie in the future."""
    greylist.wait(NET, b"t", 10**9)
    assert greylist.wait(NET, b"t", 1000) == FIRST_WAIT
    assert greylist.wait(NET, b"t", 1000 + FIRST_WAIT) == 0


def test_where_there_is_no_room_left_everybody_passes(greylist, monkeypatch):
    """A spray of invented senders fills it; what is old makes room again."""
    monkeypatch.setattr(grey, "MAX_TRIPLETS", 100)
    assert {greylist.wait(NET, b"%d" % number, 1000) for number in range(100)} == {FIRST_WAIT}
    assert greylist.wait(NET, b"one more", 1001) == 0
    assert greylist.wait(NET, b"one more", 1001 + RETRY_WINDOW) == FIRST_WAIT
    assert greylist.wait(NET, b"42", 1002 + RETRY_WINDOW) == FIRST_WAIT


def test_what_will_not_be_asked_for_again_is_forgotten(greylist):
    """Who did not come back, after two days; who passed, after 36; networks with them."""
    greylist.wait(NET, b"once", 0)
    greylist.wait(NET, b"passed", 0)
    greylist.wait(NET, b"passed", FIRST_WAIT)
    assert greylist.prune(RETRY_WINDOW + 1) == 1
    assert greylist.prune(KEPT_SECONDS + FIRST_WAIT + 1) == 1
    assert greylist.prune(KEPT_SECONDS + FIRST_WAIT + 1) == 0


def test_the_waiting_survives_a_restart(tmp_path):
    """Otherwise each restart would let everybody wait anew."""
    store = Store(tmp_path / "ledger.db")
    assert store.wait(NET, b"t", 1000) == FIRST_WAIT
    store.close()
    again = Store(tmp_path / "ledger.db")
    assert again.wait(NET, b"t", 1000 + FIRST_WAIT) == 0
    again.close()


def test_the_directory_asks_at_its_channel(tmp_path):
    """And nobody else may: enqueuer's channel does not know the message."""
    (tmp_path / "ledger").mkdir()
    with House(roster.LEDGER, {"state": str(tmp_path).encode(), roster.NOTICE_KEY: b"n" * 32}) as house:
        book, _ = ledger.serve(house.loop, house.start)
        directory = house.client("directory")
        assert house.ask(directory, m.Grey(4, NET, b"t" * 16)) == [m.Greyed(4, FIRST_WAIT)]
        assert house.ask(directory, m.UsageOf(5, b"x@y")) == [m.Usage(5, 0, 0)]
        book.close()
