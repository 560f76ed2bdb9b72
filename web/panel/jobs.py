"""Jobs: what takes longer than a request may, to be left alone and found again; and what only waits for a word.

A reader would otherwise get wrong: a job's page is the same before, while and after it runs. While there is work, a part of it
asks for itself anew, and when that is over has the page load again as a whole.
"""

import itertools
import json
from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from appliance.errors import Conflict, NotFound
from appliance.services import authorisation, jobs, new_passwords, sheets
from appliance.services.jobs import Job
from web import labour
from web.panel import drafts, sheet_cookies
from web.panel.desk import Desk, Managing
from web.panel.forms import Form
from web.panel.links import url
from web.panel.listing import PAGE_LENGTH, Asked, show_list
from web.panel.rendering import is_fragment

router = APIRouter(include_in_schema=False)

FIRST = 10  # of what a draft would do
_AT_ONCE = 500  # refusals that are read together


@router.get("/jobs")
def index(desk: Managing, asked: Asked) -> Response:
    """Those of one's part, newest first."""
    with desk.reading() as session:
        page = jobs.list_jobs(session, actor=desk.actor, sort=asked.sort, limit=PAGE_LENGTH, cursor=asked.cursor)
    return show_list(desk, asked, page, "/jobs", ("jobs/index.html", "jobs/index.html"))


@router.get("/jobs/{job}")
def detail(desk: Managing, job: str, asked: Asked) -> Response:
    """How far it is, and what became of its operations; of a draft, what would become of them."""
    with desk.reading() as session:
        found = jobs.get(session, job, actor=desk.actor)
        listed = jobs.refusals if found.kind in labour.BRIEF else jobs.results
        page = listed(session, job, actor=desk.actor, limit=PAGE_LENGTH, cursor=asked.cursor)
        may_end = jobs.is_own(found, desk.actor) or authorisation.allows(session, desk.actor, "job.end", found)
        first = jobs.part_from(session, found, 0)[:FIRST] if found.state == jobs.DRAFT else []
    response = show_list(
        desk, asked, page, url("jobs", job), ("jobs/detail.html", "jobs/_how_far.html"), job=found, may_end=may_end,
        is_own=jobs.is_own(found, desk.actor), sample=[one for one in first if "fault" not in one],
        is_brief=found.kind in labour.BRIEF, is_at_work=found.state in (jobs.READING, *jobs.OPEN),
        may_undo=may_end and jobs.can_be_undone(found), part=_percent(found),
        trash_days=desk.wiring.settings.limits.trash_days, has_sheet=new_passwords.is_waiting(found),
        can_open=sheet_cookies.read(desk, job) is not None,
    )  # fmt: skip
    if is_fragment(desk.request) and found.state not in (jobs.READING, *jobs.OPEN):
        response.headers["HX-Refresh"] = "true"
    return response


def _percent(job: Job) -> int:
    return min(100, job.done * 100 // job.total) if job.total else 0


@router.post("/jobs/{job}/start")
def start(desk: Managing, job: str, form: Form) -> Response:
    """Do what was shown. New passwords are for the browser alone that has their key already: nothing waits for this answer."""
    with desk.reading() as session:
        found = jobs.get(session, job, actor=desk.actor)
        if new_passwords.SEALED_TO in (found.request or {}) and sheet_cookies.read(desk, job) is None:
            raise Conflict("only the browser that asked for new passwords can have them made", code="other_browser")
    drafts.start(desk, job)
    response = desk.see_other(url("jobs", job))
    sheet_cookies.prolong(desk, job, response)
    return response


@router.post("/jobs/{job}/passwords")
def passwords(desk: Managing, job: str, form: Form) -> Response:
    """The sheet with the passwords that it made; it is made of them once."""
    key = sheet_cookies.read(desk, job) or ""
    with desk.changing() as session:
        lines = new_passwords.take(session, job, key, actor=desk.actor)
    headers = {"Content-Disposition": f'attachment; filename="passwords-{job[:16]}.csv"'}
    text = "".join(sheets.line(one) for one in (("address", "password"), *lines))
    response = Response(text, headers=headers, media_type="text/csv; charset=utf-8")
    sheet_cookies.drop(desk, job, response)
    return response


@router.post("/jobs/{job}/undo")
def undo(desk: Managing, job: str, form: Form) -> Response:
    """Take back what it did."""
    return desk.see_other(url("jobs", drafts.undo(desk, job)))


@router.post("/jobs/{job}/cancel")
def cancel(desk: Managing, job: str, form: Form) -> Response:
    """Do no more of it; what is done stays done. A draft goes."""
    with desk.changing() as session:
        had_begun = jobs.get(session, job, actor=desk.actor).state not in (jobs.READING, jobs.LOOKING, jobs.DRAFT)
        jobs.cancel(session, job, actor=desk.actor)
    if not had_begun:
        return desk.see_other("/jobs", "Nothing was done.")
    return desk.see_other(url("jobs", job), "The job was ended. What it had done stays done.")


@router.get("/jobs/{job}/refused")
def refused(desk: Managing, job: str) -> Response:
    """All that was, or would be, refused, as a sheet."""
    with desk.reading() as session:
        jobs.get(session, job, actor=desk.actor)
    headers = {"Content-Disposition": f'attachment; filename="refused-{job[:16]}.csv"'}
    return StreamingResponse(_refused(desk, job), headers=headers, media_type="text/csv; charset=utf-8")


@router.get("/jobs/{job}/sheet")
def sheet(desk: Managing, job: str) -> Response:
    """What an export wrote down, as a sheet."""
    documents = _exported(desk, job)
    headers = {"Content-Disposition": 'attachment; filename="addresses.csv"'}
    return StreamingResponse(_as_sheet(documents), headers=headers, media_type="text/csv; charset=utf-8")


@router.get("/jobs/{job}/document")
def document(desk: Managing, job: str) -> Response:
    """What an export wrote down, as the document that `PUT /apply` takes."""
    documents = _exported(desk, job)
    headers = {"Content-Disposition": 'attachment; filename="postern.json"'}
    return StreamingResponse(_as_document(documents), headers=headers, media_type="application/json")


def _exported(desk: Desk, job: str) -> Callable[[], Iterator[dict[str, Any]]]:
    """The documents of its domains, one after the other, as often as they are asked for.

    Raises:
        NotFound: there is no such export, or it is not over.
    """
    with desk.reading() as session:
        found = jobs.get(session, job, actor=desk.actor)
        if found.kind != labour.EXPORT or found.state != "done":
            raise NotFound(f"there is no export {job[:16]}")

    def documents() -> Iterator[dict[str, Any]]:
        cursor: str | None = None
        while True:
            with desk.reading() as session:
                page = jobs.results(session, job, actor=desk.actor, limit=1, cursor=cursor)
            yield from ((one.body or {}).get("document") or {} for one in page.items)
            cursor = page.next
            if cursor is None:
                return

    return documents


def _as_sheet(documents: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[str]:
    yield sheets.line(sheets.COLUMNS)
    for one in documents():
        if one:
            yield "".join(itertools.islice(sheets.write(one), 1, None))


def _as_document(documents: Callable[[], Iterator[dict[str, Any]]]) -> Iterator[str]:
    for number, noun in enumerate(("domains", "mailboxes", "aliases")):
        yield f'{"," if number else "{"}"{noun}":['
        is_first = True
        for one in documents():
            for thing in one.get(noun, ()):
                yield ("" if is_first else ",") + json.dumps(thing, ensure_ascii=False)
                is_first = False
        yield "]"
    yield "}"


def _refused(desk: Desk, job: str) -> Iterator[str]:
    yield sheets.line(("line", "address", "code", "why"))
    cursor: str | None = None
    while True:
        with desk.reading() as session:
            page = jobs.refusals(session, job, actor=desk.actor, limit=_AT_ONCE, cursor=cursor)
        for one in page.items:
            body = one.body or {}
            number = body.get("line", one.position + 1)
            cells = (str(number), *(str(body.get(name) or "") for name in ("address", "code", "detail")))
            yield sheets.line(cells)
        cursor = page.next
        if cursor is None:
            return
