"""Jobs: what takes longer than a request may."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from appliance.services import jobs
from web.api.dependencies import Asking, Changing, Cursor, DryRun, Limit, refusals, told
from web.api.schemas import Page
from web.api.schemas.jobs import Job, JobResult

router = APIRouter(prefix="/jobs")

Number = Annotated[str, Path(description="as it was told when the job was asked for", examples=["0123456789abcdef"])]


@router.get("", summary="List jobs", responses=refusals(404, 422))
def list_jobs(asking: Asking, limit: Limit = 50, cursor: Cursor = None) -> Page[Job]:
    """The newest first. One that has ended is forgotten after a week."""
    with asking.wiring.reading() as session:
        page = jobs.list_jobs(session, actor=asking.actor, limit=limit, cursor=cursor)
        return Page(items=[Job.model_validate(row) for row in page.items], next=page.next)


@router.get("/{job}", summary="Show a job", responses=refusals(404, 422))
def show(asking: Asking, job: Number, response: Response) -> Job:
    """With how far it is."""
    with asking.wiring.reading() as session:
        return told(response, Job.model_validate(jobs.get(session, job, actor=asking.actor)))


@router.get("/{job}/results", summary="List a job's results", responses=refusals(404, 422))
def list_results(asking: Asking, job: Number, limit: Limit = 50, cursor: Cursor = None) -> Page[JobResult]:
    """Those that are there so far, in the order of its operations."""
    with asking.wiring.reading() as session:
        page = jobs.results(session, job, actor=asking.actor, limit=limit, cursor=cursor)
        return Page(items=[JobResult.model_validate(row) for row in page.items], next=page.next)


@router.delete("/{job}", summary="End a job early", status_code=204, responses=refusals(403, 404, 412, 422))
def cancel(asking: Changing, job: Number, dry_run: DryRun = False) -> None:
    """What of it is done stays done."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: jobs.get(session, job, actor=asking.actor))
        jobs.cancel(session, job, actor=asking.actor)
