"""Which database this program may use."""

import pytest
from sqlalchemy import text

from appliance.database import schema
from appliance.database.engine import open_engine
from appliance.database.session import unit_of_work
from appliance.errors import DatabaseUnavailable, SchemaTooNew, SchemaTooOld


def set_version(engine, version: str) -> None:
    with unit_of_work(engine) as session:
        session.execute(text("UPDATE alembic_version SET version_num = :version"), {"version": version})


def test_a_current_database_is_used(engine):
    """The plain case."""
    schema.require_current(engine)


def test_a_newer_database_is_refused_and_not_touched(engine):
    """An old program would misread it; `migrate` must not turn it back either."""
    set_version(engine, "0999")
    with pytest.raises(SchemaTooNew, match="0999"):
        schema.require_current(engine)
    with pytest.raises(SchemaTooNew):
        schema.migrate(engine)


def test_an_older_database_asks_for_its_mend(engine, monkeypatch):
    """The sentence names the command."""
    monkeypatch.setattr(schema, "SCHEMA", schema.SCHEMA + 1)
    with pytest.raises(SchemaTooOld, match="postern migrate"):
        schema.require_current(engine)


def test_an_empty_database_is_not_taken_for_one_without_customers(tmp_path):
    """It has a code of its own, for the compiler must not publish it."""
    empty = open_engine(f"sqlite:///{tmp_path}/empty.db", create=True)
    with pytest.raises(DatabaseUnavailable) as caught:
        schema.require_current(empty)
    assert caught.value.code == "database_empty"
    empty.dispose()
