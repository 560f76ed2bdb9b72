"""The audit log: searched, and taken away as a file."""

import datetime as dt
from collections.abc import Iterator

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from appliance.errors import ApplianceError
from appliance.services import audit
from appliance.services.audit import Search
from web.panel.desk import Desk, Managing
from web.panel.forms import day_in, faults_of, morning_in
from web.panel.links import with_query
from web.panel.listing import PAGE_LENGTH, Asked, filters, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

FIELDS = ("actor", "action", "since", "until")
NOUNS = (
    ("", "Everything"),
    ("domain.", "Domains"),
    ("mailbox.", "Mailboxes"),
    ("alias.", "Aliases"),
    ("forwarding.", "Forwarding"),
    ("tenant.", "Tenants"),
    ("plan.", "Plans"),
    ("account.", "Accounts"),
    ("appointment.", "Appointments"),
    ("session.", "Signing in"),
    ("key.", "API keys"),
    ("certificate.", "Certificates"),
    ("rule.", "Access rules"),
    ("sending.", "Sending"),
    ("job.", "Jobs"),
)


@router.get("/audit")
def index(desk: Managing, asked: Asked) -> Response:
    """Who changed what in one's part of the house, newest first; of one thing, by one person, of one kind, between two days."""
    form, faults = filters(desk, *FIELDS), Typed()
    try:
        wanted = _wanted(asked.search, form, desk.me.zone)
    except ApplianceError as refusal:
        wanted, faults = Search(asked.search or None), faults_of(refusal, *FIELDS)
    with desk.reading() as session:
        page = audit.list_entries(
            session, actor=desk.actor, search=wanted, sort=asked.sort, limit=PAGE_LENGTH, cursor=asked.cursor
        )
    return show_list(
        desk, asked, page, "/audit", ("audit/index.html", "audit/_list.html"), form, form=form, errors=faults, nouns=NOUNS,
        export=with_query("/audit/export", search=asked.search, **form),
    )  # fmt: skip


def _wanted(subject: str, form: Typed, zone: dt.tzinfo) -> Search:
    """Raises Invalid: a day that is none."""
    since, until = morning_in(form, "since", zone), day_in(form, "until", zone)
    return Search(
        subject or None, form["actor"] or None, form["action"] or None,
        since, None if until is None else until + 1,
    )  # fmt: skip


@router.get("/audit/export")
def export(desk: Managing, asked: Asked) -> Response:
    """The same, oldest first and all at once: one JSON object a line."""
    return _streamed(desk, _wanted(asked.search, filters(desk, *FIELDS), desk.me.zone))


def _streamed(desk: Desk, wanted: Search) -> Response:
    def lines() -> Iterator[str]:
        with desk.reading() as session:
            yield from audit.export(session, actor=desk.actor, search=wanted)

    headers = {"Content-Disposition": 'attachment; filename="audit.ndjson"'}
    return StreamingResponse(lines(), media_type="application/x-ndjson", headers=headers)
