"""Every step up has its step down, and the steps lead to what the models say."""

import re

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, select, text

from appliance.database import schema
from appliance.database.engine import open_engine
from appliance.database.session import unit_of_work
from appliance.models import AccessRule, Alias, Base, Domain, Instance, RelayRecipient, SrsSecret


@pytest.fixture
def empty(tmp_path):
    engine = open_engine(f"sqlite:///{tmp_path}/postern.db", create=True)
    yield engine
    engine.dispose()


def files() -> list[str]:
    return sorted(path.name for path in (schema.MIGRATIONS / "versions").glob("*.py"))


def test_migrations_are_numbered_without_gaps():
    """ "Newer" is told by the number alone."""
    assert [name[:4] for name in files()] == [f"{number:04}" for number in range(1, len(files()) + 1)]


def test_the_program_knows_its_newest_migration():
    """SCHEMA is compared at each start, without importing Alembic."""
    assert len(files()) == schema.SCHEMA


def test_each_file_says_its_own_number():
    """The name is what people look at, the revision is what counts."""
    for name in files():
        text = (schema.MIGRATIONS / "versions" / name).read_text(encoding="utf-8")
        found = re.search(r'^revision = "(\d{4})"$', text, re.MULTILINE)
        assert found, name
        assert found[1] == name[:4]


def test_migrations_lead_to_the_models(empty):
    """A column that only one of them has would be found by the first customer."""
    schema.migrate(empty)
    with empty.connect() as connection:
        kinds = {row.name: row.type for row in connection.execute(text("PRAGMA table_list"))}
        # Beside the models there are indexes that are tables, and what they keep their own things in.
        assert {name for name, kind in kinds.items() if kind == "virtual"} == {"mailbox_search", "alias_search"}
        opts = {"include_name": lambda name, kind, _: kind != "table" or kinds[name] == "table"}
        context = MigrationContext.configure(connection, opts={"target_metadata": Base.metadata, **opts})
        assert compare_metadata(context, Base.metadata) == []


def test_up_down_up(empty):
    """Down removes everything, and up works again after it."""
    schema.migrate(empty)
    schema.migrate(empty, "base")
    assert set(inspect(empty).get_table_names()) == {"alembic_version"}
    schema.migrate(empty)
    schema.require_current(empty)


def test_protections_come_to_domains_that_are_there_and_go_again(empty):
    """Nothing of theirs is lost on the way up; on the way down only what an older program would misread."""
    schema.migrate(empty, "0002")
    with unit_of_work(empty) as session:
        session.execute(
            text("INSERT INTO tenant (name, kind, created_at, version, suspended) VALUES ('o', 'operator', 0, 1, 0)")
        )
        insert = "INSERT INTO domain (name, kind, tenant_id, validation, created_at, version, suspended) VALUES "
        session.execute(text(f"{insert} ('one.test', 'hosted', 1, 'rcpt', 0, 1, 0)"))
        mailbox = (
            "INSERT INTO mailbox (domain_id, local_part, folded, display_name, quota_bytes, used_bytes, created_at, version, "
            "suspended) VALUES (1, 'bob', 'bob', '', 0, 0, 0, 1, 0)"
        )
        session.execute(text(mailbox))
    schema.migrate(empty)
    with unit_of_work(empty) as session:
        found = session.scalars(select(Domain)).one()
        assert (found.validation, found.greylist, found.dnsbl, found.source_settings) == ("rcpt", False, True, {})
        found.validation = "off"
        relay = Domain(name="away.test", kind="relay", tenant_id=1, next_hop="mail.away.test:25", source="list")
        session.add(relay)
        session.flush()
        session.add(RelayRecipient(domain_id=relay.id, folded="ann"))
        session.add(AccessRule(domain_id=found.id, position=1, verb="deny", pattern="evil.test"))
    schema.migrate(empty, "0002")
    with unit_of_work(empty) as session:
        assert session.execute(text("SELECT name, kind, validation FROM domain")).all() == [
            ("one.test", "hosted", "rcpt")
        ]
        assert session.execute(text("SELECT folded FROM mailbox")).all() == [("bob",)]
    schema.migrate(empty)


def test_migrating_twice_changes_nothing(empty):
    """`postern migrate` may be run at any time."""
    schema.migrate(empty)
    before = inspect(empty).get_table_names()
    schema.migrate(empty)
    assert inspect(empty).get_table_names() == before


def test_a_migration_that_fails_leaves_the_database_as_it_was(empty, monkeypatch):
    """Its tables are made in one transaction."""
    from alembic import op

    whole = op.create_table

    def fail_at_mailbox(name, *rest, **options):
        if name == "mailbox":
            raise RuntimeError("no more space")
        return whole(name, *rest, **options)

    monkeypatch.setattr(op, "create_table", fail_at_mailbox)
    with pytest.raises(RuntimeError):
        schema.migrate(empty)
    assert inspect(empty).get_table_names() == []


def test_ways_out_come_to_an_installation_that_is_there_and_go_again(empty):
    """It gets a secret for its return paths; on the way down, targets that an older program would not find are taken away."""
    schema.migrate(empty, "0003")
    common = "created_at, version, suspended"
    with unit_of_work(empty) as session:
        for statement in (
            "INSERT INTO instance (instance_id, host_name, made_at) VALUES ('i', 'mx.test', 0)",
            f"INSERT INTO tenant (name, kind, {common}) VALUES ('o', 'operator', 0, 1, 0)",
            f"INSERT INTO domain (name, kind, tenant_id, validation, {common}) VALUES ('one.test', 'hosted', 1, 'rcpt', 0, 1, 0)",
        ):
            session.execute(text(statement))
    schema.migrate(empty)
    with unit_of_work(empty) as session:
        (secret,) = session.scalars(select(SrsSecret.secret))
        assert len(bytes.fromhex(secret)) == 32
        domain = session.scalars(select(Domain)).one()
        assert (domain.batv, domain.language, domain.tenant.forwards_outside) == (False, "en", True)
        targets = ["b@one.test", "C@else.test", '"d@e"@else.test']
        alias = Alias(domain=domain, local_part="a", folded="a", targets=targets)
        for row in alias.rows:
            row.confirmed_at = 1
        session.add(alias)
    schema.migrate(empty, "0003")
    with unit_of_work(empty) as session:
        assert session.execute(text("SELECT address FROM alias_target")).all() == [("b@one.test",)]
    schema.migrate(empty)


def test_whoever_gets_forwarded_mail_goes_on_getting_it_and_who_never_agreed_is_forgotten_on_the_way_down(empty):
    """An older program would send on to him."""
    schema.migrate(empty, "0004")
    common = "created_at, version, suspended"
    settings = "validation, greylist, dnsbl, source, source_settings, batv, language"
    values = "('one.test', 'hosted', 1, 'rcpt', FALSE, TRUE, '', '{}', FALSE, 'en', 0, 1, FALSE)"
    with unit_of_work(empty) as session:
        for statement in (
            "INSERT INTO instance (instance_id, host_name, made_at) VALUES ('i', 'mx.test', 0)",
            f"INSERT INTO tenant (name, kind, forwards_outside, {common}) VALUES ('o', 'operator', TRUE, 0, 1, FALSE)",
            f"INSERT INTO domain (name, kind, tenant_id, {settings}, {common}) VALUES {values}",
            "INSERT INTO alias (domain_id, local_part, folded, created_at, version) VALUES (1, 'a', 'a', 0, 1)",
            "INSERT INTO alias_target (alias_id, address) VALUES (1, 'C@else.test')",
        ):
            session.execute(text(statement))
    schema.migrate(empty)
    with unit_of_work(empty) as session:
        alias = session.scalars(select(Alias)).one()
        assert alias.waiting == []
        assert len(session.scalars(select(Instance.consent_key)).one()) == 64
        alias.targets.append("d@else.test")
    schema.migrate(empty, "0004")
    with unit_of_work(empty) as session:
        assert session.execute(text("SELECT address FROM alias_target")).all() == [("C@else.test",)]
    schema.migrate(empty)
