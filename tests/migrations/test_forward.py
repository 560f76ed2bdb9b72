"""An installation of each version there was, with something in every table, goes forward and loses nothing; on both databases.

A reader would otherwise get wrong: the rows are written by what each version's own tables look like, not by today's models.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import JSON, BigInteger, Boolean, Engine, Integer, MetaData, Table, func, select, text
from sqlalchemy.types import TypeEngine

from appliance import audit_chain
from appliance.database import schema
from appliance.database.engine import open_engine
from appliance.database.session import reading
from appliance.models import Base
from appliance.services import audit
from tests.fixtures.database import HOST

pytestmark = pytest.mark.must_show
OURS = "alembic_version"
ROWS = 3
# What must make sense to the code of the migrations themselves, or of today.
SENSIBLE: dict[tuple[str, str], list[Any]] = {
    ("tenant", "kind"): ["operator", "reseller", "customer"],
    ("tenant", "parent_id"): [None, 1, 2],
    ("domain", "kind"): ["hosted"] * ROWS,
    ("domain", "name"): [HOST, "one.test", "two.test"],
    ("domain", "alias_of_id"): [None] * ROWS,
    ("domain", "catch_all"): [None] * ROWS,
    ("domain", "validation"): ["rcpt", "data", "rcpt"],
    ("account", "kind"): ["operator", "reseller", "customer"],
    ("account", "domain_id"): [None] * ROWS,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request, tmp_path) -> Iterator[Engine]:
    if request.param == "sqlite":
        engine = open_engine(f"sqlite:///{tmp_path}/postern.db", create=True)
        yield engine
        engine.dispose()
        return
    server = request.getfixturevalue("postgresql")
    name = server.empty()
    engine = open_engine(server.url(name))
    yield engine
    engine.dispose()
    server.drop(name)


def value_of(table: Table, name: str, kind: TypeEngine[Any], number: int) -> object:
    """Of row *number* (from 0): different in each row, and whatever a reference names is there."""
    known = SENSIBLE.get((table.name, name))
    if known is not None:
        return known[number]
    column = table.columns[name]
    if column.foreign_keys:
        # Half of them may be empty, and one of two that exclude each other always is.
        return (
            number + 1 if not column.nullable or name == next(c.name for c in table.columns if c.foreign_keys) else None
        )
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, JSON):
        return {"number": number}
    if isinstance(kind, BigInteger | Integer):
        return 1_700_000_000 + number
    return f"{name}{number}"


def fill(engine: Engine) -> dict[str, int]:
    """Rows in every table that there is now; how many each has."""
    metadata = MetaData()
    with engine.begin() as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name == OURS:
                continue
            there = connection.scalar(select(func.count()).select_from(table)) or 0
            rows = ROWS - there if table.name != "instance" else 1
            for number in range(there, there + rows):
                values = {
                    column.name: value_of(table, column.name, column.type, number)
                    for column in table.columns
                    if column.name != "id"
                }
                connection.execute(table.insert().values(values))
        return counted(connection, metadata)


def counted(connection: Any, metadata: MetaData) -> dict[str, int]:
    return {
        table.name: connection.scalar(select(func.count()).select_from(table))
        for table in metadata.sorted_tables
        if table.name != OURS
    }


@pytest.mark.parametrize("version", range(1, schema.SCHEMA))
def test_a_released_state_with_data_in_it_goes_forward(empty, version):
    schema.migrate(empty, f"{version:04}")
    before = fill(empty)
    schema.migrate(empty)
    schema.require_current(empty)
    with empty.connect() as connection:
        after = counted(connection, Base.metadata)
        kept = {name: after[name] for name in before if name in after}
        assert kept == before
        assert connection.scalar(text("SELECT count(DISTINCT name) FROM domain")) == ROWS
    with reading(empty) as session:
        assert audit.verify(session) == audit.Verdict(ROWS)
        for mapper in Base.registry.mappers:
            # What a migration put where nothing was must be what the model can read.
            for row in session.scalars(select(mapper.class_)).unique():
                assert row is not None
        first = session.scalars(select(audit.AuditEntry).order_by(audit.AuditEntry.id)).first()
        assert first.digest != audit_chain.BEGINNING
