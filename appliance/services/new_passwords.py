"""New passwords for many mailboxes at once, on a sheet that one browser alone can open, and once.

A reader would otherwise get wrong: the passwords do wait in the database until the sheet is taken, and nobody can read them there,
the panel included. Each is sealed to a key that is made when they are asked for, before anything is changed. Its public half waits
with the job and is forgotten at the job's end; the private half has only the browser of who asked, and comes back with the wish for
the sheet. So whoever copies the database has nothing, and whoever loses the browser has the passwords made anew.
"""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden, NotFound
from appliance.models import JobResult
from appliance.models.base import now
from appliance.services import audit, jobs
from appliance.services.actor import Actor
from appliance.services.jobs import Job
from appliance.services.passwords import Sealer, one_time_password
from mta import seal

__all__ = ["MOST", "SEALED_TO", "Issuer", "Maker", "Rehearsed", "is_waiting", "make_keys", "maker_of", "take"]

MOST = 10_000  # on one sheet, which is in memory as a whole when it is taken
SEALED_TO = "sealed_to"  # in a job's request: the public half
_PURPOSE = b"postern sealed new password v1"
_TAKEN = "taken_at"  # in what pages say of a job


class Issuer(Protocol):
    """Who says what the password of a mailbox shall be."""

    def issue(self, address: str) -> tuple[str, str]:
        """The sealed hash, for the mailbox, and the password itself, sealed to the sheet's key."""


class Maker:
    """Makes them, each of 100 random bits."""

    def __init__(self, sealer: Sealer, public_key: bytes) -> None:
        self._sealer, self._public_key = sealer, public_key

    def issue(self, address: str) -> tuple[str, str]:
        """As `Issuer`; takes as long as a login."""
        password = one_time_password()
        sealed = seal.seal(self._public_key, _PURPOSE, password.encode())
        return self._sealer.seal_password(password, address), base64.b64encode(sealed).decode()


class Rehearsed:
    """Says that there would be one: whether it may be set is found out without the work."""

    def issue(self, address: str) -> tuple[str, str]:
        """As `Issuer`, but good for nothing. It is taken back."""
        return f"rehearsed for {address}", ""


def maker_of(job: Job, sealer: Sealer) -> Issuer:
    """Who makes the passwords of *job*: while it is only looked at, nobody does.

    Raises:
        Conflict: nobody could read them.
    """
    if job.state == jobs.LOOKING:
        return Rehearsed()
    public_key = (job.request or {}).get(SEALED_TO)
    if public_key is None:
        raise Conflict("new passwords are begun in a browser, which alone can read them", code="other_browser")
    return Maker(sealer, base64.b64decode(public_key))


def make_keys() -> tuple[str, str]:
    """The private half, for a cookie, and the public one, for the job."""
    private, public = seal.make_key_pair()
    return private.hex(), base64.b64encode(public).decode()


class Line(NamedTuple):
    """Of the sheet."""

    address: str
    password: str


def is_waiting(job: Job) -> bool:
    """Is there a sheet that nobody has taken?"""
    about = job.about or {}
    is_over = job.kind == jobs.BULK and job.state in ("done", "failed") and job.done > job.failed
    return is_over and (about.get("deed") or {}).get("verb") == "password" and _TAKEN not in about


def take(session: Session, public_id: str, key: str, *, actor: Actor) -> list[Line]:
    """What stands on the sheet of this job, opened with the private *key*; nobody can have it a second time.

    Raises:
        NotFound: there is no such job, or it made no passwords.
        Forbidden: somebody else asked for it.
        Conflict: it was taken already, or this is not the key.
    """
    job = jobs.get(session, public_id, actor=actor)
    if not jobs.is_own(job, actor):
        raise Forbidden("only who began it can take the sheet", code="not_your_job")
    if _TAKEN in (job.about or {}):
        raise Conflict("this sheet was taken already: have new passwords made", code="sheet_taken")
    if not is_waiting(job):
        raise NotFound(f"there is no sheet of the job {public_id[:16]}")
    found = session.scalars(
        select(JobResult).where(JobResult.job_id == job.id, JobResult.status < 400).order_by(JobResult.position)
    ).all()
    lines = list(_opened(key, found))
    for row in found:
        row.body = None
    job.about = {**(job.about or {}), _TAKEN: now()}
    job.version += 1
    audit.record(
        session, actor, "job.sheet_taken", f"job {public_id}", tenant_id=job.tenant_id, after={"total": len(lines)}
    )
    return lines


def _opened(key: str, rows: Sequence[JobResult]) -> Iterator[Line]:
    try:
        opener = seal.Opener(bytes.fromhex(key), _PURPOSE)
        for row in rows:
            body: dict[str, Any] = row.body or {}
            yield Line(str(body.get("name", "")), opener.open(base64.b64decode(body.get("sealed", ""))).decode())
    except (seal.NotOpened, ValueError, binascii.Error) as error:
        raise Conflict("only the browser in which it was begun can open this sheet", code="other_browser") from error
