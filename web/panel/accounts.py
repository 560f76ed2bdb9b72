"""Everybody who administers in one's part of the house: accounts, and appointments besides.

A reader would otherwise get wrong: nothing is changed here. Who administers a tenant or a domain is said on that one's page, to
which each line leads.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.services import accounts, appointments
from web.panel.desk import Managing
from web.panel.listing import PAGE_LENGTH, Asked, show_list

router = APIRouter(include_in_schema=False)

MAX_APPOINTED = 200


@router.get("/people")
def index(desk: Managing, asked: Asked) -> Response:
    """Accounts by name, and below them who was appointed."""
    with desk.reading() as session:
        page = accounts.list_accounts(
            session, actor=desk.actor, search=asked.search, limit=PAGE_LENGTH, cursor=asked.cursor
        )
        found = appointments.list_appointments(session, actor=desk.actor, limit=MAX_APPOINTED).items
        appointed = [(row, appointments.holder_of(row)) for row in found]
    templates = ("people/index.html", "people/_list.html")
    return show_list(desk, asked, page, "/people", templates, appointed=appointed)
