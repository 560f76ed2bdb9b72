"""Signing in and out, the colours, one's own password.

A reader would otherwise get wrong: who may come in is judged in `gate`; these are its pages.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.errors import ApplianceError, Invalid, NotSignedIn
from appliance.services import accounts, login_links, mailboxes, sessions, support
from web import security
from web.panel import gate
from web.panel.desk import AtPassword, Desk, Signed
from web.panel.forms import Form, faults_of
from web.panel.languages import NAMES
from web.panel.rendering import THEMES, Typed, leave_notice
from web.wiring import client_of, wiring_of

router = APIRouter(include_in_schema=False)

A_YEAR_SECONDS = 365 * 24 * 3600


@router.get("/login")
def login_form(request: Request) -> Response:
    """The gate."""
    return gate.show(request, Typed(next=request.query_params.get("next", "")), None)


@router.post("/login")
def log_in(request: Request, form: Form) -> Response:
    """Open a session for whoever knows the password."""
    name = form["name"].strip()
    try:
        gate.require_right(request, name, form["password"])
        with wiring_of(request).changing() as session:
            return gate.let_in(request, session, name, "password", form["next"])
    except ApplianceError as refusal:
        return gate.show(request, form, refusal)


@router.get("/login/link/{token}")
def link_form(request: Request, token: str) -> Response:
    """One button: a program that follows links to look at them must not use this one up."""
    return wiring_of(request).renderer.page(request, "start/link.html", {})


@router.post("/login/link/{token}")
def log_in_by_link(request: Request, token: str, form: Form) -> Response:
    """Open a session for whoever was given the link."""
    try:
        with wiring_of(request).changing() as session:
            redeemed, source = login_links.redeem(session, token), client_of(request)
            if redeemed.support_by is not None:
                login = support.begin(session, redeemed.name, by=redeemed.support_by, source=source)
                return gate.enter(request, login.token, "/")
            # The link stands for the password; whoever wants two steps takes the second one all the same.
            return gate.let_in(request, session, redeemed.name, "link", "/")
    except ApplianceError as refusal:
        return gate.show(request, Typed(), refusal)


@router.post("/logout")
def log_out(request: Request, form: Form) -> Response:
    """End the session, here and in the database."""
    token = security.read_cookie(request, security.SESSION_COOKIE)
    if token:
        with wiring_of(request).changing() as session:
            sessions.end(session, token)
    response = RedirectResponse("/login", 303)
    security.drop_cookie(request, response, security.SESSION_COOKIE)
    leave_notice(request, response, "You are signed out.")
    return response


@router.post("/support/leave")
def leave_support(request: Request, form: Form) -> Response:
    """Look at it no more: back to one's own desk, or out."""
    with wiring_of(request).changing() as session:
        own = sessions.go_back(session, security.read_cookie(request, security.SESSION_COOKIE) or "")
    response = RedirectResponse("/" if own is not None else "/login", 303)
    if own is not None:
        security.set_cookie(request, response, security.SESSION_COOKIE, own.token)
    else:
        security.drop_cookie(request, response, security.SESSION_COOKIE)
    return response


@router.post("/support/enter")
def enter_support(request: Request, desk: Signed, form: Form) -> Response:
    """Look at what somebody else sees."""
    with desk.changing() as session:
        login = support.enter(session, form["name"].strip(), actor=desk.actor, back_to=desk.me.session_id)
    response = RedirectResponse("/", 303)
    security.set_cookie(request, response, security.SESSION_COOKIE, login.token)
    return response


@router.post("/theme")
def choose_theme(request: Request, form: Form) -> Response:
    """Light, dark, or as the reader's system has it."""
    response = RedirectResponse(gate.way_back(form["back"]), 303)
    if form["theme"] in THEMES:
        security.set_cookie(request, response, security.THEME_COOKIE, form["theme"], max_age_seconds=A_YEAR_SECONDS)
    return response


@router.post("/language")
def choose_language(request: Request, form: Form) -> Response:
    """In which language the panel speaks to this reader."""
    response = RedirectResponse(gate.way_back(form["back"]), 303)
    if form["language"] in NAMES:
        security.set_cookie(
            request, response, security.LANGUAGE_COOKIE, form["language"], max_age_seconds=A_YEAR_SECONDS
        )
    return response


@router.get("/account/password")
def password_form(desk: AtPassword) -> Response:
    """The form for one's own password."""
    return desk.page("account/password.html")


@router.post("/account/password")
def change_password(desk: AtPassword, form: Form) -> Response:
    """Replace one's own password, knowing the present one; all other sessions end."""
    try:
        _change_password(desk, form)
    except NotSignedIn as refusal:
        wrong = Invalid("That is not your present password.", code=refusal.code, field="current")
        return desk.page("account/password.html", refusal=wrong, errors=faults_of(wrong, "current"))
    except ApplianceError as refusal:
        faults = faults_of(refusal, "password", "again")
        return desk.page("account/password.html", refusal=refusal, errors=faults)
    return desk.see_other(desk.me.start, "Your password is changed. Everywhere else you are signed out.")


def _change_password(desk: Desk, form: Typed) -> None:
    if form["password"] != form["again"]:
        raise Invalid("The two are not the same.", code="not_the_same", field="again")
    gate.require_right(desk.request, desk.me.name, form["current"])
    if form["password"] == form["current"]:
        raise Invalid("That is the present password. Choose another.", code="same_password", field="password")
    is_owner = "@" in desk.me.name  # of a mailbox; he may administer as well
    sealed = desk.wiring.sealer.seal_password(form["password"], desk.me.name if is_owner else "")
    replace = mailboxes.set_password if is_owner else accounts.set_password
    with desk.changing() as session:
        replace(session, desk.me.name, sealed, actor=desk.actor, keep_session=desk.me.session_id)
