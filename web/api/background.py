"""What is done while the caller waits, and what becomes a job.

A reader would otherwise get wrong: it is not for the caller alone to say. What would hold up everybody else's writing for more
than a moment becomes a job whether he asked for that or not, and 202 tells him so.
"""

from typing import Annotated, Any

from fastapi import Header, Response
from starlette.responses import JSONResponse

from appliance.services import jobs
from web import worker, working_off
from web.api.dependencies import Caller, Posting, etag
from web.api.schemas.jobs import Job
from web.together import Operation
from web.wiring import WAKE

RESPOND_ASYNC = "respond-async"  # RFC 7240 4.1

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
    wished = {word.partition(";")[0].strip().lower() for word in (prefer or "").split(",")}
    return RESPOND_ASYNC in wished or working_off.cost_of(operations) > working_off.MAX_COST


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
