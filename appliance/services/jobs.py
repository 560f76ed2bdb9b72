"""What is worked off in the background: asked for, looked at, ended early. Who works it off is `web.worker`.

A reader would otherwise get wrong: a job has the rights that who asked for it has when a piece of it is done, not those of when
it was asked for. What is done stays done when the job is ended early; an atomic one is done whole or not at all. A job of the
panel may begin as a draft: what would become of it is found out first, and nothing is done before somebody says so.
"""

import itertools
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Select, delete, func, or_, select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden
from appliance.models import Domain, Job, JobPart, JobResult
from appliance.models.base import now
from appliance.services import audit, authorisation, keys, sessions, tenants
from appliance.services.actor import Actor
from appliance.services.paging import Orders, Page, check_limit, decode_cursor, page_in_order, page_of

__all__ = [
    "BULK",
    "DRAFT",
    "LOOKING",
    "OPEN",
    "PART",
    "READING",
    "UNDO",
    "Job",
    "JobResult",
    "actor_of",
    "add",
    "at_work",
    "at_work_on",
    "can_be_undone",
    "cancel",
    "create",
    "end",
    "get",
    "give_up_reading",
    "has_unread",
    "is_own",
    "list_jobs",
    "next_due",
    "note",
    "operations",
    "part_from",
    "read_through",
    "refusals",
    "results",
    "settle",
    "start",
    "undo",
]

KEPT_SECONDS = 7 * 24 * 3600  # after its end
READING_SECONDS = 15 * 60  # a long sheet is written down in a tenth of it
DRAFT_SECONDS = 24 * 3600  # after it was made
MAX_DRAFTS = 10  # of one person; the oldest goes
MAX_WAITING = 100  # of one tenant; each may hold megabytes
PART = 400  # operations that lie together
READING, LOOKING, DRAFT = "reading", "looking", "draft"
OPEN = (LOOKING, "waiting", "running")  # there is something to do for the worker
_UNBEGUN = (READING, LOOKING, DRAFT)
BULK, UNDO = "bulk", "undo"  # of its kinds, the one that can be taken back, and what takes it back
_KEY = "key:"
_DAY = 24 * 3600
_ORDERS = Orders(Job.id, "-created", {"-created": Job.id})


def create(
    session: Session,
    kind: str,
    wanted: Iterable[dict[str, Any]] = (),
    *,
    actor: Actor,
    request: dict[str, Any] | None = None,
    about: dict[str, Any] | None = None,
    state: str = "waiting",
) -> Job:
    """A job of the actor that does *wanted*, with how in *request*. Neither holds a secret that could be read.

    Raises:
        Conflict: too many of them wait already.
    """
    tenant_id = _tenant_of(session, actor)
    waiting = select(func.count()).select_from(Job).where(Job.tenant_id == tenant_id, Job.state.in_(OPEN))
    if (session.scalar(waiting) or 0) >= MAX_WAITING:
        raise Conflict(f"{MAX_WAITING} jobs wait already: go on when some of them are done", code="too_many_jobs")
    _forget(session, actor)
    job = Job(
        public_id=secrets.token_hex(8), kind=kind, state=state, asked_by=actor.name, source=actor.source, tenant_id=tenant_id,
        request=request or {}, about=about, total=0, done=0, failed=0,
    )  # fmt: skip
    session.add(job)
    session.flush()
    add(session, job, wanted)
    if state not in _UNBEGUN:
        _tell_created(session, actor, job)
    return job


def _tenant_of(session: Session, actor: Actor) -> int:
    domain = session.get(Domain, actor.domain_id) if actor.tenant_id is None and actor.domain_id is not None else None
    return domain.tenant_id if domain is not None else tenants.own(session, actor).id


def _tell_created(session: Session, actor: Actor, job: Job) -> None:
    said = {"kind": job.kind, "total": job.total, **((job.about or {}).get("deed") or {})}
    audit.record(session, actor, "job.created", f"job {job.public_id}", tenant_id=job.tenant_id, after=said)


def _forget(session: Session, actor: Actor) -> None:
    """Those that are over for long, and drafts that nobody came back to."""
    over = Job.ended_at < now() - KEPT_SECONDS, or_(Job.undo_until.is_(None), Job.undo_until < now())
    session.execute(delete(Job).where(*over))
    drafts = Job.state.in_((READING, DRAFT))
    session.execute(delete(Job).where(drafts, Job.created_at < now() - DRAFT_SECONDS))
    own = select(Job.id).where(drafts, Job.asked_by == actor.name).order_by(Job.id.desc())
    surplus = session.scalars(own.offset(MAX_DRAFTS - 1)).all()
    if surplus:
        session.execute(delete(Job).where(Job.id.in_(surplus)))


def add(session: Session, job: Job, wanted: Iterable[dict[str, Any]]) -> None:
    """Further operations, behind those that are there."""
    rows = iter(wanted)
    while piece := list(itertools.islice(rows, PART)):
        session.note(JobPart, job_id=job.id, position=job.total, operations=piece)
        session.flush()
        job.total += len(piece)


def actor_of(session: Session, job: Job) -> Actor:
    """Who asked for it, with the rights of this moment.

    Raises:
        NotSignedIn: he may do nothing any more.
    """
    if job.asked_by.startswith(_KEY):
        return keys.actor_of(session, job.asked_by.removeprefix(_KEY), source=job.source)
    return sessions.actor_of(session, job.asked_by, source=job.source)


def part_from(session: Session, job: Job, position: int) -> list[dict[str, Any]]:
    """The operation at *position*, and those behind it that lie with it."""
    wanted = select(JobPart).where(JobPart.job_id == job.id, JobPart.position <= position)
    found = session.scalar(wanted.order_by(JobPart.position.desc()).limit(1))
    return found.operations[position - found.position :] if found is not None else []


def operations(session: Session, job: Job) -> Iterator[dict[str, Any]]:
    """All of them, from where it is; not all are in memory at once."""
    position = job.done
    while piece := part_from(session, job, position):
        yield from piece
        position += len(piece)


def get(session: Session, public_id: str, *, actor: Actor) -> Job:
    """The job with this id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, public_id, actor, "job.see")


def is_own(job: Job, actor: Actor) -> bool:
    """Did the actor ask for it?"""
    return job.asked_by == actor.name and not actor.support_by


def _for(session: Session, public_id: str, actor: Actor, action: str) -> Job:
    job = session.scalar(select(Job).where(Job.public_id == public_id))
    if job is not None and is_own(job, actor):
        return job  # Whatever he is limited to, this is his own.
    return authorisation.require(session, actor, action, job, f"job {public_id}")


def list_jobs(
    session: Session, *, actor: Actor, sort: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Job]:
    """Those in the actor's part and his own, the newest first, or the other way round (*sort*: created).

    Raises:
        Invalid: a bad limit or cursor.
    """
    seen = authorisation.restrict(select(Job.id), actor, Job)
    wanted = select(Job).where(or_(Job.id.in_(seen), Job.asked_by == actor.name))
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def at_work(session: Session, actor: Actor) -> int:
    """How many of his own go on, or wait for his word."""
    wanted = select(func.count()).select_from(Job).where(Job.asked_by == actor.name, Job.state.in_(OPEN))
    return session.scalar(wanted) or 0


def at_work_on(
    session: Session, kind: str, wanted: dict[str, Any], deed: dict[str, Any], *, actor: Actor
) -> Job | None:
    """The job of his own that does just *wanted* as *deed* says, and is not over."""
    own = select(Job).where(Job.asked_by == actor.name, Job.state.in_(OPEN), Job.kind == kind, Job.total == 1)
    alike = (job for job in session.scalars(own) if (job.about or {}).get("deed") == deed)
    return next((job for job in alike if part_from(session, job, 0) == [wanted]), None)


def results(
    session: Session, public_id: str, *, actor: Actor, limit: int = 50, cursor: str | None = None
) -> Page[JobResult]:
    """What became of its operations so far, in their order.

    Raises:
        NotFound, Invalid: as above.
    """
    return _results(session, get(session, public_id, actor=actor), 0, limit, cursor)


def refusals(
    session: Session, public_id: str, *, actor: Actor, limit: int = 50, cursor: str | None = None
) -> Page[JobResult]:
    """As `results`, but only of what was refused.

    Raises:
        NotFound, Invalid: as above.
    """
    return _results(session, get(session, public_id, actor=actor), 400, limit, cursor)


def _results(session: Session, job: Job, least: int, limit: int, cursor: str | None) -> Page[JobResult]:
    wanted = select(JobResult).where(JobResult.job_id == job.id, JobResult.status >= least)
    if cursor:
        wanted = wanted.where(JobResult.position > decode_cursor(cursor, int)[0])
    rows = session.scalars(wanted.order_by(JobResult.position).limit(check_limit(limit) + 1)).all()
    return page_of(rows, limit, "position")


def start(session: Session, public_id: str, *, actor: Actor, undo_days: int = 0) -> Job:
    """Have a draft done, as it was shown; what it changes many by can be taken back for so many days.

    Raises:
        NotFound: there is none.
        Forbidden: somebody else asked for it, and it would be done with his rights.
        Conflict: it is no draft, or not looked at yet.
    """
    job = get(session, public_id, actor=actor)
    if not is_own(job, actor):
        raise Forbidden("only who asked for it can say that it is to be done", code="not_your_job")
    if job.state != DRAFT:
        raise Conflict("this was begun already", code="job_begun")
    session.execute(delete(JobResult).where(JobResult.job_id == job.id))
    job.state, job.done, job.failed, job.created_at = "waiting", 0, 0, now()
    job.undo_until = now() + undo_days * _DAY if job.kind == BULK and undo_days > 0 else None
    job.version += 1
    _tell_created(session, actor, job)
    return job


def read_through(job: Job) -> None:
    """All its operations are there: what would become of them is found out next."""
    job.state = LOOKING


def can_be_undone(job: Job) -> bool:
    """Has it changed something that can still be had back?"""
    is_over = job.kind == BULK and job.state in ("done", "failed") and job.done > job.failed
    return is_over and job.undone_at is None and job.undo_until is not None and job.undo_until > now()


def undo(session: Session, public_id: str, *, actor: Actor) -> Job:
    """A job of the actor that takes back what this one did, the last first, where nobody has changed it since.

    Raises:
        NotFound, Forbidden: there is none, or it is not the actor's to end.
        Conflict: it has nothing, or nothing any more, that could be taken back.
    """
    job = _for(session, public_id, actor, "job.end")
    if not can_be_undone(job):
        raise Conflict("there is nothing in it that can be undone any more", code="nothing_to_undo")
    done = select(JobResult.body).where(JobResult.job_id == job.id, JobResult.status < 400, JobResult.body.is_not(None))
    bodies = session.scalars(done.order_by(JobResult.position.desc()).execution_options(yield_per=PART))
    wanted = [body for body in bodies if body]
    about = {"deed": (job.about or {}).get("deed"), "of": public_id}
    job.undone_at = now()
    job.version += 1
    return create(session, UNDO, wanted, actor=actor, about=about)


def has_unread(session: Session) -> bool:
    """Is there something for `give_up_reading`?"""
    return session.scalar(_unread().limit(1)) is not None


def _unread() -> Select[Job]:
    return select(Job).where(Job.state == READING, Job.created_at < now() - READING_SECONDS)


def give_up_reading(session: Session) -> None:
    """End what a process began to write down that is no more."""
    for job in session.scalars(_unread()).all():
        end(session, job, "failed", "it was not read to its end: send it again")


def settle(job: Job) -> None:
    """It was looked at: now it waits for a word."""
    job.state = DRAFT
    job.version += 1


def cancel(session: Session, public_id: str, *, actor: Actor) -> None:
    """Do no more of it; a draft is forgotten. Of one that has ended nothing changes.

    Raises:
        NotFound, Forbidden: there is none, or it is not the actor's to end.
    """
    job = _for(session, public_id, actor, "job.end")
    if job.state in _UNBEGUN:  # It has done nothing.
        session.delete(job)
    elif job.state in OPEN:
        audit.record(session, actor, "job.cancelled", f"job {public_id}", tenant_id=job.tenant_id)
        end(session, job, "failed", "it was ended early")


def next_due(session: Session, behind: int = 0) -> Job | None:
    """What to work at: each in its turn, the one after *behind*; and first what a process left that is no more."""
    wanted = select(Job).where(Job.state.in_(OPEN)).order_by(Job.id).limit(1)
    return session.scalar(wanted.where(Job.id > behind)) or (session.scalar(wanted) if behind else None)


def note(session: Session, job: Job, told: list[tuple[int, Any]], *, spared: bool = False) -> None:
    """Status and body of the operations that were done behind those before; *spared*: what went well without a body is not kept."""
    for number, (status, body) in enumerate(told):
        if not spared or status >= 400 or body is not None:
            session.note(JobResult, job_id=job.id, position=job.done + number, status=status, body=body)
    job.done += len(told)
    job.failed += sum(status >= 400 for status, _ in told)
    if job.state == "waiting":
        job.state = "running"
    job.version += 1


def end(session: Session, job: Job, state: str, failure: str | None = None) -> None:
    """It is over, and what it was asked is forgotten."""
    job.state, job.failure, job.request, job.ended_at = state, failure, None, now()
    job.version += 1
    session.execute(delete(JobPart).where(JobPart.job_id == job.id))
