"""`postern publish`: compile and publish the snapshot now."""

import time

from appliance.cli import living
from appliance.cli.house import engine_of, say, settings
from appliance.database.engine import Engine
from appliance.database.session import reading, unit_of_work
from appliance.errors import Unable
from appliance.services import changes

PATIENCE_SECONDS = 10.0
INTERVAL_SECONDS = 0.05


def publish(*, full: bool = False) -> None:
    """Publish what changed; with --full, compile everything anew."""
    given = settings()
    engine = engine_of(given)
    if living.supervisor_pid(given) is None:
        # A lazy import: only here, and the compiler reads all of the snapshot's format.
        from appliance.compile.publish import publish_once  # noqa: PLC0415

        publish_once(given, full=full)
        with reading(engine) as session:
            done = changes.newest(session)
    else:
        done = _ask(engine, full=full)
    say({"change": done, "full": full}, f"published up to change {done}")


def _ask(engine: Engine, *, full: bool) -> int:
    with unit_of_work(engine) as session:
        number = changes.request_publication(session, full=full).id
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with reading(engine) as session:
            request = changes.publication(session, number)
            if request is not None and request.failure:
                raise Unable(f"the compiler would not publish: {request.failure}", code="not_published")
            if request is not None and request.done_change is not None:
                return request.done_change
        time.sleep(INTERVAL_SECONDS)
    raise Unable(f"the compiler did not answer within {PATIENCE_SECONDS:.0f} seconds", code="not_published")
