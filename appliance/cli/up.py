"""`postern up`: run everything in the foreground.

A reader would otherwise get wrong: a database that is missing, empty or locked does not stop the mail - the snapshot serves -
so it costs a warning here. Only a schema that a newer program wrote stops the start: that is a mistake made just now.
"""

import os
import sys

from appliance.cli import living
from appliance.cli.house import settings
from appliance.cli.welcome import welcome
from appliance.config import Settings
from appliance.database import server
from appliance.database.engine import open_engine
from appliance.database.schema import require_current
from appliance.errors import DatabaseUnavailable, SchemaTooNew, SchemaTooOld, Unable
from appliance.provision import descriptors, directories, keys
from appliance.services.passwords import PRIVATE_KEY

_CHECK_SECONDS = 1.0  # A locked database must not use up the five seconds in which we want to serve.


def up() -> int:
    """Run everything in the foreground until SIGTERM or Ctrl-C; prints "ready" when it serves."""
    given = settings()
    running = living.supervisor_pid(given)
    if running is not None and running != os.getpid():
        raise Unable(f"the appliance runs already, as process {running}", code="running")
    for line in directories.prepare(given):
        _say(f"mended: {line}")
    if not (given.state / PRIVATE_KEY).exists():
        raise Unable(f"{given.state / PRIVATE_KEY} is missing: run `postern init`", code="not_initialised")
    if keys.make_keys(given.state):  # An older version did not know of all.
        _say("made the keys that were missing")
    if server.is_server(given.database_url):
        server.port_of(given.database_url)  # Before anything starts that could not reach it.
    _look_at_database(given)
    if os.geteuid() != 0:
        whoever = "all roles and conversations" if given.smtpd.isolation == "connection" else "all roles"
        _say(f"not root: {whoever} share this user's uid; every other wall stands")
    missing = descriptors.missing(given)
    if missing:
        _say(f"warning: {missing}; {descriptors.MEND}")
    _say(welcome(given, None))
    from appliance.supervisor import run  # noqa: PLC0415 - as late as possible: it does not return

    return run(given)


def _look_at_database(given: Settings) -> None:
    engine = open_engine(given.database_url, busy_seconds=_CHECK_SECONDS)
    try:
        require_current(engine)
    except (SchemaTooNew, SchemaTooOld):
        raise
    except DatabaseUnavailable as error:
        _say(f"warning: {error.sentence}; mail is served from the snapshot, nothing can be changed")
    finally:
        engine.dispose()


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
