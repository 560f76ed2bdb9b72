"""The same services on the database for more than one node."""

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, text

from appliance.compile import collect, facts
from appliance.compile import sending as compiled
from appliance.compile.source import open_source
from appliance.database import schema
from appliance.database.engine import open_engine
from appliance.database.session import reading, unit_of_work
from appliance.errors import Conflict, DatabaseUnavailable, Invalid, LimitReached, NotFound
from appliance.models import Base
from appliance.services import (
    access_rules,
    aliases,
    certificates,
    changes,
    domains,
    forwardings,
    founding,
    keys,
    mailboxes,
    recipients,
    senders,
    sending,
    sessions,
    tenants,
)
from appliance.services.relays import Route
from mta.snapshot.records import unpack_record
from mta.wire import messages as m
from tests.fixtures.bulk import count_mailboxes, fill
from tests.fixtures.database import HOST, OPERATOR


@pytest.fixture(scope="module")
def server(postgresql_url: str):
    engine = open_engine(postgresql_url)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(server: Engine) -> Engine:
    """A founded database; whatever was there before is gone."""
    with unit_of_work(server) as session:
        session.execute(text("DROP SCHEMA public CASCADE"))
        session.execute(text("CREATE SCHEMA public"))
    server.dispose()
    schema.migrate(server)
    with unit_of_work(server) as session:
        founding.found(
            session, host_name=HOST, operator="operator", sealed_hash="sealed", must_change=True, actor=OPERATOR
        )
    return server


def test_migrations_lead_to_the_models_and_back(engine):
    """Up, down, up, as on SQLite."""
    schema.require_current(engine)
    searched = {"ix_mailbox_search", "ix_alias_search"}  # over what a function makes of a column: no model can say that
    opts = {"include_name": lambda name, *_: name not in searched}
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=opts), Base.metadata) == []
        found = connection.scalars(text("SELECT indexname FROM pg_indexes WHERE indexdef LIKE '%search_grams%'"))
        assert set(found) == searched
    schema.migrate(engine, "base")
    with pytest.raises(DatabaseUnavailable):
        schema.require_current(engine)
    schema.migrate(engine)
    schema.require_current(engine)


def test_a_whole_life(engine):
    """A customer's things are made, changed, listed and removed."""
    with unit_of_work(engine) as session:
        customer = tenants.create(session, "customer", actor=OPERATOR, max_mailboxes=2)
        domains.create(session, "bücher.example", tenant_id=customer.id, actor=OPERATOR)
        mailboxes.create(session, "Joe@bücher.example", sealed_hash="sealed", actor=OPERATOR)
        mailboxes.create(session, "mo@bücher.example", actor=OPERATOR)
        aliases.create(session, "all@bücher.example", ["joe@bücher.example", "mo@bücher.example"], actor=OPERATOR)
        forwardings.put(session, "joe@bücher.example", ["mo+tag@bücher.example"], actor=OPERATOR)
        key = keys.create(session, tenant_id=customer.id, actor=OPERATOR)
    with pytest.raises(LimitReached), unit_of_work(engine) as session:
        mailboxes.create(session, "third@bücher.example", actor=OPERATOR)
    with pytest.raises(Conflict, match="ring"), unit_of_work(engine) as session:
        forwardings.put(session, "mo@bücher.example", ["all@bücher.example"], actor=OPERATOR)
    with unit_of_work(engine) as session:
        actor = keys.actor_of(session, key.key.public_id)
        first = mailboxes.list_mailboxes(session, actor=actor, limit=1)
        second = mailboxes.list_mailboxes(session, actor=actor, limit=1, cursor=first.next)
        assert [str(page.items[0].address.local_part) for page in (first, second)] == ["Joe", "mo"]
        assert second.next is None
        token = sessions.create(session, "JOE@bücher.example").token
        assert sessions.find(session, token).actor.kind == "mailbox"
        assert domains.remove(session, "bücher.example", actor=actor).removal.mailboxes == 2
    with reading(engine) as session, pytest.raises(NotFound):
        mailboxes.get(session, "joe@bücher.example", actor=OPERATOR)


def test_relayed_domains_rules_and_certificates(engine):
    """Lists over a temporary table, rules by scope, and all of it compiled."""
    folded = recipients.read_list("away.test", ["ann", "bob@away.test", "carl"])
    with unit_of_work(engine) as session:
        route = Route("mail.away.test", "list")
        domain = domains.create(session, "away.test", route=route, actor=OPERATOR)
        assert recipients.apply(session, "away.test", folded, "replace", actor=OPERATOR).added == 3
        assert recipients.apply(session, "away.test", ["ann"], "remove", actor=OPERATOR).total == 2
        hook = Route("mail.hook.test", "hook", {"address": "127.0.0.1:7000"})
        domains.create(session, "hook.test", route=hook, actor=OPERATOR)
        for scope in ({}, {"domain": domain.name}, {"mailbox": f"postmaster@{HOST}"}):
            access_rules.add(session, "deny", "192.0.2.0/24", actor=OPERATOR, **scope)
        offered = certificates.make_self_signed(HOST)
        certificates.install(session, offered, "c2VhbGVk", actor=OPERATOR)
    source = open_source(engine.url.render_as_string(hide_password=False))
    try:
        with source.reading() as query:
            everything = {row.name: row for row in collect.domains(query)}
            assert everything["hook.test"].settings == {"address": "127.0.0.1:7000"}
            assert sorted(collect.relayed(query)) == ["bob@away.test", "carl@away.test"]
            scopes = ["", "away.test", f"postmaster@{HOST}"]
            assert sorted(row.scope for row in collect.rules(query)) == scopes
            assert [row.scope for row in collect.rules(query, scopes)] == scopes
            assert [row.name for row in collect.certificates(query, [HOST])] == [HOST]
            assert collect.amount(query) >= 3
            assert collect.expired(query, 1 << 40) == []
    finally:
        source.close()


def test_numbers_of_the_feed_appear_in_their_order(engine):
    """A reader that saw a number never meets a smaller one later: writers take turns from their first look on."""
    started, finish, done = threading.Event(), threading.Event(), threading.Event()
    with reading(engine) as session:
        before = changes.newest(session)

    def slow() -> None:
        with unit_of_work(engine) as session:
            domains.create(session, "slow.test", actor=OPERATOR)
            started.set()
            finish.wait(20)

    def quick() -> None:
        started.wait(20)
        with unit_of_work(engine) as session:
            domains.create(session, "quick.test", actor=OPERATOR)
        done.set()

    threads = [threading.Thread(target=slow), threading.Thread(target=quick)]
    for thread in threads:
        thread.start()
    # Without the lock, the quick one would be through by now, with a number above the slow one's that nobody can see yet.
    overtook = done.wait(1.0)
    with reading(engine) as session:
        seen = changes.newest(session)
    finish.set()
    for thread in threads:
        thread.join()
    with reading(engine) as session:
        order = [change.key for change in changes.since(session, before)]
    assert (overtook, seen) == (False, before)
    assert order == ["slow.test", "quick.test"]


def test_a_nul_is_the_clients_mistake(engine):
    """PostgreSQL stores none."""
    with pytest.raises(Invalid), unit_of_work(engine) as session:
        tenants.find(session, "a\0b", actor=OPERATOR)


def test_nothing_is_compiled_or_shared_out_for_questions_of_milliseconds(engine):
    """A search that PostgreSQL takes for a large one was a hundred times slower by what it did to be quicker."""
    with unit_of_work(engine) as session:
        for name, value in (("jit", "off"), ("max_parallel_workers_per_gather", "0")):
            assert session.scalar(text(f"SHOW {name}")) == value


def test_many_mailboxes_come_quickly(engine):
    """The tests' own bulk filling works here too."""
    fill(engine, ["bulk.test"], 1000)
    assert count_mailboxes(engine) == 1001


def test_a_server_that_is_away_is_unavailable(tmp_path):
    """One sentence, no traceback."""
    away = open_engine(f"postgresql://postern@/postgres?host={tmp_path}")
    with pytest.raises(DatabaseUnavailable), reading(away) as session:
        session.execute(text("SELECT 1"))
    away.dispose()


def test_what_is_sent_as_whom_and_how_much(engine):
    """Limits and senders out, a brake and its audit entry back."""
    joe = "joe+tag@own.example"
    with unit_of_work(engine) as session:
        domains.create(session, "own.example", actor=OPERATOR)
        mailboxes.create(session, joe, sealed_hash="c2VhbGVk", actor=OPERATOR)
        senders.give(session, joe, "team@own.example", actor=OPERATOR)
        sending.change(session, "own.example", actor=OPERATOR, per_hour=7, any_address=True)
    source = open_source(engine.url.render_as_string(hide_password=False))
    try:
        with source.writing() as query:
            assert facts.apply(query, [m.Fact(1, 1, b"braked", joe.encode(), b"1700000000 300 recipients")])
        with source.reading() as query:
            (row,) = collect.domains(query, ["own.example"])
            assert (row.sends_per_hour, row.send_as_any) == (7, True)
            told = {
                key: unpack_record(octets) for key, octets in [*compiled.of_mailboxes(query), *compiled.senders(query)]
            }
            limits, who = compiled.changed(query, [joe, "team@own.example"])
        assert told[b"w:" + joe.encode()].braked
        assert told[b"f:team@own.example"].members == (joe.encode(),)
        assert {key: value for key, value in told.items() if key in limits | who} == {
            key: unpack_record(value) for key, value in (limits | who).items() if value
        }
    finally:
        source.close()
    with unit_of_work(engine) as session:
        assert [standing.subject for standing in sending.braked(session, actor=OPERATOR)] == [joe]
        assert sending.release(session, joe, actor=OPERATOR).braked_at is None
