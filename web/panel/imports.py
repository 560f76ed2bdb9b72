"""Sheets (CSV) of mailboxes, aliases and forwardings: pasted, looked at as they would be, then taken in; and taken away.

A reader would otherwise get wrong: a preview is the whole of it, taken back. What it shows of each line is what would have
happened, with all that the lines before it would have made.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError, Invalid
from appliance.services import holdings, sheets
from appliance.services.sheets import COLUMNS, Outcome
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, faults_of
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

MAX_LINES = 2000  # while somebody waits; a longer sheet goes over the API, as a job
MAX_SHOWN = 200
MOST_GIVEN = 10_000  # of a kind, in one sheet


@router.get("/import")
def index(desk: Managing) -> Response:
    """The form."""
    return _index(desk, Typed(), None)


def _index(
    desk: Desk,
    form: Typed,
    refusal: ApplianceError | None,
    outcomes: list[Outcome] | None = None,
    *,
    done: bool = False,
) -> Response:
    refused = [one for one in outcomes or () if one.refusal is not None]
    return desk.page(
        "imports/index.html", refusal=refusal, form=form, errors=faults_of(refusal, "csv") if refusal else Typed(),
        outcomes=outcomes, refused=refused[:MAX_SHOWN], count=len(refused), shown=(outcomes or [])[:MAX_SHOWN], done=done,
        columns=COLUMNS, most=MAX_LINES,
    )  # fmt: skip


@router.post("/import")
def take_in(desk: Managing, form: Form) -> Response:
    """Show what would become of it; with the second button, do it."""
    try:
        rows = sheets.read(form["csv"])
        if len(rows) > MAX_LINES:
            raise Invalid(f"Here at most {MAX_LINES} lines at once: the API takes more, as a job.", field="csv")
        is_rehearsal = not form["do"]
        with desk.wiring.changing(dry_run=is_rehearsal) as session:
            outcomes = sheets.take_in(
                session, rows, actor=desk.actor, sealer=desk.wiring.sealer,
                default_quota=desk.wiring.settings.limits.default_quota,
            )  # fmt: skip
    except ApplianceError as refusal:
        return _index(desk, form, refusal)
    return _index(desk, form, None, outcomes, done=not is_rehearsal)


@router.get("/import/sheet")
def give_out(desk: Managing) -> Response:
    """All of one's part of the house as such a sheet, without passwords."""
    with desk.reading() as session:
        document = holdings.give_out(session, actor=desk.actor, most=MOST_GIVEN)
    headers = {"Content-Disposition": 'attachment; filename="addresses.csv"'}
    return Response("".join(sheets.write(document)), headers=headers, media_type="text/csv; charset=utf-8")
