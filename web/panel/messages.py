"""What became of messages: found by address, state and day, and each told as a story; and what would become of one.

A reader would otherwise get wrong: a page may be short, or empty, and yet have a next. The store looks at so many messages at a
time, whether or not they concern whoever asks.
"""

import datetime as dt

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import foretelling, messages, trace
from appliance.services.foretelling import Foretold
from appliance.services.messages import Asked as Search
from web.panel.desk import Desk, Managing, Signed
from web.panel.forms import day_in, faults_of, morning_in
from web.panel.listing import PAGE_LENGTH, Asked, filters, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

FIELDS = ("sender", "recipient", "state", "since", "until")
STATES = (
    ("", "Anything"),
    ("delivered", "Delivered"),
    ("relayed", "Handed on"),
    ("deferred", "Tried again later"),
    ("failed", "Failed"),
    ("refused", "Refused"),
    ("held", "Held"),
    ("queued", "Waits"),
)


@router.get("/messages")
def index(desk: Signed, asked: Asked) -> Response:
    """What was accepted or refused, newest first."""
    form, faults = filters(desk, *FIELDS), Typed()
    try:
        wanted = _wanted(form, desk.me.zone)
    except ApplianceError as refusal:
        wanted, faults = Search(), faults_of(refusal, *FIELDS)
    page = messages.list_messages(desk.wiring.traces, _scope(desk), wanted, limit=PAGE_LENGTH, cursor=asked.cursor)
    return show_list(
        desk, asked, page, "/messages", ("messages/index.html", "messages/_list.html"), form, form=form, errors=faults,
        states=STATES, is_there=messages.is_there(desk.wiring.traces),
    )  # fmt: skip


def _wanted(form: Typed, zone: dt.tzinfo) -> Search:
    """Raises Invalid: a day or a state that is none."""
    since, until = morning_in(form, "since", zone), day_in(form, "until", zone)
    return Search(
        form["sender"] or None, form["recipient"] or None, since,
        None if until is None else until + 1, form["state"] or None,
    )  # fmt: skip


def _scope(desk: Desk) -> messages.Scope:
    with desk.reading() as session:
        return messages.scope_of(session, desk.actor)


@router.get("/messages/{identity}")
def detail(desk: Signed, identity: str) -> Response:
    """One message, from the client that brought it to each mailbox and host."""
    told = messages.get(desk.wiring.traces, _scope(desk), identity)
    events = [
        (int(entry["time"]), Typed({name: str(value) for name, value in entry.items()}), trace.words(entry))
        for entry in told.events
    ]
    return desk.page("messages/detail.html", message=told, events=events)


@router.get("/explain")
def explain(desk: Managing, to: str = "") -> Response:
    """Is an address taken, why, and where does its mail go?"""
    told: Foretold | None = None
    refusal: ApplianceError | None = None
    to = to.strip()[:1000]
    if to:
        try:
            with desk.reading() as session:
                told = foretelling.foretell(session, to, actor=desk.actor)
        except ApplianceError as wrong:
            refusal = wrong
    return desk.page(
        "messages/explain.html", refusal=refusal, form=Typed(to=to), told=told,
        errors=faults_of(refusal, "to", otherwise="to") if refusal else Typed(),
    )  # fmt: skip
