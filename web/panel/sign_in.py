"""How one signs in oneself: where one is signed in, and when it was tried.

A reader would otherwise get wrong: these are everybody's own pages, an operator's as much as a mailbox owner's. Nobody sees
another's, and support, who looks at what somebody sees, does not see these (`desk.OWN_SECRETS`).
"""

import time

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from appliance.errors import ApplianceError
from appliance.services import login_history, persons, sessions, zones
from web import security
from web.panel.desk import Desk, Signed
from web.panel.forms import Form, faults_of
from web.panel.rendering import Typed, leave_notice

router = APIRouter(include_in_schema=False)

HERE = "/account/sign-in"
HOW = {
    "password": "Password",
    "app": "Authenticator app",
    "backup": "Backup code",
    "passkey": "Passkey",
    "link": "Link",
}


@router.get(HERE)
def page(desk: Signed) -> Response:
    """All of it."""
    desk.wiring.write_notes()
    with desk.reading() as session:
        person = persons.own(session, desk.actor)
        return desk.page(
            "account/sign_in.html",
            logins=sessions.of_own(session, actor=desk.actor),
            attempts=login_history.of(session, person),
            how=HOW,
        )


@router.get("/account/time")
def time_form(desk: Signed) -> Response:
    """In which zone times are shown."""
    return _time(desk, desk.me.time_zone or zones.UTC, None)


def _time(desk: Desk, chosen: str, refusal: ApplianceError | None) -> Response:
    faults = faults_of(refusal, "time_zone") if refusal else Typed()
    options = [(name, name.replace("_", " ")) for name in zones.names()]
    form = Typed(time_zone=chosen)
    return desk.page(
        "account/time.html", refusal=refusal, errors=faults, form=form, options=options, present=int(time.time())
    )


@router.post("/account/time")
def choose_time_zone(desk: Signed, form: Form) -> Response:
    """From now on in that one."""
    try:
        with desk.changing() as session:
            zones.choose(session, form["time_zone"], actor=desk.actor)
    except ApplianceError as refusal:
        return _time(desk, form["time_zone"], refusal)
    return desk.see_other("/account/time", "Times are shown so from now on.")


@router.post("/account/sessions/{number:int}/end")
def end_session(desk: Signed, number: int, form: Form) -> Response:
    """Sign out there."""
    with desk.changing() as session:
        sessions.end_of_own(session, actor=desk.actor, number=number)
    return desk.see_other(HERE, "That session is over.")


@router.post("/account/sessions/end")
def end_all_sessions(desk: Signed, form: Form) -> Response:
    """Sign out everywhere, here too."""
    with desk.changing() as session:
        sessions.end_of_own(session, actor=desk.actor)
    response = RedirectResponse("/login", 303)
    security.drop_cookie(desk.request, response, security.SESSION_COOKIE)
    leave_notice(desk.request, response, "You are signed out everywhere.")
    return response
