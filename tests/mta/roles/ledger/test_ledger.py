"""Usage and reservations add up, whatever order things come in, and survive the process."""

import os
import sqlite3
from types import SimpleNamespace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mta import roster
from mta.roles.ledger import __main__ as ledger
from mta.roles.ledger import store as stores
from mta.roles.ledger.book import EXPIRE_SECONDS, Book
from mta.roles.ledger.store import RESERVED_SECONDS, Store, StoreTooNew, open_store
from mta.wire import messages as m
from tests.fakes.house import House

BOB, ANN = b"bob@one.example", b"ann@one.example"


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "ledger.db")
    yield store
    store.close()


def test_what_is_on_its_way_is_reserved_and_what_arrived_is_stored(store):
    """The size that arrived counts, not the one that was announced."""
    store.reserve(b"q1", BOB, 1000, now=0)
    assert store.usage_of(BOB) == (0, 1000)
    store.stored(b"q1", BOB, 1010)
    assert store.usage_of(BOB) == (1010, 0)
    assert store.usage_of(ANN) == (0, 0)


def test_a_message_that_will_not_arrive_is_released(store):
    """Twice does no harm; another's reservation stays."""
    store.reserve(b"q1", BOB, 1000, now=0)
    store.reserve(b"q2", BOB, 500, now=0)
    for _ in range(2):
        store.release(b"q1", BOB)
    assert store.usage_of(BOB) == (0, 500)


def test_an_arrival_without_a_reservation_counts_and_a_repeated_one_counts_once(store):
    """Through an alias nothing is reserved; after a crash a delivery may come twice."""
    for _ in range(2):
        store.stored(b"q1", BOB, 100)
    store.stored(b"q2", BOB, 100)
    assert store.usage_of(BOB) == (200, 0)


def test_a_reservation_that_was_forgotten_expires(store):
    """Longer than a message is tried; a younger one stays."""
    store.reserve(b"q1", BOB, 1000, now=0)
    store.reserve(b"q2", BOB, 10, now=1000)
    assert store.expire(now=RESERVED_SECONDS + 500) == 1
    assert store.usage_of(BOB) == (0, 10)


def test_facts_are_told_newest_state_only_and_until_they_are_taken(store):
    """A thousand deliveries are one fact; what is taken is forgotten; what came since is told with a new number."""
    for number in range(1000):
        store.stored(b"q%d" % number, BOB, 1)
    store.stored(b"qa", ANN, 5)
    (first, second) = store.facts(after=0)
    assert (first[1:], second[1:]) == ((b"usage", BOB, b"1000"), (b"usage", ANN, b"5"))
    assert list(store.facts(after=0)) == [first, second]
    store.stored(b"qb", BOB, 1)
    assert [fact[1:] for fact in store.facts(after=second[0])] == [(b"usage", BOB, b"1001")]
    assert list(store.facts(after=10**6)) == []


def test_what_was_committed_survives_the_process(tmp_path):
    """And what was not is lost as a whole."""
    store = Store(tmp_path / "ledger.db")
    store.reserve(b"q1", BOB, 10, now=0)
    store.commit()
    store.reserve(b"q2", BOB, 1000, now=0)
    store._database.close()  # as kill -9 would
    again = Store(tmp_path / "ledger.db")
    assert again.usage_of(BOB) == (0, 10)
    again.close()


def test_a_damaged_store_is_put_aside_and_a_new_one_begun(tmp_path):
    """A count from zero refuses nobody; the damaged file is kept for whoever wants to look."""
    path = tmp_path / "ledger.db"
    path.write_bytes(os.urandom(8192))
    store, damage = open_store(path)
    assert "not a database" in damage
    store.stored(b"q", BOB, 1)
    assert store.usage_of(BOB) == (1, 0)
    store.close()
    assert (tmp_path / "ledger.db.damaged").stat().st_size == 8192
    again, damage = open_store(path)
    assert damage == ""
    again.close()


def test_a_later_versions_store_is_left_alone(tmp_path):
    """After a rollback: the role does not start, and nothing is overwritten."""
    Store(tmp_path / "ledger.db").close()
    with sqlite3.connect(tmp_path / "ledger.db") as database:
        database.execute("PRAGMA user_version = 2")
    database.close()
    before = (tmp_path / "ledger.db").read_bytes()
    with pytest.raises(StoreTooNew):
        open_store(tmp_path / "ledger.db")
    assert (tmp_path / "ledger.db").read_bytes() == before


class Sums(RuleBasedStateMachine):
    """Any order of events: stored and reserved are what a dictionary says, and never below zero."""

    def __init__(self):
        super().__init__()
        self.store = Store(":memory:")
        self.reserved, self.stored, self.seen = {}, {BOB: 0, ANN: 0}, set()

    queue_ids = st.sampled_from([b"q1", b"q2", b"q3", b"q4"])
    boxes = st.sampled_from([BOB, ANN])
    sizes = st.integers(0, 1 << 40)

    @rule(queue_id=queue_ids, box=boxes, size=sizes)
    def reserve(self, queue_id, box, size):
        self.store.reserve(queue_id, box, size, now=0)
        self.reserved.setdefault((queue_id, box), size)

    @rule(queue_id=queue_ids, box=boxes)
    def release(self, queue_id, box):
        self.store.release(queue_id, box)
        self.reserved.pop((queue_id, box), None)

    @rule(queue_id=queue_ids, box=boxes, size=sizes)
    def arrive(self, queue_id, box, size):
        self.store.stored(queue_id, box, size)
        if (queue_id, box) not in self.seen:
            self.seen.add((queue_id, box))
            self.reserved.pop((queue_id, box), None)
            self.stored[box] += size

    @rule()
    def commit(self):
        self.store.commit()

    @invariant()
    def sums_are_right(self):
        for box in (BOB, ANN):
            on_the_way = sum(size for (_, other), size in self.reserved.items() if other == box)
            assert self.store.usage_of(box) == (self.stored[box], on_the_way)

    def teardown(self):
        self.store.close()


TestSums = Sums.TestCase


# --- at its channels -------------------------------------------------------------------------------------------------


@pytest.fixture
def house(tmp_path):
    (tmp_path / "ledger").mkdir()
    with House(roster.LEDGER, {"state": str(tmp_path).encode(), roster.NOTICE_KEY: b"n" * 32}) as house:
        house.book, _ = ledger.serve(house.loop, house.start)
        yield house
        house.book.close()


def test_what_one_peer_says_another_hears_at_once(house):
    """Reserved by the enqueuer, stored by localspawn, asked by the directory, collected by the compiler."""
    directory, enqueuer = house.client("directory"), house.client("enqueuer")
    localspawn, compiler = house.client("localspawn"), house.client("compiler")
    house.ask(enqueuer, m.Reserve(b"q1", BOB, 100), m.Reserve(b"q2", BOB, 7))
    assert house.ask(directory, m.UsageOf(3, BOB)) == [m.Usage(3, 0, 107)]
    house.ask(localspawn, m.Stored(b"q1", BOB, 101), m.Release(b"q2", BOB))
    assert house.ask(directory, m.UsageOf(4, BOB)) == [m.Usage(4, 101, 0)]
    fact, end = house.ask(compiler, m.Outbox(9, 0))
    assert (fact.kind, fact.key, fact.value) == (b"usage", BOB, b"101")
    assert end == m.Fact(9, 0, b"", b"", b"")
    assert house.ask(compiler, m.Outbox(10, fact.number)) == [m.Fact(10, 0, b"", b"", b"")]


def test_a_batch_reaches_the_file_a_moment_after_its_first_change(house, tmp_path):
    """Seen by another connection, without the role being stopped."""
    house.ask(house.client("localspawn"), m.Stored(b"q1", BOB, 5))
    house.serve_for(0.2)
    with sqlite3.connect(tmp_path / "ledger" / "ledger.db") as database:
        assert database.execute("SELECT stored FROM usage").fetchall() == [(5,)]
    database.close()


def test_a_full_disk_is_told_and_does_not_end_the_role(house, monkeypatch):
    """It answers from what it has, and writes when there is room again."""
    directory, localspawn, journal = house.client("directory"), house.client("localspawn"), house.server("journal")
    original = stores.Store.stored

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(stores.Store, "stored", full)
    house.ask(localspawn, m.Stored(b"q1", BOB, 5))
    assert [event.name for event in house.hear(journal)] == [b"ledger-trouble"]
    monkeypatch.setattr(stores.Store, "stored", original)
    house.ask(localspawn, m.Stored(b"q1", BOB, 5))
    assert house.ask(directory, m.UsageOf(1, BOB)) == [m.Usage(1, 5, 0)]


def test_a_disk_without_room_to_forget_is_told_and_asked_again_in_an_hour():
    """Nobody waits for it, so nobody ends for it either."""

    def full(_now):
        raise sqlite3.OperationalError("database or disk is full")

    timers, told = [], []
    loop = SimpleNamespace(call_later=lambda seconds, callback: timers.append((seconds, callback)))
    kept = Book(loop, SimpleNamespace(expire=full))
    kept.peers = SimpleNamespace(event=lambda name, **pairs: told.append((name, pairs)))
    kept.expire()
    assert told == [("ledger-trouble", {"why": "database or disk is full"})]
    assert timers == [(EXPIRE_SECONDS, kept.expire)]


def test_a_dead_target_is_told_with_when_and_why(store, monkeypatch):
    """The newest of it; once it is written down it is forgotten, and nobody fills the disk with them."""
    store.target_failed(b"x@away.example", b"4.4.1 away", now=5)
    store.target_failed(b"x@away.example", b"5.1.1 no such user", now=7)
    ((number, kind, key, value),) = store.facts(0)
    assert (kind, key, value) == (b"dead-target", b"x@away.example", b"7 5.1.1 no such user")
    assert list(store.facts(number)) == []
    monkeypatch.setattr(stores, "MAX_DEAD", 2)
    for each in range(5):
        store.target_failed(b"%d@away.example" % each, b"5.1.1", now=9)
    assert len(list(store.facts(0))) == 2
