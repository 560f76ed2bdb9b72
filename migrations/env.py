"""Runs migrations inside the transaction that `appliance.database.schema.migrate` has begun.

A reader would otherwise get wrong: nothing is committed here. SQLite and PostgreSQL both change schemas transactionally,
so a migration that fails half way leaves the database as it was.
"""

from alembic import context
from sqlalchemy import Connection, create_engine

from appliance.models import Base


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=False,  # The caller's transaction is the transaction.
    )
    context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    with create_engine(context.config.get_main_option("sqlalchemy.url") or "").begin() as opened:
        run(opened)
