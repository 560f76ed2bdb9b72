"""The audit log."""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.services import audit
from web.panel.desk import Managing
from web.panel.listing import PAGE_LENGTH, Asked, show_list

router = APIRouter(include_in_schema=False)


@router.get("/audit")
def index(desk: Managing, asked: Asked) -> Response:
    """Who changed what in one's part of the house, newest first; with a search, what happened to that very thing."""
    with desk.reading() as session:
        page = audit.list_entries(
            session, actor=desk.actor, subject=asked.search or None, limit=PAGE_LENGTH, cursor=asked.cursor
        )
    return show_list(desk, asked, page, "/audit", ("audit/index.html", "audit/_list.html"))
