"""Sheets of domains, mailboxes, aliases and forwardings, taken in.

A reader would otherwise get wrong: nothing is done before the whole sheet was read; a line that makes no sense refuses it, with all
such lines named. What the rules of the house refuse is told for each line by itself, in a dry run as when it is done. A large sheet
is a job, whose results are those of the lines: first the domains, then the mailboxes, the aliases, the forwardings.
"""

from collections.abc import Sequence
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from appliance.services import sheets
from appliance.services.sheets import Row
from web import together, working_off
from web.api import background
from web.api.background import Prefer
from web.api.dependencies import DryRun, Making, refusals
from web.api.schemas.imports import Imported, Line, NewImport
from web.errors import PROBLEM_MEDIA_TYPE, body_of
from web.together import Inside, SharedWiring

router = APIRouter(prefix="/import")
AT_ONCE = 1000  # lines that are taken in while somebody waits


class _TakenBack(Exception):
    """An atomic sheet with a line that was refused."""


@router.post(
    "", summary="Take a sheet in", response_model=Imported,
    responses={**refusals(409, 422), **background.ACCEPTED},
)  # fmt: skip
def take_in(
    asking: Making,
    body: NewImport,
    request: Request,
    response: Response,
    prefer: Prefer = None,
    dry_run: DryRun = False,
) -> Imported | Response:
    """With a dry run first, the answer is what would become of each line."""
    rows = sheets.in_order(sheets.read(body.csv))
    operations = [operation_of(row) for row in rows]
    results: Sequence[together.Result] = ()
    try:
        with asking.posting(response, body, dry_run=dry_run) as posting:
            is_large = len(rows) >= AT_ONCE or background.is_for_later(prefer, operations)
            if not dry_run and is_large:
                return background.ask(asking, posting, "import", operations, atomic=body.atomic)
            within = Inside(asking.actor, SharedWiring.over(asking.wiring, posting.session))
            results = working_off.work_off(request.app, within, operations)
            if body.atomic and not dry_run and any(map(working_off.is_refused, results)):
                raise _TakenBack
            return posting.answer(_imported(rows, results, committed=not dry_run))
    except _TakenBack:
        return _taken_back(rows, results)


def _taken_back(rows: Sequence[Row], results: Sequence[together.Result]) -> Response:
    """The refusals, and for all other lines that they were not carried out because of those."""
    problem = body_of(409, "import_refused", "one of these lines was refused, and so none of them was carried out")
    other = together.Result(424, body_of(424, "import_refused", "another line of this atomic sheet was refused"))
    told = _imported(rows, [one if working_off.is_refused(one) else other for one in results], committed=False)
    return JSONResponse({**problem, **told.model_dump(mode="json")}, 409, media_type=PROBLEM_MEDIA_TYPE)


def operation_of(row: Row) -> together.Operation:
    """What the API would be asked for it."""
    if row.kind == "domain":
        return together.Operation("POST", "/domains", {"name": row.address})
    if row.kind == "forward":
        path = f"/mailboxes/{quote(row.address, safe='@')}/forwarding"
        return together.Operation("PUT", path, dict(row.said))
    noun = "mailboxes" if row.kind == "mailbox" else "aliases"
    return together.Operation("POST", f"/{noun}", {"address": row.address, **row.said})


def _imported(rows: Sequence[Row], results: Sequence[together.Result], *, committed: bool) -> Imported:
    lines = []
    for row, result in sorted(zip(rows, results, strict=True), key=lambda pair: pair[0].line):
        told = result.body if working_off.is_refused(result) else {}
        lines.append(
            Line.model_validate(
                {
                    "line": row.line,
                    "kind": row.kind,
                    "address": row.address,
                    "status": result.status,
                    "code": told.get("code"),
                    "detail": told.get("detail"),
                }
            )
        )
    refused = sum(line.code is not None for line in lines)
    return Imported(committed=committed, done=len(lines) - refused, refused=refused, lines=lines)
