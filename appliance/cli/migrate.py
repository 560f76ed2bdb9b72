"""`postern migrate`: the database schema to the newest.

A reader would otherwise get wrong: what `init` makes today and an older one did not, is made here: without a certificate of
the host's own there would be no TLS after the upgrade, and nobody would be told.
"""

from appliance.cli.house import actor, say, settings
from appliance.config import Settings
from appliance.database import schema
from appliance.database.engine import Engine, open_engine
from appliance.database.session import reading, unit_of_work
from appliance.errors import NotFound, Unable
from appliance.provision import keys
from appliance.services import certificates, founding
from appliance.services.seals import Seals


def migrate() -> None:
    """Bring the database schema to the newest."""
    given = settings()
    engine = open_engine(given.database_url)
    with reading(engine) as session:
        before = schema.version_of(session)
    schema.migrate(engine)
    _make_certificate(given, engine)
    done = (
        f"schema {before:04} → {schema.SCHEMA:04}" if before != schema.SCHEMA else f"schema {before:04} is the newest"
    )
    say({"before": before, "after": schema.SCHEMA}, done)


def _make_certificate(given: Settings, engine: Engine) -> None:
    name = given.host.name
    with reading(engine) as session:
        if founding.instance_id(session) is None:
            return
        try:
            certificates.of_name(session, name, actor=actor())
        except NotFound:
            pass
        else:
            return
    try:
        keys.make_keys(given.state)
    except OSError as error:
        raise Unable(f"{given.state}/keys cannot be written: {error.strerror}", code="state_folder") from error
    offered = certificates.make_self_signed(name)
    sealed = Seals.of(given.state).tls_key(offered.key)
    with unit_of_work(engine) as session:
        certificates.install(session, offered, sealed, actor=actor(), origin=certificates.SELF_SIGNED)
