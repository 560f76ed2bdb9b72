"""Works jobs off, on a thread of its own: a piece at a time, so that other writers come in between; and looks at zones.

A reader would otherwise get wrong: how far a job is, is written in the transaction that got it there. A process that dies in the
middle loses the piece in hand, and its successor begins with that piece.
"""

import logging
import threading
from dataclasses import fields
from typing import Any

from starlette.types import ASGIApp

from appliance.errors import ApplianceError, DatabaseUnavailable, Invalid
from appliance.services import jobs
from appliance.services.jobs import Job
from web import labour, working_off
from web.dns_checks import Stroll
from web.together import Operation, Result
from web.wiring import Wiring

log = logging.getLogger("postern.web")

PIECE_COST = 400  # as `working_off.cost_of`: a fifth of a second
LOOK_SECONDS = 5.0  # between two looks when nobody woke us
_KEPT = tuple(field.name for field in fields(Operation))
SECRETS = frozenset({"password", "password_hash", "source_password", "key", "private_key"})


def stored(operations: list[Operation], wiring: Wiring) -> list[dict[str, Any]]:
    """*operations* as a job keeps them: hashes sealed, and no other secret in them.

    Raises:
        Invalid: there is one.
    """
    return [stored_one(number, operation, wiring) for number, operation in enumerate(operations)]


def stored_one(number: int, operation: Operation, wiring: Wiring) -> dict[str, Any]:
    """*operation*, the one with this *number*, likewise.

    Raises:
        Invalid: there is a secret in it, or a hash that is none.
    """
    kept = {name: getattr(operation, name) for name in _KEPT}
    body = dict(operation.body) if isinstance(operation.body, dict) else None
    if body is not None and working_off.is_new_mailbox(operation) and isinstance(body.get("password_hash"), str):
        if "password" not in body:
            kept["sealed"] = wiring.sealer.seal_hash(body.pop("password_hash"))
        kept["body"] = body
    if _has_secret(body):
        raise Invalid(
            "what is done in the background waits in the database, so it takes no secret but hashes of new mailboxes",
            code="secret_in_job", field=f"operations.{number}.body",
        )  # fmt: skip
    return kept


def _has_secret(value: Any) -> bool:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return any((name in SECRETS and member is not None) or _has_secret(member) for name, member in value.items())
    return isinstance(value, list) and any(map(_has_secret, value))


class Worker:
    """Of *app*; one for a database."""

    def __init__(self, app: ASGIApp, wiring: Wiring) -> None:
        self._app, self._wiring = app, wiring
        self._is_over = threading.Event()
        self._stroll = Stroll(wiring)
        self._last = 0  # the job that was worked at last: the next one comes before it

    def start(self) -> None:
        """Begin, on a thread that ends with the process."""
        threading.Thread(target=self._run, name="worker", daemon=True).start()

    def stop(self) -> None:
        """End after the piece in hand."""
        self._is_over.set()
        self._wiring.work.set()

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                self._wiring.write_notes()
                self._stroll.go_on()
                has_worked = self.work()
            except DatabaseUnavailable as error:
                log.warning("jobs wait: %s", error.sentence)
                has_worked = False
            except Exception:
                log.exception("a job could not be worked at")
                has_worked = False
            if not has_worked:
                self._wiring.work.wait(LOOK_SECONDS)
                self._wiring.work.clear()

    def work(self) -> bool:
        """One piece of the job whose turn it is; False: there is none.

        Raises:
            DatabaseUnavailable: nothing was done.
        """
        with self._wiring.reading() as session:
            due = jobs.next_due(session, self._last)
            has_unread = due is None and jobs.has_unread(session)
        if due is None:
            if has_unread:
                with self._wiring.changing() as session:
                    jobs.give_up_reading(session)
            return False
        self._last = due.id
        try:
            if due.state == jobs.LOOKING:
                labour.look(self._app, self._wiring, due.id, PIECE_COST)
            elif due.kind == labour.EXPORT:
                labour.export(self._wiring, due.id)
            else:
                labour.advance(self._app, self._wiring, due.id, PIECE_COST)
        except labour.TakenBack as refused:
            self._fail(due.id, "one of its operations was refused, and so none was carried out", refused.results)
        except DatabaseUnavailable:
            raise
        except ApplianceError as error:
            self._fail(due.id, error.sentence)
        except Exception:
            log.exception("job %s", due.public_id)
            self._fail(due.id, "something went wrong here; it has been written to the log")
        return True

    def _fail(self, number: int, why: str, results: list[Result] | None = None) -> None:
        with self._wiring.changing() as session:
            job = session.get_one(Job, number)
            told = [one if working_off.is_refused(one) else Result(424, None) for one in results or ()]
            jobs.note(session, job, [(one.status, one.body) for one in told])
            jobs.end(session, job, "failed", why)
