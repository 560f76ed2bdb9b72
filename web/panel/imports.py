"""Sheets (CSV) of domains and addresses: sent or pasted, looked at as they would be, then taken in; and taken away.

A reader would otherwise get wrong: what is sent becomes a draft, whatever its length. Its preview is the job's own page, where it
is found again, and nothing is done before somebody says so there.
"""

import io
from collections.abc import Iterator
from dataclasses import replace
from typing import IO, Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError, Invalid
from appliance.services import bulk, holdings, jobs, sheets
from appliance.services.sheets import COLUMNS, KINDS, Fault, Row
from web import labour, worker
from web.api.imports import operation_of
from web.panel import drafts
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, SentForm, faults_of
from web.panel.links import url
from web.panel.rendering import Typed
from web.wiring import WAKE, Wiring

router = APIRouter(include_in_schema=False)

MAX_LINES = 200_000
LONGEST_NAME = 100  # of a file, as it is shown
MOST_GIVEN = 10_000  # of a kind, in one sheet


@router.get("/import")
def index(desk: Managing) -> Response:
    """The form."""
    return _index(desk, Typed(), None)


def _index(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    return desk.page(
        "imports/index.html", refusal=refusal, form=form, errors=faults_of(refusal, "csv", "file") if refusal else Typed(),
        columns=COLUMNS, most=MAX_LINES,
    )  # fmt: skip


@router.post("/import")
def take_in(desk: Managing, sent: SentForm) -> Response:
    """Write it down, and show what would become of it."""
    field = "csv" if sent.file is None else "file"
    try:
        if sent.file is None and not sent.fields["csv"].strip():
            raise Invalid("Choose a file, or paste the sheet below.", field="file")
        # A copy: the file goes with the request, and a long one is read for longer.
        octets = io.BytesIO(
            sent.file.read() if sent.file is not None else sent.fields["csv"].encode(errors="surrogatepass")
        )
        about = {"file": sent.file_name[:LONGEST_NAME]}
        job = drafts.make(desk, labour.IMPORT, _wanted(desk.wiring, octets), about)
    except ApplianceError as refusal:
        refusal.field = field if refusal.field in (None, "csv") else refusal.field
        return _index(desk, sent.fields, refusal)
    return desk.see_other(url("jobs", job))


def _wanted(wiring: Wiring, octets: IO[bytes]) -> Iterator[dict[str, Any]]:
    """What the lines ask for, what is led to before what leads there, and in front the lines that make no sense.

    It is read once for each kind: two hundred thousand lines need not be in memory together.
    """
    found, repeated = set[str](), set[int]()
    for one in _unique(sheets.each(sheets.lines_of(octets)), repeated):
        if isinstance(one, Fault):
            yield {"fault": one.reason, "line": one.line, "address": one.address}
            continue
        found.add(one.kind)
        if one.kind == KINDS[0]:
            yield _stored(wiring, one)
    for kind in KINDS[1:]:
        for one in sheets.each(sheets.lines_of(octets)) if kind in found else ():
            if isinstance(one, Row) and one.kind == kind and one.line not in repeated:
                yield _stored(wiring, one)


def _unique(lines: Iterator[Row | Fault], repeated: set[int]) -> Iterator[Row | Fault]:
    """*lines*, of those that say the same thing twice but the first; the others' numbers go into *repeated*."""
    first: dict[tuple[bool, str], int] = {}
    for count, one in enumerate(lines):
        if count >= MAX_LINES:
            raise Invalid(f"A sheet has at most {MAX_LINES} lines.", code="too_many_lines")
        if isinstance(one, Row):
            where = first.setdefault((one.kind == "forward", one.address.lower()), one.line)
            if where != one.line:
                repeated.add(one.line)
                yield Fault(one.line, one.address, f"line {where} has this address already")
                continue
        yield one


def _stored(wiring: Wiring, row: Row) -> dict[str, Any]:
    """As a job keeps it, without a secret that could be read; what holds a wrong one is a fault."""
    place = {"line": row.line, "address": row.address[: sheets.LONGEST_ADDRESS]}
    operation = operation_of(replace(row, said=dict(row.said)))
    try:
        kept = worker.stored_one(row.line, operation, wiring)
    except Invalid as fault:
        return {"fault": fault.sentence, **place}
    return {**{name: kept[name] for name in ("method", "path", "body", "sealed") if kept[name] is not None}, **place}


@router.get("/import/sheet")
def give_out(desk: Managing) -> Response:
    """All of one's part of the house as such a sheet, without passwords."""
    with desk.reading() as session:
        document = holdings.give_out(session, actor=desk.actor, most=MOST_GIVEN)
    headers = {"Content-Disposition": 'attachment; filename="addresses.csv"'}
    return Response("".join(sheets.write(document)), headers=headers, media_type="text/csv; charset=utf-8")


@router.post("/export")
def export(desk: Managing, form: Form) -> Response:
    """The same of any size, in the background."""
    with desk.reading() as session:
        names = list(bulk.choose(session, "domain", actor=desk.actor, domain=None, search=""))
    try:
        if not names:
            raise Invalid("There is no domain yet.", code="nothing_to_do")
        with desk.changing() as session:
            job = jobs.create(session, labour.EXPORT, names, actor=desk.actor)
            session.info[WAKE] = True
    except ApplianceError as refusal:
        return _index(desk, Typed(), refusal)
    return desk.see_other(url("jobs", job.public_id))
