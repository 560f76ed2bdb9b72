"""How much a mailbox sent, and whether that is like it: limits refuse, the brake stops, and both without any database."""

import hashlib
import sqlite3

import pytest

from mta import roster
from mta.roles.ledger import __main__ as ledger
from mta.roles.ledger import habits, sending
from mta.roles.ledger.habits import BITS, OF_ANYBODY, TIMES_USUAL, Habits
from mta.roles.ledger.sending import DAY, HOUR, Limit, Sent
from mta.roles.ledger.store import Sender, Store
from mta.wire import messages as m
from mta.wire.channel import ChannelClosed
from mta.wire.tickets import notice_authority_holds
from tests.fakes.house import House, events

BOB, ANN = b"bob@one.example", b"ann@one.example"
NOW = 1_800_000_000 - 1_800_000_000 % DAY
FREE = Limit(0, 0)


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "ledger.db")
    yield store
    store.close()


def digest(number):
    return hashlib.blake2b(b"%d" % number, digest_size=16).digest()


def sender(mailbox=BOB, *, own=FREE, domain=FREE, tenant=FREE, brake=False, released=0):
    limits = (("mailbox", b"m:" + mailbox, own), ("domain", b"d:one.example", domain), ("tenant", b"t:2", tenant))
    return Sender(mailbox, limits, brake, released)


def spend(store, who, now=NOW, number=1):
    return store.spend(who, 1, digest(number), now)[0]


@pytest.mark.parametrize("level", ["own", "domain", "tenant"])
@pytest.mark.parametrize(("limit", "scope"), [(Limit(3, 0), "hour"), (Limit(0, 3), "day"), (Limit(3, 3), "hour")])
def test_no_more_than_the_limit_at_any_level(store, level, limit, scope):
    """The one above it hears whose limit it is; one below is not counted against it."""
    who = sender(**{level: limit})
    assert [store.spend(who, 1, b"", NOW) for _ in range(3)] == [(b"yes", "")] * 3
    assert store.spend(who, 1, b"", NOW) == (b"limit", f"{'mailbox' if level == 'own' else level} {scope}")
    other = sender(ANN, **{level: limit})
    assert spend(store, other) == (b"yes" if level == "own" else b"limit")


def test_what_is_refused_is_not_counted(store):
    """Neither at the level that refuses nor at any other."""
    who = sender(own=Limit(1, 0), tenant=Limit(2, 0))
    assert [spend(store, who) for _ in range(5)] == [b"yes"] + [b"limit"] * 4
    assert spend(store, sender(ANN, tenant=Limit(2, 0))) == b"yes"


def test_a_limit_slides(store):
    """Nobody gets double at the turn of the hour, and after two hours everything is forgotten."""
    who = sender(own=Limit(10, 0))
    start = NOW + HOUR - 60
    assert [spend(store, who, start) for _ in range(11)][-1] == b"limit"
    assert spend(store, who, start + 120) == b"limit"
    half = [spend(store, who, NOW + HOUR + HOUR // 2) for _ in range(10)]
    assert half.count(b"yes") == 5
    assert [spend(store, who, NOW + 4 * HOUR) for _ in range(10)] == [b"yes"] * 10


def test_a_clock_that_is_put_back_forgives_nothing(store):
    """And does not break anything."""
    who = sender(own=Limit(1, 1))
    assert spend(store, who, NOW + 2 * DAY) == b"yes"
    assert spend(store, who, NOW) == b"limit"


def test_limits_survive_the_process_and_old_counts_go(tmp_path):
    """Its own store, whatever becomes of the database."""
    store = Store(tmp_path / "ledger.db")
    who = sender(own=Limit(0, 1))
    assert spend(store, who) == b"yes"
    store.close()
    store = Store(tmp_path / "ledger.db")
    assert spend(store, who) == b"limit"
    store.expire(NOW + 3 * DAY)
    assert store._database.execute("SELECT count(*) FROM sent").fetchone() == (0,)
    store.close()


# --- the brake


def send_many(store, count, now=NOW, first=0, **options):
    who = sender(brake=True, **options)
    return [store.spend(who, 1, digest(number), now)[0] for number in range(first, first + count)]


def test_who_writes_to_many_more_than_ever_is_braked_until_released(store):
    """The one too many is refused already, as all after it; another mailbox is not concerned."""
    words = send_many(store, OF_ANYBODY * 2)
    braked = words.index(b"braked")
    assert OF_ANYBODY * 0.9 < braked < OF_ANYBODY * 1.1
    assert set(words[braked:]) == {b"braked"}
    assert spend(store, sender(ANN, brake=True)) == b"yes"
    assert send_many(store, 1, NOW + 5 * DAY) == [b"braked"]
    assert send_many(store, 1, released=NOW - 1) == [b"braked"]
    assert send_many(store, 1, NOW + 5, released=NOW + 1) == [b"yes"]


def test_a_release_says_that_it_was_usual(store):
    """So the next as large is not stopped again, today or tomorrow."""
    send_many(store, OF_ANYBODY * 2)
    assert b"braked" not in send_many(store, OF_ANYBODY * 3, NOW + 10, first=10_000, released=NOW + 5)


def test_the_same_few_recipients_are_no_matter_how_often(store):
    """Different ones are counted."""
    words = [spend(store, sender(brake=True), number=number % 10) for number in range(OF_ANYBODY * 3)]
    assert set(words) == {b"yes"}


def test_what_is_usual_is_learnt_from_days_before_and_fades(store):
    """A newsletter of every week is let go; its hour does not count on the day itself."""
    assert b"braked" not in send_many(store, 150, NOW)
    assert b"braked" in send_many(store, 150, NOW + 10, first=1000)
    assert b"braked" not in send_many(store, 300, NOW + 20, first=2000, released=NOW + 20)
    allowed = TIMES_USUAL * 300 * 0.5 ** (7 / habits.HALF_LIFE_DAYS)
    week = NOW + 7 * DAY
    words = send_many(store, int(allowed * 1.2), week, first=5000, released=NOW + 20)
    assert 0.9 * allowed < words.index(b"braked") < 1.1 * allowed
    year = NOW + 365 * DAY
    assert b"braked" in send_many(store, OF_ANYBODY + 50, year, first=9000, released=week + 20)


def test_a_thief_cannot_teach_the_brake_in_an_afternoon(store):
    """Hour after hour just below the bound does not raise it."""
    count = int(OF_ANYBODY * 0.8)
    for hour in range(5):
        assert b"braked" not in send_many(store, count, NOW + hour * HOUR, first=hour * 1000)
    assert b"braked" in send_many(store, count * 2, NOW + 6 * HOUR, first=90_000)


def test_who_guesses_recipients_is_braked(store):
    """Addresses that do not exist, more of them than anybody mistypes."""
    whys = [store.miss(BOB, NOW) for _ in range(habits.MISSES + 3)]
    assert [bool(why) for why in whys] == [False] * habits.MISSES + [True, False, False]
    assert spend(store, sender(brake=True)) == b"braked"


def test_where_the_brake_is_off_nothing_stops(store):
    """The limits are what there is then."""
    assert {spend(store, sender(), number=number) for number in range(OF_ANYBODY * 3)} == {b"yes"}


def test_a_habit_takes_bounded_room_and_is_forgotten():
    """256 octets, whoever writes to whomever; a full sketch is no error."""
    database = sqlite3.connect(":memory:")
    database.executescript(habits.SCHEMA)
    memory = Habits(database)
    for number in range(BITS * 12):
        memory.sends(BOB, digest(number), 0, NOW)
    assert database.execute("SELECT length(sketch) FROM habit").fetchone() == (BITS // 8,)
    memory.is_braked(BOB, NOW + 1, NOW + 1)
    memory.prune(NOW + 200 * DAY)
    assert database.execute("SELECT count(*) FROM habit").fetchone() == (0,)


def test_who_is_braked_is_never_forgotten(store):
    """Patience does not let a thief go."""
    send_many(store, OF_ANYBODY * 2)
    store.expire(NOW + 400 * DAY)
    assert send_many(store, 1, NOW + 400 * DAY) == [b"braked"]


# --- what the database is told


def test_a_brake_and_a_better_hash_are_facts_until_they_are_taken(store):
    """Told again until said to be applied; the newest of a mailbox replaces the older."""
    send_many(store, OF_ANYBODY * 2)
    store.rehash(ANN, b"\x01" * 32, b"first")
    store.rehash(ANN, b"\x02" * 32, b"second")
    for _ in range(2):
        told = {(kind, key): value for _, kind, key, value in store.facts(0)}
        assert told[b"braked", BOB].startswith(b"%d " % NOW)
        assert told[b"rehash", ANN] == b"02" * 32 + b" c2Vjb25k"
    last = max(number for number, *_ in store.facts(0))
    assert list(store.facts(last)) == []
    assert store._database.execute("SELECT count(*) FROM rehash").fetchone() == (0,)


def test_a_hash_that_was_replaced_while_the_former_was_taken_is_told_too(store):
    """Taking one does not take the other."""
    store.rehash(ANN, b"\x01" * 32, b"first")
    (first,) = store.facts(0)
    store.rehash(ANN, b"\x02" * 32, b"second")
    (second,) = store.facts(first[0])
    assert second[3].endswith(b" c2Vjb25k")


def test_better_hashes_that_nobody_fetches_are_bounded(store, monkeypatch):
    """A database that is away for a year."""
    monkeypatch.setattr("mta.roles.ledger.store.MAX_REHASHES", 3)
    for number in range(5):
        store.rehash(b"%d@one.example" % number, b"", b"")
    assert len(list(store.facts(0))) == 3


def test_the_use_of_a_password_is_a_fact_with_its_latest_day(store, monkeypatch):
    """Of each password; bounded while nobody fetches them, and forgotten when somebody did."""
    for name, now in ((b"\x01", NOW), (b"\x02", NOW), (b"\x01", NOW + DAY)):
        store.shown(ANN, name, now)
    told = {(kind, key): value for _, kind, key, value in store.facts(0)}
    assert told == {(b"shown", b"02 " + ANN): b"%d" % NOW, (b"shown", b"01 " + ANN): b"%d" % (NOW + DAY)}
    monkeypatch.setattr("mta.roles.ledger.store.MAX_SHOWN", 2)
    store.shown(BOB, b"\x03", NOW)
    last = max(number for number, *_ in store.facts(0))
    assert list(store.facts(last)) == []
    assert store._database.execute("SELECT count(*) FROM shown").fetchone() == (0,)


def test_over_the_wire(tmp_path):
    """What directory and authenticator say, and what the journal hears of it."""
    (tmp_path / "ledger").mkdir()
    with House(roster.LEDGER, {"state": str(tmp_path).encode(), roster.NOTICE_KEY: b"n" * 32}) as house:
        book, _ = ledger.serve(house.loop, house.start)
        journal, directory = house.server("journal"), house.client("directory")
        ask = m.Spend(1, BOB, b"one.example", b"7 1", b"2/0 0/0 0/0 0/0", 1, digest(1))
        answers = [house.ask(directory, ask)[0] for _ in range(3)]
        assert answers == [m.Spent(1, b"yes", b""), m.Spent(1, b"yes", b""), m.Spent(1, b"limit", b"mailbox hour")]
        house.client("authenticator").send(m.Rehash(ANN, b"was", b"sealed"))
        house.client("authenticator").send(m.Shown(ANN, b"name"))
        for _ in range(habits.MISSES + 1):
            directory.send(m.Missed(BOB))
        house.settle()
        assert [name for name, _ in events(journal, house)] == [b"over-limit", b"braked"]
        facts = house.ask(house.client("compiler"), m.Outbox(5, 0))
        assert [fact.kind for fact in facts] == [b"rehash", b"shown", b"braked", b""]
        assert house.ask(directory, m.Spend(2, BOB, b"", b"", b"0/0 0/0", 0)) == [m.Spent(2, b"braked", b"")]
        book.close()


def braking(directory):
    """Bob misses so often that he is braked."""
    for _ in range(habits.MISSES + 1):
        directory.send(m.Missed(BOB))


def test_whose_mailbox_is_braked_is_written_to_until_the_bouncer_has_done_it(tmp_path, monkeypatch):
    """Again after a failure, after another start, and not again when it is done."""
    (tmp_path / "ledger").mkdir()
    settings = {"state": str(tmp_path).encode(), roster.NOTICE_KEY: b"n" * 32}
    with House(roster.LEDGER, settings) as house:
        book, _ = ledger.serve(house.loop, house.start)
        bouncer = house.server("bouncer")
        braking(house.client("directory"))
        house.settle()
        (first,) = house.hear(bouncer)
        assert (first.mailbox, b"do not exist" in first.why) == (BOB, True)
        assert notice_authority_holds(b"n" * 32, first.authority, BOB, first.until, first.until)
        book.remind()
        house.settle()
        assert house.hear(bouncer) == [], "while it is asked it is not asked again"
        bouncer.send(m.Noticed(first.tag, False))
        house.settle()
        book.remind()
        house.settle()
        assert [each.mailbox for each in house.hear(bouncer)] == [BOB]
        book.close()
    with House(roster.LEDGER, settings) as house:
        book, _ = ledger.serve(house.loop, house.start)
        journal, bouncer = house.server("journal"), house.server("bouncer")
        house.settle()
        book.remind()
        house.settle()
        (again,) = house.hear(bouncer)
        bouncer.send(m.Noticed(again.tag, True))
        house.settle()
        assert [name for name, _ in events(journal, house)] == [b"noticed"]
        book.remind()
        house.settle()
        assert house.hear(bouncer) == []
        book.close()


def test_notices_are_bounded_and_forgotten_after_a_day(store, monkeypatch):
    """Of more the log and the panel tell; and a day later nobody wants to read it."""
    monkeypatch.setattr("mta.roles.ledger.store.MAX_NOTICES", 2)
    for mailbox in (ANN, BOB, b"third@one.example"):
        for _ in range(habits.MISSES + 1):
            store.miss(mailbox, NOW)
    assert [mailbox for mailbox, _, _ in store.notices()] == [ANN, BOB]
    store.noticed(ANN, NOW - 1)
    store.noticed(BOB, NOW)
    assert [mailbox for mailbox, _, _ in store.notices()] == [ANN], "an older word is not about this brake"
    store.expire(NOW + DAY + 1)
    assert store.notices() == []


@pytest.mark.parametrize("limits", [b"", b"1/2", b"1/2 3/4 5/6", b"1 2", b"1/2 x/y", b"1/2 3/4/5"])
def test_limits_that_make_no_sense_end_the_channel(tmp_path, limits):
    """Nobody but a directory that was taken over says so."""
    (tmp_path / "ledger").mkdir()
    with House(roster.LEDGER, {"state": str(tmp_path).encode(), roster.NOTICE_KEY: b"n" * 32}) as house:
        book, _ = ledger.serve(house.loop, house.start)
        directory = house.client("directory")
        directory.send(m.Spend(1, BOB, b"one.example", b"", limits, 1))
        house.settle()
        with pytest.raises(ChannelClosed):
            house.hear(directory)
        book.close()


def test_counts_of_an_hour_and_a_day_are_kept_apart():
    """The day goes on when the hour is over."""
    database = sqlite3.connect(":memory:")
    database.executescript(sending.SCHEMA)
    sent = Sent(database)
    for hour in range(6):
        sent.add(b"m:x", 10, NOW + hour * HOUR)
    assert sent.what_is_over(b"m:x", Limit(25, 0), 1, NOW + 5 * HOUR + 1) == ""
    assert sent.what_is_over(b"m:x", Limit(20, 0), 1, NOW + 5 * HOUR + 1) == "hour"
    assert sent.what_is_over(b"m:x", Limit(0, 60), 1, NOW + 5 * HOUR + 1) == "day"
    assert sent.what_is_over(b"m:x", Limit(0, 61), 1, NOW + 5 * HOUR + 1) == ""
