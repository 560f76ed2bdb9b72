"""What is done while the caller waits, and what becomes a job.

A reader would otherwise get wrong: it is not for the caller alone to say. What would hold up everybody else's writing for more
than a moment becomes a job whether he asked for that or not, and 202 tells him so.
"""

from typing import Annotated, Any

from fastapi import Header, Response
from starlette.responses import JSONResponse

from appliance.services import bulk, domains, jobs
from web import together, worker, working_off
from web.api.dependencies import Caller, Posting, etag
from web.api.schemas.jobs import Job
from web.together import Operation
from web.wiring import WAKE

RESPOND_ASYNC = "respond-async"  # RFC 7240 4.1
REMOVED_AT_ONCE = 3000  # mailboxes and aliases of a domain, while the caller waits: at most a second

Prefer = Annotated[
    str | None,
    Header(
        max_length=200,
        description="`respond-async`: do it in the background, and answer 202 with a job",
        examples=[RESPOND_ASYNC],
    ),
]
ACCEPTED: dict[int | str, dict[str, Any]] = {
    202: {"model": Job, "description": "it is done in the background: by this job"}
}


def is_for_later(prefer: str | None, operations: list[Operation]) -> bool:
    """Are *operations* to be a job?"""
    return _is_wished(prefer) or working_off.cost_of(operations) > working_off.MAX_COST


def _is_wished(prefer: str | None) -> bool:
    return RESPOND_ASYNC in {word.partition(";")[0].strip().lower() for word in (prefer or "").split(",")}


def ask(asking: Caller, posting: Posting, kind: str, operations: list[Operation], *, atomic: bool) -> Response:
    """Have *operations* done in the background.

    Raises:
        Invalid: they hold a secret that must not wait in the database.
        Conflict: too many jobs wait already.
    """
    wanted = worker.stored(operations, asking.wiring)
    row = jobs.create(posting.session, kind, wanted, actor=asking.actor, request={"atomic": atomic})
    posting.session.info[WAKE] = True
    job = posting.answer(Job.model_validate(row), location=f"/jobs/{row.public_id}", status=202)
    headers = {**posting.response.headers, "ETag": etag(job), "Preference-Applied": RESPOND_ASYNC}
    headers.pop("content-length", None)
    return JSONResponse(job.model_dump(mode="json"), 202, headers)


def remove_domain(asking: Caller, name: str, prefer: str | None) -> Response | None:
    """Have the domain called *name* removed in the background; None: it is to be removed while the caller waits.

    Whoever asks again while that goes on is told of the same job.

    Raises:
        NotFound, Forbidden, Conflict: as `domains.remove`; or too many jobs wait already.
        PreconditionFailed: it has changed since.
    """
    if together.inside() is not None:
        return None  # What is several at once is a job itself, or bounded.
    with asking.wiring.reading() as session:
        domain = domains.find(session, asking.actor, "domain.remove", name)
        size = sum(domains.counts(session, [domain])[domain.id])
    if size <= REMOVED_AT_ONCE and not _is_wished(prefer):
        return None
    with asking.wiring.changing() as session:
        asking.expect(lambda: domains.get(session, name, actor=asking.actor))
        domain = domains.find_removable(session, name, actor=asking.actor)
        what, deed = {"name": domain.name}, bulk.removal_of("domain")
        row = jobs.at_work_on(session, bulk.KIND, what, deed, actor=asking.actor)
        if row is None:
            row = jobs.create(session, bulk.KIND, [what], actor=asking.actor, about={"deed": deed}, state=jobs.DRAFT)
            days = asking.wiring.settings.limits.trash_days
            jobs.start(session, row.public_id, actor=asking.actor, undo_days=days)
            session.info[WAKE] = True
        session.flush()
        job = Job.model_validate(row)
    headers = {"Location": f"/api/v1/jobs/{job.id}", "ETag": etag(job)}
    return JSONResponse(job.model_dump(mode="json"), 202, headers)
