"""A forgotten password: asking for a link, following it; and the address that it is sent to.

A reader would otherwise get wrong: whoever asks is answered the same whether there is such a name or not, and at once: what is done
about it is done when he has his answer (`web.notebook`).
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.errors import ApplianceError, Invalid
from appliance.services import persons, recovery
from web.errors import TooManyAttempts, status_of
from web.notebook import Forgotten
from web.panel.desk import Desk, Signed
from web.panel.forms import Form, faults_of
from web.panel.rendering import Typed, leave_notice
from web.panel.second_step import require_password
from web.wiring import client_of, wiring_of

router = APIRouter(include_in_schema=False)

HERE = "/account/recovery"


# ---- who forgot it


@router.get("/login/forgotten")
def forgotten_form(request: Request) -> Response:
    """For whom."""
    return _gate(request, "start/forgotten.html", None, is_sent=False)


@router.post("/login/forgotten")
def ask(request: Request, form: Form) -> Response:
    """Have a link sent, if there is where to."""
    wiring, client = wiring_of(request), client_of(request)
    wait_seconds = wiring.throttle.wait_seconds("", client)
    if wait_seconds:
        return _gate(request, "start/forgotten.html", TooManyAttempts(wait_seconds), form=form, is_sent=False)
    wiring.throttle.wrong("", client)
    wiring.notebook.note(Forgotten(form["name"].strip(), client))
    wiring.work.set()
    return _gate(request, "start/forgotten.html", None, is_sent=True)


@router.get("/recovery/reset/{token}")
def reset_form(request: Request, token: str) -> Response:
    """Another password."""
    with wiring_of(request).reading() as session:
        name = recovery.look_up(session, token, "reset")
    return _gate(request, "start/reset.html", None, name=name)


@router.post("/recovery/reset/{token}")
def reset(request: Request, token: str, form: Form) -> Response:
    """It is chosen; whoever has two steps takes the second one all the same."""
    wiring = wiring_of(request)
    with wiring.reading() as session:
        name = recovery.look_up(session, token, "reset")
    try:
        if form["password"] != form["again"]:
            raise Invalid("The two are not the same.", code="not_the_same", field="again")
        sealed = wiring.sealer.seal_password(form["password"], name if "@" in name else "")
        with wiring.changing() as session:
            recovery.reset(session, token, sealed, source=client_of(request))
    except ApplianceError as refusal:
        return _gate(request, "start/reset.html", refusal, name=name)
    response = RedirectResponse("/login", 303)
    leave_notice(request, response, "Your password is changed, and you are signed out everywhere. Sign in with it.")
    return response


@router.get("/recovery/confirm/{token}")
def confirm_form(request: Request, token: str) -> Response:
    """One button: programs that inspect mail follow links, and say nothing by it."""
    with wiring_of(request).reading() as session:
        name = recovery.look_up(session, token, "confirm")
    return _gate(request, "start/confirm.html", None, name=name)


@router.post("/recovery/confirm/{token}")
def confirm(request: Request, token: str, form: Form) -> Response:
    """The address is his."""
    with wiring_of(request).changing() as session:
        address = recovery.confirm(session, token, source=client_of(request))
    response = RedirectResponse("/login", 303)
    leave_notice(request, response, f"{address} is your recovery address.")
    return response


def _gate(request: Request, template: str, refusal: ApplianceError | None, **context: object) -> Response:
    faults = faults_of(refusal, "password", "again") if refusal else Typed()
    status = status_of(refusal) if refusal else 200
    return wiring_of(request).renderer.page(request, template, {"errors": faults, **context}, status=status)


# ---- one's own


@router.get(HERE)
def page(desk: Signed) -> Response:
    """Which address it is."""
    return _page(desk, Typed(), None)


def _page(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        address, is_confirmed = recovery.standing(session, persons.own(session, desk.actor))
    faults = faults_of(refusal, "address", "password") if refusal else Typed()
    return desk.page(
        "account/recovery.html", refusal=refusal, form=form, errors=faults, address=address, is_confirmed=is_confirmed
    )


@router.post(HERE)
def name_address(desk: Signed, form: Form) -> Response:
    """Another one; it is written to, to confirm it."""
    try:
        require_password(desk, form)
        with desk.changing() as session:
            recovery.name_address(session, form["address"].strip(), actor=desk.actor)
    except ApplianceError as refusal:
        return _page(desk, form, refusal)
    return desk.see_other(HERE, "A mail with a link is on its way there. Follow it within a day.")


@router.post(f"{HERE}/remove")
def forget(desk: Signed, form: Form) -> Response:
    """None any more."""
    try:
        require_password(desk, form)
        with desk.changing() as session:
            recovery.forget(session, actor=desk.actor)
    except ApplianceError as refusal:
        return _page(desk, Typed(), refusal)
    return desk.see_other(HERE, "You have no recovery address any more.")
