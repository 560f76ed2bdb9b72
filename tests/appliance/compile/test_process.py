"""The compiler at its channels: it publishes what is committed, survives whatever the database does, and carries word."""

import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select, text

from appliance.compile import __main__ as compiler
from appliance.compile import process
from appliance.compile.standing import AUDIENCES
from appliance.database.engine import open_engine
from appliance.database.session import reading, unit_of_work
from appliance.models import AccessRule, Alias, AliasTarget, Change, Mailbox, PublishRequest, StoreTask
from appliance.models.base import now
from appliance.services import access_rules, aliases, audit, changes, domains, mailboxes
from mta import roster
from mta.snapshot import records
from mta.snapshot.reader import Snapshot
from mta.wire import messages as m
from tests.fakes.house import House, events
from tests.fixtures.database import HOST, OPERATOR


@pytest.fixture
def place(founded_url, tmp_path, monkeypatch):
    """A compiler that has begun, in a state folder with a database."""
    for name, value in {"AWAY_SECONDS": 0.05, "OUTBOX_SECONDS": 0.4, "TASK_RETRY_SECONDS": 0.1}.items():
        monkeypatch.setattr(process, name, value)
    for audience in AUDIENCES:
        (tmp_path / "snapshot" / audience).mkdir(parents=True)
    with House(roster.COMPILER, {"state": str(tmp_path).encode()}) as house:
        house.file = Path(founded_url.removeprefix("sqlite:///"))  # where it is one
        house.engine = open_engine(founded_url)
        house.journal, house.storekeeper = house.server("journal"), house.server("storekeeper")
        house.compiler, house.peers = compiler.serve(house.loop, house.start, founded_url)
        house.settle()
        house.compiler.begin()
        house.snapshot = Snapshot.open(tmp_path / "snapshot" / "recipients")
        yield house
        house.snapshot.close()
        house.compiler._publisher.close()
        house.compiler._source.close()
        house.engine.dispose()


def do(place, act, *args, **rest):
    with unit_of_work(place.engine) as session:
        return act(session, *args, actor=OPERATOR, **rest)


def has(place, key):
    place.snapshot.refresh()
    return place.snapshot.get(key) is not None


def serve_until(place, condition, seconds=5.0):
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        place.serve_for(0.02)
    raise AssertionError("it did not come")


def hear(place, channel, count):
    """So many messages, in the time that a busy machine needs - and any that should not come."""
    heard = []

    def enough():
        heard.extend(place.hear(channel))
        return len(heard) >= count

    serve_until(place, enough, seconds=20.0)
    place.serve_for(0.15)
    return heard + place.hear(channel)


def names(place):
    return [name for name, _ in events(place.journal, place)]


def test_a_committed_change_is_published_within_a_moment_without_being_told(place):
    """By the command line, which tells nobody."""
    do(place, domains.create, "one.test")
    serve_until(place, lambda: has(place, b"d:one.test"), seconds=1.0)


WRITER = """
import sqlite3, sys
with sqlite3.connect(sys.argv[1]) as database:
    database.execute("PRAGMA journal_mode = WAL")
    tenant = database.execute("SELECT min(id) FROM tenant").fetchone()[0]
    database.execute(
        "INSERT INTO domain (name, kind, tenant_id, validation, created_at, proved_at, version) "
        "VALUES (?, 'hosted', ?, 'rcpt', 0, 0, 1)", (sys.argv[2], tenant))
    database.execute("INSERT INTO change (kind, key) VALUES ('domain', ?)", (sys.argv[2],))
database.close()
"""


@pytest.mark.of_a_file
def test_commands_that_come_and_go_are_each_seen(place):
    """Each is the only other user of the file and closes it: it must not take the log away under our connection."""
    place.engine.dispose()
    for number in range(5):
        subprocess.run([sys.executable, "-c", WRITER, place.file, f"n{number}.test"], check=True, timeout=30)
        serve_until(place, lambda number=number: has(place, b"d:n%d.test" % number), seconds=1.0)


def test_a_poke_publishes_at_once(place):
    """The panel's reply and the SMTP port should agree."""
    web = place.client("web")
    do(place, domains.create, "one.test")
    place.ask(web, m.Poke())
    assert has(place, b"d:one.test")


def test_a_poke_is_believed_before_the_database_says_the_same(place, monkeypatch):
    """PostgreSQL tells listeners a moment after the commit; whoever pokes knows already."""
    source = place.compiler._source
    stamp = source.stamp()
    place.compiler._stamp = stamp
    monkeypatch.setattr(source, "stamp", lambda: stamp)
    web = place.client("web")
    do(place, domains.create, "one.test")
    place.ask(web, m.Poke())
    assert has(place, b"d:one.test")


def test_nothing_is_published_when_nothing_changed(place):
    """Not every look, and not by what we write ourselves."""
    place.serve_for(0.2)
    assert names(place) == [b"published", b"trace-days"]
    with unit_of_work(place.engine) as session:
        session.query(Mailbox).update({"used_bytes": 5})
    place.serve_for(0.3)
    assert names(place) == []


@pytest.mark.of_a_file
def test_a_database_that_goes_away_is_told_once_and_published_from_when_it_is_back(place, tmp_path):
    """Missing, then emptied, then the real one: readers keep what they have, and go on from there."""
    place.serve_for(0.2)
    names(place)
    place.engine.dispose()
    place.file.rename(tmp_path / "aside.db")
    for suffix in ("-wal", "-shm"):
        if Path(f"{place.file}{suffix}").exists():
            Path(f"{place.file}{suffix}").rename(tmp_path / f"aside.db{suffix}")
    place.serve_for(0.4)
    assert names(place) == [b"not-publishing"]
    place.file.write_bytes(b"")
    place.serve_for(0.3)
    assert names(place) == [b"not-publishing"]
    assert has(place, b"d:" + HOST.encode())
    place.file.unlink()
    (tmp_path / "aside.db").rename(place.file)
    do(place, domains.create, "one.test")
    serve_until(place, lambda: has(place, b"d:one.test"))
    assert b"publishing-again" in names(place)


def test_a_request_to_publish_is_answered_in_its_row(place):
    """With and without --full."""
    for full in (False, True):
        with unit_of_work(place.engine) as session:
            number = changes.request_publication(session, full=full).id
            newest = changes.newest(session)
        serve_until(place, lambda number=number: request(place, number).done_change is not None)
        assert (request(place, number).done_change, request(place, number).failure) == (newest, None)


def request(place, number):
    with reading(place.engine) as session:
        return session.get(PublishRequest, number)


def test_a_request_that_is_refused_says_why_in_its_row(place):
    """Another installation's database: the command must not wait for ever."""
    place.serve_for(0.2)
    with unit_of_work(place.engine) as session:
        session.execute(text("UPDATE instance SET instance_id = 'ffffffff-ffff-4fff-8fff-ffffffffffff'"))
    with unit_of_work(place.engine) as session:
        number = changes.request_publication(session, full=True).id
    serve_until(place, lambda: request(place, number).failure is not None)
    assert "another installation" in request(place, number).failure
    assert request(place, number).done_change is None


# --- stores ----------------------------------------------------------------------------------------------------------


def tasks(place):
    with reading(place.engine) as session:
        return [(task.op, task.domain, task.local_part) for task in session.query(StoreTask).order_by(StoreTask.id)]


def empty_tasks(place):
    for asked in hear(place, place.storekeeper, 1):
        place.storekeeper.send(m.StoreDone(asked.tag, done=True, text=b""))
    serve_until(place, lambda: tasks(place) == [])


def test_the_storekeeper_makes_the_store_of_a_new_mailbox_and_its_row_is_removed(place):
    """Under a name that is safe in a file system."""
    empty_tasks(place)
    do(place, domains.create, "one.test")
    do(place, mailboxes.create, "Bob@one.test")
    do(place, mailboxes.create, "O/o@one.test")
    asked = hear(place, place.storekeeper, 2)
    assert [(type(each), each.domain, each.store) for each in asked] == [
        (m.MakeStore, b"one.test", b"bob"),
        (m.MakeStore, b"one.test", b"%o%2fo"),
    ]
    assert len(tasks(place)) == 2
    for each in asked:
        place.storekeeper.send(m.StoreDone(each.tag, done=True, text=b""))
    serve_until(place, lambda: tasks(place) == [])


def test_putting_a_store_aside_waits_for_what_came_before_in_its_domain_and_holds_what_comes_after(place):
    """Made, removed, made again: in this order, whatever fails meanwhile; another domain does not wait."""
    empty_tasks(place)
    for name in ("one.test", "two.test"):
        do(place, domains.create, name)
    do(place, mailboxes.create, "bob@one.test")
    number = do(place, mailboxes.remove, "bob@one.test").removal.id
    do(place, mailboxes.create, "bob@one.test", discard=True)
    do(place, mailboxes.create, "ann@two.test")
    first, other = hear(place, place.storekeeper, 2)
    assert (type(first), first.domain, other.domain) == (m.MakeStore, b"one.test", b"two.test")
    place.storekeeper.send(m.StoreDone(first.tag, done=True, text=b""))
    (kept,) = hear(place, place.storekeeper, 1)
    assert isinstance(kept, m.KeepStore)
    assert (kept.store, kept.removal) == (b"bob", number)
    place.storekeeper.send(m.StoreDone(kept.tag, done=False, text=b"busy"))
    (again,) = hear(place, place.storekeeper, 1)
    assert again == kept
    place.storekeeper.send(m.StoreDone(kept.tag, done=True, text=b""))
    (dropped,) = hear(place, place.storekeeper, 1)
    assert dropped == m.DropStore(dropped.tag, b"one.test", number)
    place.storekeeper.send(m.StoreDone(dropped.tag, done=True, text=b""))
    (last,) = hear(place, place.storekeeper, 1)
    assert isinstance(last, m.MakeStore)


def test_a_storekeeper_that_ended_is_asked_again(place):
    """By the next one: nothing is forgotten, and doing a thing twice does no harm."""
    empty_tasks(place)
    do(place, domains.create, "one.test")
    do(place, mailboxes.create, "bob@one.test")
    (asked,) = hear(place, place.storekeeper, 1)
    place.storekeeper.close()
    place.serve_for(0.1)
    second = place.server("storekeeper")
    assert hear(place, second, 1) == [asked]


# --- ledger ----------------------------------------------------------------------------------------------------------


def used(place):
    with reading(place.engine) as session:
        return session.query(Mailbox.used_bytes).scalar()


def test_what_the_ledger_learned_is_written_once_and_publishes_nothing(place):
    """The panel shows it; the snapshot does not have it; a fact told twice is the same fact."""
    ledger = place.server("ledger")
    place.serve_for(0.3)
    names(place)
    asked = hear(place, ledger, 1)[-1]
    ledger.send(m.Fact(asked.tag, 41, b"usage", b"postmaster@" + HOST.encode(), b"1234"))
    ledger.send(m.Fact(asked.tag, 42, b"usage", b"nobody@nowhere.test", b"5"))
    ledger.send(m.Fact(asked.tag, 0, b"", b"", b""))
    serve_until(place, lambda: used(place) == 1234)
    with reading(place.engine) as session:
        newest = session.query(Change).count()
    assert hear(place, ledger, 1)[-1].after == 42
    assert names(place) == []
    with reading(place.engine) as session:
        assert session.query(Change).count() == newest


def test_a_new_ledger_is_asked_from_the_beginning(place):
    """Its store may be a new one, whose facts count from one again."""
    ledger = place.server("ledger")
    asked = hear(place, ledger, 1)[-1]
    ledger.send(m.Fact(asked.tag, 42, b"usage", b"postmaster@" + HOST.encode(), b"7"))
    ledger.send(m.Fact(asked.tag, 0, b"", b"", b""))
    place.serve_for(0.2)
    ledger.close()
    place.serve_for(0.1)
    second = place.server("ledger")
    assert hear(place, second, 1)[0].after == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///var/postern.db", "sqlite:///db/postern.db"),
        ("sqlite:///var/db/other.db", "sqlite:///db/other.db"),
        ("postgresql://somewhere/postern", "postgresql://somewhere/postern"),
    ],
)
def test_the_database_is_found_where_it_really_lies(tmp_path, url, expected):
    """Through the symbolic link, by its path below the state folder, which is another root inside the sandbox."""
    (tmp_path / "var" / "db").mkdir(parents=True)
    (tmp_path / "var" / "postern.db").symlink_to("db/postern.db")
    (tmp_path / "postern.toml").write_text(f'[database]\nurl = "{url}"\n')
    assert compiler.database_url(tmp_path / "postern.toml", tmp_path / "var") == expected


def test_a_rule_whose_time_is_over_goes_by_itself(place, monkeypatch):
    """From the database and from what is published, without anybody doing anything."""
    monkeypatch.setattr(process, "EXPIRY_SECONDS", 0.05)
    place.compiler._expire()
    rule = do(place, access_rules.add, "deny", "192.0.2.1", expires_at=now() + 100)
    do(place, access_rules.add, "deny", "192.0.2.2")
    serve_until(place, lambda: has(place, b"r:"))
    with unit_of_work(place.engine) as session:
        session.get(AccessRule, rule.id).expires_at = now() - 1
    left = records.Rules((b"deny", b"192.0.2.2/32"))

    def is_gone():
        place.snapshot.refresh()
        return records.unpack_record(place.snapshot.get(b"r:")) == left

    serve_until(place, is_gone)
    assert is_gone()
    assert [found.id for found in do(place, access_rules.list_rules)] == [rule.id + 1]


def test_a_disposable_alias_is_removed_when_its_time_is_over(place, monkeypatch):
    """With its targets, an entry in the audit log, and at once in the snapshot; one that was given more time stays."""
    monkeypatch.setattr(process, "EXPIRY_SECONDS", 0.05)
    place.compiler._expire()
    for name in ("short", "long"):
        do(place, aliases.create, f"{name}@{HOST}", [f"postmaster@{HOST}"], expires_at=now() + 100)
    serve_until(place, lambda: has(place, b"a:short@" + HOST.encode()))
    with unit_of_work(place.engine) as session:
        aliases.get(session, f"short@{HOST}", actor=OPERATOR).expires_at = now() - 1
    serve_until(place, lambda: not has(place, b"a:short@" + HOST.encode()))
    assert has(place, b"a:long@" + HOST.encode())
    with unit_of_work(place.engine) as session:
        assert [alias.folded for alias in session.scalars(select(Alias))] == ["long"]
        assert len(session.scalars(select(AliasTarget)).all()) == 1
        found = audit.list_entries(session, search=audit.Search(action="alias.expired"), actor=OPERATOR).items
        assert [entry.subject for entry in found] == [f"short@{HOST}"]
        assert audit.verify(session).wrong == ""
