"""`postern publish`: compile and publish the snapshot now.

A reader would otherwise get wrong: while the appliance runs, its compiler does the work. How far it is it writes into a file
beside the snapshot, and that file is all that the bar on the terminal knows.
"""

import sys
import time
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from appliance.cli import living
from appliance.cli.house import Switch, engine_of, say, settings
from appliance.database.engine import Engine
from appliance.database.session import reading, unit_of_work
from appliance.errors import Unable
from appliance.services import changes

PATIENCE_SECONDS = 10.0  # without any progress
INTERVAL_SECONDS = 0.05


def publish(*, full: Annotated[Switch, Parameter(help="compile everything anew")] = False) -> None:
    """Publish what changed; with --full, compile everything anew."""
    given = settings()
    engine = engine_of(given)
    if living.supervisor_pid(given) is None:
        # A lazy import: only here, and the compiler reads all of the snapshot's format.
        from appliance.compile.publish import publish_once  # noqa: PLC0415

        bar = Bar()
        publish_once(given, full=full, report=bar.show)
        bar.close()
        with reading(engine) as session:
            done = changes.newest(session)
    else:
        done = _ask(engine, given.state / "snapshot" / "progress", full=full)
    say({"change": done, "full": full}, f"published up to change {done}")


class Bar:
    """How far a publication is, on a terminal; nothing where nobody looks."""

    WIDTH = 40

    def __init__(self) -> None:
        self._is_seen = sys.stderr.isatty()
        self._shown = False

    def show(self, done: int, total: int) -> None:
        """*done* of *total* records are written."""
        if self._is_seen:
            full = self.WIDTH * done // max(1, total)
            sys.stderr.write(f"\r[{'#' * full}{'.' * (self.WIDTH - full)}] {done:,} of {total:,} records")
            sys.stderr.flush()
            self._shown = True

    def close(self) -> None:
        """Leave the terminal's line as it was."""
        if self._shown:
            sys.stderr.write("\r\033[K")


def _ask(engine: Engine, progress: Path, *, full: bool) -> int:
    with unit_of_work(engine) as session:
        number = changes.request_publication(session, full=full).id
    until, last, bar = time.monotonic() + PATIENCE_SECONDS, "", Bar()
    try:
        while time.monotonic() < until:
            done = _answer(engine, number)
            if done is not None:
                return done
            now = _read(progress)
            if now != last:
                until, last = time.monotonic() + PATIENCE_SECONDS, now
                bar.show(*map(int, now.split()))
            time.sleep(INTERVAL_SECONDS)
    finally:
        bar.close()
    raise Unable(f"the compiler did not answer within {PATIENCE_SECONDS:.0f} seconds", code="not_published")


def _answer(engine: Engine, number: int) -> int | None:
    """Up to which change was published, once it was."""
    with reading(engine) as session:
        request = changes.publication(session, number)
        if request is not None and request.failure:
            raise Unable(f"the compiler would not publish: {request.failure}", code="not_published")
        return request.done_change if request is not None else None


def _read(progress: Path) -> str:
    """What the compiler wrote last; `0 0` while it writes nothing."""
    try:
        parts = progress.read_text(encoding="ascii").split()
    except OSError:
        return "0 0"
    return " ".join(parts) if len(parts) == 2 and all(part.isdigit() for part in parts) else "0 0"
