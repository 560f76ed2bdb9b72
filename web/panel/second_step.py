"""The second step of signing in, and everybody's own page about it: authenticator app, backup codes.

A reader would otherwise get wrong: the app's secret travels in the form until its first code was right, and is kept nowhere before.
Whoever put another one there would deceive nobody but himself: the page is his own, and no other site can fill its form in.
"""

import time
from collections import defaultdict
from dataclasses import dataclass

import segno
from fastapi import APIRouter
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.errors import ApplianceError, Invalid, NotSignedIn
from appliance.services import login_steps, passkeys, persons, second_factors, sessions
from web import security
from web.errors import status_of
from web.panel import gate
from web.panel.desk import Desk, Signed
from web.panel.forms import Form, faults_of
from web.panel.rendering import Typed
from web.wiring import wiring_of

router = APIRouter(include_in_schema=False)

HERE = "/account/second-step"
MODULE_PIXELS = 4
FIELDS = ("password", "code", "name")
FRESH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class NewApp:
    """What somebody's app is told."""

    secret: str
    address: str
    picture: Markup


# ---- signing in


@router.get(gate.CODE)
def ask(request: Request) -> Response:
    """The second thing to show."""
    return _ask(request, None)


def _ask(request: Request, refusal: ApplianceError | None) -> Response:
    return ask_again(request, refusal) or RedirectResponse("/login", 303)


def ask_again(request: Request, refusal: ApplianceError | None) -> Response | None:
    """The page for the second thing; None: nobody is on the way in here."""
    wiring, token = wiring_of(request), _token(request)
    try:
        with wiring.reading() as session:
            step = login_steps.find(session, token, "second")
            has = second_factors.standing(session, step.person) if step.person is not None else None
    except NotSignedIn:
        return None
    context = {"errors": faults_of(refusal, "code", otherwise="code") if refusal else Typed(), "has": has}
    return wiring.renderer.page(request, "start/code.html", context, status=status_of(refusal) if refusal else 200)


@router.post(gate.CODE)
def answer(request: Request, form: Form) -> Response:
    """Open the session, if it is right."""
    wiring, token = wiring_of(request), _token(request)
    try:
        with wiring.reading() as session:
            person = login_steps.find(session, token, "second").person
        if person is None:
            raise NotSignedIn("Name or password is wrong.", code="bad_login")
        how = gate.require_code(request, person, form["code"])
        with wiring.changing() as session:
            step = login_steps.end(session, token, "second")
            login = gate.begin_session(request, session, persons.name_of(person), how)
    except ApplianceError as refusal:
        if refusal.code == "bad_code":
            with wiring.changing() as session:
                login_steps.missed(session, token, "second")
        return _ask(request, refusal)
    return gate.enter(request, login.token, step.back)


def _token(request: Request) -> str:
    return security.read_cookie(request, security.SESSION_COOKIE) or ""


# ---- one's own page


@router.get(HERE)
def page(desk: Signed) -> Response:
    """What one has."""
    return shown(desk, Typed(), None)


def shown(desk: Desk, form: Typed, refusal: ApplianceError | None, where: str = "") -> Response:
    """The page; *where*: which of its forms was refused."""
    faults = faults_of(refusal, *FIELDS) if refusal else Typed()
    with desk.reading() as session:
        person = persons.own(session, desk.actor)
        return desk.page(
            "account/second_step.html", refusal=refusal, form=form, where=where, errors=faults,
            faults=defaultdict(Typed, {where: faults}),
            has=second_factors.standing(session, person), codes=second_factors.BACKUP_CODES,
            passkeys=passkeys.of(session, person),
        )  # fmt: skip


@router.get("/account/app")
def app_form(desk: Signed) -> Response:
    """A new secret, as a picture and in letters."""
    return _app_form(desk, second_factors.new_secret(), None)


def _app_form(desk: Desk, secret: str, refusal: ApplianceError | None) -> Response:
    address = second_factors.address_of(desk.me.name, desk.wiring.settings.host.name, secret)
    drawn = segno.make(address, error="m", micro=False).svg_inline(scale=MODULE_PIXELS, light="#fff", omitsize=True)
    app = NewApp(secret, address, Markup(drawn))  # noqa: S704 - its own digits
    faults = faults_of(refusal, "password", "code") if refusal else Typed()
    return desk.page("account/app.html", refusal=refusal, errors=faults, app=app)


@router.post("/account/app")
def turn_app_on(desk: Signed, form: Form) -> Response:
    """Take the app whose first code is right; backup codes are shown this once."""
    try:
        octets = second_factors.octets_of(form["secret"])
    except Invalid as refusal:
        return _app_form(desk, second_factors.new_secret(), refusal)
    try:
        require_password(desk, form)
        sealed = desk.wiring.seals.second_factor(octets)
        step = desk.wiring.authenticator.check_code(sealed, "".join(form["code"].split()))
        if not step:
            raise Invalid("That code is wrong. Is the clock of your device right?", code="bad_code", field="code")
        with desk.changing() as session:
            made = second_factors.turn_app_on(session, sealed, step, actor=desk.actor, keep_session=desk.me.session_id)
    except ApplianceError as refusal:
        return _app_form(desk, form["secret"], refusal)
    if made:
        return desk.page("account/backup_codes.html", codes=made, is_first=True)
    return desk.see_other(HERE, "Codes of your app are asked for from now on.")


@router.post("/account/app/remove")
def turn_app_off(desk: Signed, form: Form) -> Response:
    """Ask for no codes any more."""
    try:
        require_both(desk, form)
        with desk.changing() as session:
            second_factors.turn_app_off(session, actor=desk.actor, keep_session=desk.me.session_id)
    except ApplianceError as refusal:
        return shown(desk, form, refusal, "app")
    return desk.see_other(HERE, "No code of an app is asked for any more.")


@router.post("/account/backup-codes")
def renew_backup_codes(desk: Signed, form: Form) -> Response:
    """Ten other ones, shown this once."""
    try:
        _require_for_codes(desk, form)
        with desk.changing() as session:
            made = second_factors.new_backup_codes(session, actor=desk.actor)
    except ApplianceError as refusal:
        return shown(desk, form, refusal, "codes")
    return desk.page("account/backup_codes.html", codes=made, is_first=False)


def require_password(desk: Desk, form: Typed) -> None:
    """Whoever found an open browser must not change how its owner signs in.

    Raises:
        Invalid: it is not his password.
        TooManyAttempts, AuthenticatorAway: as `gate.require_right`.
    """
    try:
        gate.require_right(desk.request, desk.me.name, form["password"])
    except NotSignedIn as refusal:
        raise Invalid("That is not your present password.", code=refusal.code, field="password") from refusal


def _require_for_codes(desk: Desk, form: Typed) -> None:
    """As `require_both`; whoever has neither app nor code left has just signed in by his passkey."""
    with desk.reading() as session:
        has = second_factors.standing(session, persons.own(session, desk.actor))
        since = next(
            (row.created_at for row in sessions.of_own(session, actor=desk.actor) if row.id == desk.me.session_id), 0
        )
    if has.app_since is not None or has.backup_codes:
        require_both(desk, form)
        return
    require_password(desk, form)
    if time.time() - since > FRESH_SECONDS:
        raise Invalid("Sign out, sign in by your passkey, and come back here.", code="not_fresh", field="password")


def require_both(desk: Desk, form: Typed) -> None:
    """The password, and a code of the app or a backup code.

    Raises:
        Invalid: one of them is wrong.
        TooManyAttempts, AuthenticatorAway: as `gate.require_code`.
    """
    require_password(desk, form)
    with desk.reading() as session:
        person = persons.own(session, desk.actor)
    try:
        gate.require_code(desk.request, person, form["code"])
    except NotSignedIn as refusal:
        raise Invalid(refusal.sentence, code=refusal.code, field="code") from refusal
