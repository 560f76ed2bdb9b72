"""Which version of the schema a database has, and whether this program may use it.

A reader would otherwise get wrong: migrations are numbered, so "newer" can be told without knowing the migration. That is
what lets an old program refuse a database of a new one instead of misreading it.
"""

from pathlib import Path

from sqlalchemy import Engine, inspect, text
from sqlalchemy.orm import Session

from appliance.database.session import reading
from appliance.errors import DatabaseUnavailable, SchemaTooNew, SchemaTooOld

SCHEMA = 5  # the newest migration; tests/migrations compares it with the files
MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "migrations"


def version_of(session: Session) -> int:
    """The schema's number; 0 for a database without tables of ours."""
    if not inspect(session.connection()).has_table("alembic_version"):
        return 0
    found = session.scalar(text("SELECT version_num FROM alembic_version"))
    return int(found) if found else 0


def require_current(engine: Engine) -> None:
    """Go on only with a database of exactly our schema.

    Raises:
        SchemaTooNew: a newer program migrated it.
        SchemaTooOld: it wants `postern migrate`.
        DatabaseUnavailable: it is empty, or cannot be read.
    """
    with reading(engine) as session:
        version = version_of(session)
    if version == 0:
        raise DatabaseUnavailable("the database is empty: not one that this appliance filled", code="database_empty")
    if version > SCHEMA:
        raise SchemaTooNew(
            f"the database has schema {version:04}, this program knows up to {SCHEMA:04}: run the newer Postern"
        )
    if version < SCHEMA:
        raise SchemaTooOld(f"the database has schema {version:04}, wanted is {SCHEMA:04}: run `postern migrate`")


def migrate(engine: Engine, revision: str = "head") -> None:
    """Bring the schema to *revision*; upward, or downward when it is older than the present one.

    Raises:
        SchemaTooNew: a newer program migrated it; only that one knows the way back.
        DatabaseUnavailable: it cannot be written.
    """
    # Alembic costs a tenth of a second to import, and only those who migrate need it.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    from appliance.database.session import unit_of_work  # noqa: PLC0415

    with unit_of_work(engine) as session:
        present = version_of(session)
        if present > SCHEMA:
            raise SchemaTooNew(f"the database has schema {present:04}, this program knows up to {SCHEMA:04}")
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
        config.attributes["connection"] = session.connection()
        wanted = SCHEMA if revision == "head" else 0 if revision == "base" else int(revision)
        (command.upgrade if wanted >= present else command.downgrade)(config, revision)
