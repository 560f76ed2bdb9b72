"""Jobs: what takes longer than a request may, to be left alone and found again.

A reader would otherwise get wrong: a job's page is the same while it runs and when it is over; while it runs, a part of it asks
for itself anew.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.services import authorisation, jobs
from web.panel.desk import Managing
from web.panel.forms import Form
from web.panel.links import url
from web.panel.listing import PAGE_LENGTH, Asked, show_list

router = APIRouter(include_in_schema=False)


@router.get("/jobs")
def index(desk: Managing, asked: Asked) -> Response:
    """Those of one's part, newest first."""
    with desk.reading() as session:
        page = jobs.list_jobs(session, actor=desk.actor, limit=PAGE_LENGTH, cursor=asked.cursor)
    return show_list(desk, asked, page, "/jobs", ("jobs/index.html", "jobs/index.html"))


@router.get("/jobs/{job}")
def detail(desk: Managing, job: str, asked: Asked) -> Response:
    """How far it is, and what became of its operations."""
    with desk.reading() as session:
        found = jobs.get(session, job, actor=desk.actor)
        page = jobs.results(session, job, actor=desk.actor, limit=PAGE_LENGTH, cursor=asked.cursor)
        may_end = authorisation.allows(session, desk.actor, "job.end", found)
    templates = ("jobs/detail.html", "jobs/_progress.html")
    return show_list(desk, asked, page, url("jobs", job), templates, job=found, may_end=may_end)


@router.post("/jobs/{job}/cancel")
def cancel(desk: Managing, job: str, form: Form) -> Response:
    """Do no more of it; what is done stays done."""
    with desk.changing() as session:
        jobs.cancel(session, job, actor=desk.actor)
    return desk.see_other(url("jobs", job), "The job was ended. What it had done stays done.")
