"""`postern migrate`: the database schema to the newest."""

from appliance.cli.house import say, settings
from appliance.database import schema
from appliance.database.engine import open_engine
from appliance.database.session import reading


def migrate() -> None:
    """Bring the database schema to the newest."""
    engine = open_engine(settings().database_url)
    with reading(engine) as session:
        before = schema.version_of(session)
    schema.migrate(engine)
    done = (
        f"schema {before:04} → {schema.SCHEMA:04}" if before != schema.SCHEMA else f"schema {before:04} is the newest"
    )
    say({"before": before, "after": schema.SCHEMA}, done)
