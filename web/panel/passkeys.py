"""Passkeys: making one, signing in by one, taking one away.

A reader would otherwise get wrong: a script is needed here and nowhere else in the panel, since only the browser can ask a device
to sign. What it does is small (static/passkeys.js): it fetches what is to be signed, and puts the answer into a form that is then
posted as any other. Without it the forms are not shown.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from appliance.database.session import Session
from appliance.errors import ApplianceError, Forbidden, Invalid, NotSignedIn
from appliance.services import login_steps, passkeys, persons
from appliance.services.passkeys import Place
from web.errors import TooManyAttempts, status_of
from web.panel import gate
from web.panel.desk import Signed
from web.panel.forms import Form
from web.panel.rendering import Typed, sentence_of, session_token
from web.panel.second_step import HERE, ask_again, require_both, require_password, shown
from web.wiring import client_of, wiring_of

router = APIRouter(include_in_schema=False)


def place_of(request: Request) -> Place:
    """Where keys are bound to.

    Raises:
        Forbidden: by the address of this page no key can be had.
    """
    host = wiring_of(request).settings.host
    asked = f"{request.url.scheme}://{request.url.netloc}"
    place = passkeys.place_of(host.panel_url, host.name, asked)
    if place is None:
        where = host.panel_url or f"https://{host.name}"
        raise Forbidden(f"Passkeys work at {where} only.", code="bad_place")
    return place


# ---- signing in


@router.post("/login/passkey/begin")
def begin_login(request: Request, form: Form) -> Response:
    """What is to be signed."""
    wiring, token, client = wiring_of(request), session_token(request), client_of(request)
    try:
        wait_seconds = wiring.throttle.wait_seconds_for_start(client)
        if wait_seconds:
            raise TooManyAttempts(wait_seconds)
        wiring.throttle.start(client)
        place = place_of(request)
        with wiring.changing() as session:
            try:
                second = login_steps.find(session, token, "second")
            except NotSignedIn:
                second = None  # No password was shown: any key will do.
            return _json(passkeys.begin_login(session, place, token, second))
    except ApplianceError as refusal:
        return _refused(request, refusal)


@router.post("/login/passkey")
def log_in(request: Request, form: Form) -> Response:
    """Open a session for whoever's key signed it."""
    wiring, token = wiring_of(request), session_token(request)
    try:
        place = place_of(request)
        with wiring.changing() as session:
            challenge = login_steps.end(session, token, "passkey").challenge  # Good once, whatever comes of it.
            second = _second(session, token)
        with wiring.changing() as session:
            person = passkeys.owner_of(session, place, challenge, form["credential"])
            if second is not None and (
                second.person is None or persons.key_of(second.person) != persons.key_of(person)
            ):
                raise NotSignedIn("This passkey is not good here.", code="bad_passkey")
            if second is not None:
                login_steps.end(session, token, "second")
            login = gate.begin_session(request, session, persons.name_of(person), "passkey")
    except ApplianceError as refusal:
        if refusal.code == "bad_passkey":
            wiring.throttle.wrong("", client_of(request))
        return ask_again(request, refusal) or gate.show(request, Typed(next=form["next"]), refusal)
    return gate.enter(request, login.token, second.back if second is not None else form["next"])


def _second(session: Session, token: str) -> login_steps.Step | None:
    try:
        return login_steps.find(session, token, "second")
    except NotSignedIn:
        return None


# ---- one's own


@router.post("/account/passkeys/begin")
def begin_adding(desk: Signed, form: Form) -> Response:
    """What a new key is made of, for whoever knows the password."""
    try:
        place = place_of(desk.request)
        require_password(desk, form)
        with desk.changing() as session:
            token = session_token(desk.request)
            return _json(passkeys.begin_adding(session, place, token, actor=desk.actor))
    except ApplianceError as refusal:
        return _refused(desk.request, refusal)


@router.post("/account/passkeys")
def add(desk: Signed, form: Form) -> Response:
    """Keep the key that was made."""
    try:
        if not form["credential"]:
            raise Invalid(
                "Your browser made no passkey. It needs scripts, and a device that can keep one.", field="name"
            )
        with desk.changing() as session:
            made = passkeys.add(
                session, place_of(desk.request), session_token(desk.request), form["credential"], form["name"],
                actor=desk.actor, keep_session=desk.me.session_id,
            )  # fmt: skip
    except ApplianceError as refusal:
        return shown(desk, form, refusal, "passkey")
    if made:
        return desk.page("account/backup_codes.html", codes=made, is_first=True)
    return desk.see_other(HERE, "Your passkey is kept.")


@router.post("/account/passkeys/{number:int}/remove")
def remove(desk: Signed, number: int, form: Form) -> Response:
    """It signs nobody in any more."""
    try:
        require_both(desk, form)
        with desk.changing() as session:
            name = passkeys.remove(session, number, actor=desk.actor, keep_session=desk.me.session_id)
    except ApplianceError as refusal:
        return shown(desk, form, refusal, f"passkey-{number}")
    return desk.see_other(HERE, f"The passkey {name} signs nobody in any more.")


def _json(options: str) -> Response:
    return Response(options, media_type="application/json")


def _refused(request: Request, refusal: ApplianceError) -> Response:
    sentence = wiring_of(request).renderer.say(request, sentence_of(refusal.sentence))
    return JSONResponse({"sentence": sentence}, status_of(refusal))
