"""Drafts of jobs, from what somebody sent: written down, and looked at at once when that is quick.

A reader would otherwise get wrong: a long list is written down piece by piece, on a thread of its own, so that others write in
between. Until it is all there nobody can start it, and what a process that ends leaves half written down is given up.
"""

import itertools
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from appliance.errors import ApplianceError, Conflict, Invalid, NotFound
from appliance.services import bulk, jobs
from web import labour
from web.panel.desk import Desk
from web.wiring import WAKE

log = logging.getLogger("postern.web")

MAX_READERS = 2  # each holds a whole file
_readers = threading.BoundedSemaphore(MAX_READERS)
CHUNK = 2000  # operations that are written down together
AT_ONCE = 800  # as `labour.cost_of`: what is done while somebody waits


def make(
    desk: Desk,
    kind: str,
    wanted: Iterable[dict[str, Any]],
    about: dict[str, Any],
    request: dict[str, Any] | None = None,
) -> str:
    """A draft that would do *wanted*, with how in *request*; answers its public id.

    Raises:
        Invalid: there is nothing to be done.
        ApplianceError: as *wanted* or the database.
    """
    rows = iter(wanted)
    chunk = list(itertools.islice(rows, CHUNK))
    if not chunk:
        raise Invalid("There is nothing in it.", code="nothing_to_do")
    with desk.changing() as session:
        job = jobs.create(session, kind, chunk, actor=desk.actor, request=request, about=about, state=jobs.READING)
        name = job.public_id
        is_quick = len(chunk) < CHUNK and labour.is_quick(session, job, AT_ONCE)
        if is_quick:
            jobs.read_through(job)
    if is_quick:
        labour.look(desk.request.app, desk.wiring, job.id, AT_ONCE)
    elif len(chunk) < CHUNK:
        _read_on(desk, name, iter(()))
    else:
        _begin_reading(desk, name, rows)
    return name


def _begin_reading(desk: Desk, name: str, rows: Iterator[dict[str, Any]]) -> None:
    """Write the rest of *rows* down on a thread of its own: a hundred thousand hashes take a quarter of a minute to seal."""
    if not _readers.acquire(blocking=False):
        with desk.changing() as session:
            jobs.cancel(session, name, actor=desk.actor)
        raise Conflict("Others are sending long sheets just now. Try again in a minute.", code="busy")

    def read() -> None:
        try:
            _read_on(desk, name, rows)
        except NotFound:
            log.info("job %s was ended while it was read", name)
        except ApplianceError as refusal:
            _give_up(desk, name, refusal.sentence)
        except Exception:
            log.exception("job %s could not be read", name)
            _give_up(desk, name, "something went wrong here; it has been written to the log")
        finally:
            _readers.release()

    threading.Thread(target=read, name="reader", daemon=True).start()


def _give_up(desk: Desk, name: str, why: str) -> None:
    with desk.changing() as session:
        jobs.end(session, jobs.get(session, name, actor=desk.actor), "failed", why)


def _read_on(desk: Desk, name: str, rows: Iterator[dict[str, Any]]) -> None:
    while chunk := list(itertools.islice(rows, CHUNK)):
        with desk.changing() as session:
            jobs.add(session, jobs.get(session, name, actor=desk.actor), chunk)
    with desk.changing() as session:
        jobs.read_through(jobs.get(session, name, actor=desk.actor))
        session.info[WAKE] = True


def start(desk: Desk, name: str) -> None:
    """Have the draft called *name* done; at once, in one transaction, when that is quick.

    Raises:
        ApplianceError: as `jobs.start`.
    """
    with desk.changing() as session:
        verb = labour.deed_of(jobs.get(session, name, actor=desk.actor)).get("verb")
        days = 0 if verb in bulk.FINAL else desk.wiring.settings.limits.trash_days
        job = jobs.start(session, name, actor=desk.actor, undo_days=days)
        number, is_quick = job.id, labour.is_quick(session, job, AT_ONCE)
        session.info[WAKE] = not is_quick
    if is_quick:
        labour.advance(desk.request.app, desk.wiring, number, AT_ONCE)


def go(desk: Desk, kind: str, what: dict[str, Any], deed: dict[str, Any]) -> str:
    """A job that does this one thing, which takes long and was looked at already; answers its public id.

    Raises:
        ApplianceError: as `jobs.create`.
    """
    with desk.changing() as session:
        job = jobs.create(session, kind, [what], actor=desk.actor, about={"deed": deed}, state=jobs.DRAFT)
        jobs.start(session, job.public_id, actor=desk.actor, undo_days=desk.wiring.settings.limits.trash_days)
        session.info[WAKE] = True
        return job.public_id


def undo(desk: Desk, name: str) -> str:
    """Take back what the job called *name* did, as `start`; answers the public id of the job that does it.

    Raises:
        ApplianceError: as `jobs.undo`.
    """
    with desk.changing() as session:
        job = jobs.undo(session, name, actor=desk.actor)
        number, back, is_quick = job.id, job.public_id, labour.is_quick(session, job, AT_ONCE)
        session.info[WAKE] = not is_quick
    if is_quick:
        labour.advance(desk.request.app, desk.wiring, number, AT_ONCE)
    return back
