"""Everybody who administers in one's part of the house: accounts, and appointments besides.

A reader would otherwise get wrong: but for a second factor that somebody lost, nothing is changed here. Who administers a tenant or
a domain is said on that one's page, to which each line leads.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import accounts, appointments, second_factors
from web.panel.desk import Managing
from web.panel.forms import Form, faults_of
from web.panel.listing import PAGE_LENGTH, Asked, show_list

router = APIRouter(include_in_schema=False)

MAX_APPOINTED = 200


@router.get("/people")
def index(desk: Managing, asked: Asked) -> Response:
    """Accounts by name, and below them who was appointed."""
    with desk.reading() as session:
        page = accounts.list_accounts(
            session, actor=desk.actor, search=asked.search, sort=asked.sort, limit=PAGE_LENGTH, cursor=asked.cursor
        )
        found = appointments.list_appointments(session, actor=desk.actor, limit=MAX_APPOINTED).items
        appointed = [(row, appointments.holder_of(row)) for row in found]
    templates = ("people/index.html", "people/_list.html")
    return show_list(desk, asked, page, "/people", templates, appointed=appointed)


@router.post("/people/second-factor")
def reset_second_factor(desk: Managing, form: Form) -> Response:
    """Somebody below lost it: his password alone lets him in again."""
    name = form["name"].strip()
    try:
        with desk.changing() as session:
            second_factors.reset(session, name, actor=desk.actor)
    except ApplianceError as refusal:
        return desk.page(
            "people/lost.html", refusal=refusal, form=form, errors=faults_of(refusal, "name", otherwise="name")
        )
    return desk.see_other("/people", f"{name} has no second factor any more.")
