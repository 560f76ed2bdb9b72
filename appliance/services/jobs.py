"""What is worked off in the background: asked for, looked at, ended early. Who works it off is `web.worker`.

A reader would otherwise get wrong: a job has the rights that its key has when a piece of it is done, not those of when it was
asked for. What is done stays done when the job is ended early; an atomic one is done whole or not at all.
"""

import secrets
from typing import Any

from sqlalchemy import delete, func, select

from appliance.database.session import Session
from appliance.errors import Conflict
from appliance.models import Job, JobResult
from appliance.models.base import now
from appliance.services import audit, authorisation, tenants
from appliance.services.actor import Actor
from appliance.services.paging import Page, check_limit, decode_cursor, page_of

__all__ = ["Job", "JobResult", "cancel", "create", "end", "get", "list_jobs", "next_due", "note", "results"]

KEPT_SECONDS = 7 * 24 * 3600  # after its end
MAX_WAITING = 100  # of one tenant; each may hold megabytes
OPEN = ("waiting", "running")


def create(session: Session, kind: str, request: dict[str, Any], total: int, *, actor: Actor) -> Job:
    """A job of the actor, who is a key. *request* holds no secret that could be read.

    Raises:
        Conflict: too many of them wait already.
    """
    tenant = tenants.own(session, actor)
    waiting = select(func.count()).select_from(Job).where(Job.tenant_id == tenant.id, Job.state.in_(OPEN))
    if (session.scalar(waiting) or 0) >= MAX_WAITING:
        raise Conflict(f"{MAX_WAITING} jobs wait already: go on when some of them are done", code="too_many_jobs")
    session.execute(delete(Job).where(Job.ended_at < now() - KEPT_SECONDS))
    job = Job(
        public_id=secrets.token_hex(8), kind=kind, state="waiting", key_id=actor.name.removeprefix("key:"), source=actor.source,
        tenant_id=tenant.id, request=request, total=total, done=0, failed=0,
    )  # fmt: skip
    session.add(job)
    session.flush()
    audit.record(
        session, actor, "job.created", f"job {job.public_id}", tenant_id=tenant.id, after={"kind": kind, "total": total}
    )
    return job


def get(session: Session, public_id: str, *, actor: Actor) -> Job:
    """The job with this id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, public_id, actor, "job.see")


def _for(session: Session, public_id: str, actor: Actor, action: str) -> Job:
    job = session.scalar(select(Job).where(Job.public_id == public_id))
    if job is not None and f"key:{job.key_id}" == actor.name:
        return job  # Whatever the key is limited to, this is its own.
    return authorisation.require(session, actor, action, job, f"job {public_id}")


def list_jobs(session: Session, *, actor: Actor, limit: int = 50, cursor: str | None = None) -> Page[Job]:
    """Those in the actor's part, the newest first.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Job), actor, Job)
    if cursor:
        wanted = wanted.where(Job.id < decode_cursor(cursor, int)[0])
    return page_of(session.scalars(wanted.order_by(Job.id.desc()).limit(check_limit(limit) + 1)).all(), limit, "id")


def results(
    session: Session, public_id: str, *, actor: Actor, limit: int = 50, cursor: str | None = None
) -> Page[JobResult]:
    """What became of its operations so far, in their order.

    Raises:
        NotFound, Invalid: as above.
    """
    wanted = select(JobResult).where(JobResult.job_id == get(session, public_id, actor=actor).id)
    if cursor:
        wanted = wanted.where(JobResult.position > decode_cursor(cursor, int)[0])
    rows = session.scalars(wanted.order_by(JobResult.position).limit(check_limit(limit) + 1)).all()
    return page_of(rows, limit, "position")


def cancel(session: Session, public_id: str, *, actor: Actor) -> None:
    """Do no more of it. Of one that has ended nothing changes.

    Raises:
        NotFound, Forbidden: there is none, or it is not the actor's to end.
    """
    job = _for(session, public_id, actor, "job.end")
    if job.state in OPEN:
        audit.record(session, actor, "job.cancelled", f"job {public_id}", tenant_id=job.tenant_id)
        end(job, "failed", "it was ended early")


def next_due(session: Session) -> Job | None:
    """What to work at: first come, first served; and first what a process left that is no more."""
    return session.scalar(select(Job).where(Job.state.in_(OPEN)).order_by(Job.id).limit(1))


def note(session: Session, job: Job, told: list[tuple[int, Any]]) -> None:
    """Status and body of the operations that were done behind those before."""
    for number, (status, body) in enumerate(told):
        session.add(JobResult(job_id=job.id, position=job.done + number, status=status, body=body))
    job.done += len(told)
    job.failed += sum(status >= 400 for status, _ in told)
    job.state = "running"
    job.version += 1


def end(job: Job, state: str, failure: str | None = None) -> None:
    """It is over, and what it was asked is forgotten."""
    job.state, job.failure, job.request, job.ended_at = state, failure, None, now()
    job.version += 1
