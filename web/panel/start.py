"""The gate: signing in and out, the colours, one's own password.

A reader would otherwise get wrong: a wrong name and a wrong password are answered alike and take equally long, since the
authenticator is asked in both cases; the answer must not tell which names exist.
"""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.errors import ApplianceError, Invalid, NotSignedIn
from appliance.services import accounts, login_links, mailboxes, sessions, support
from web import security
from web.errors import TooManyAttempts, status_of
from web.notebook import Guess
from web.panel.desk import AtPassword, Desk, Signed
from web.panel.forms import Form, faults_of
from web.panel.languages import NAMES
from web.panel.rendering import THEMES, Typed, leave_notice
from web.wiring import client_of, program_of, wiring_of

router = APIRouter(include_in_schema=False)

A_YEAR_SECONDS = 365 * 24 * 3600
LONGEST_NEXT = 500


@router.get("/login")
def login_form(request: Request) -> Response:
    """The gate."""
    return _gate(request, Typed(next=request.query_params.get("next", "")), None)


def _gate(request: Request, form: Typed, refusal: ApplianceError | None) -> Response:
    status = status_of(refusal) if refusal else 200
    faults = faults_of(refusal) if refusal else Typed()
    return wiring_of(request).renderer.page(
        request, "start/login.html", {"form": form, "errors": faults}, status=status
    )


@router.post("/login")
def log_in(request: Request, form: Form) -> Response:
    """Open a session for whoever knows the password."""
    wiring = wiring_of(request)
    try:
        name = form["name"].strip()
        require_right(request, name, form["password"])
        with wiring.changing() as session:
            login = sessions.create(
                session, name, source=client_of(request), program=program_of(request),
                hours=wiring.settings.limits.session_hours,
            )  # fmt: skip
    except ApplianceError as refusal:
        return _gate(request, form, refusal)
    response = RedirectResponse(_way_back(form["next"]), 303)
    # A new value: whoever planted a cookie in this browser before must not share the session that now begins.
    security.set_cookie(request, response, security.SESSION_COOKIE, login.token)
    return response


@router.get("/login/link/{token}")
def link_form(request: Request, token: str) -> Response:
    """One button: a program that follows links to look at them must not use this one up."""
    return wiring_of(request).renderer.page(request, "start/link.html", {})


@router.post("/login/link/{token}")
def log_in_by_link(request: Request, token: str, form: Form) -> Response:
    """Open a session for whoever was given the link."""
    wiring = wiring_of(request)
    try:
        with wiring.changing() as session:
            redeemed, source = login_links.redeem(session, token), client_of(request)
            hours = wiring.settings.limits.session_hours
            if redeemed.support_by is not None:
                login = support.begin(session, redeemed.name, by=redeemed.support_by, source=source)
            else:
                login = sessions.create(
                    session, redeemed.name, source=source, program=program_of(request), how="link", hours=hours
                )
    except ApplianceError as refusal:
        return _gate(request, Typed(), refusal)
    response = RedirectResponse("/", 303)
    security.set_cookie(request, response, security.SESSION_COOKIE, login.token)
    return response


def require_right(request: Request, name: str, password: str) -> None:
    """Go on when the authenticator says that *password* is that of *name*.

    Raises:
        NotSignedIn: it is not, or nobody has the name.
        TooManyAttempts: from this network there were too many wrong ones; it was not even looked at.
        AuthenticatorAway: nobody can tell.
    """
    wiring, client = wiring_of(request), client_of(request)
    wait_seconds = wiring.throttle.wait_seconds(name, client)
    if wait_seconds:
        raise TooManyAttempts(wait_seconds)
    try:
        scope, key = sessions.login_of(name)
        right = bool(name and password) and wiring.authenticator.verify_password(scope, key, password)
    except Invalid:  # Not even an address: nobody's name.
        right = False
    if not right:
        wiring.throttle.wrong(name, client)
        wiring.notebook.note(Guess(name, "password", client, program_of(request)))
        wiring.work.set()  # The worker writes it down.
        raise NotSignedIn("Name or password is wrong.", code="bad_login")
    wiring.throttle.right(name, client)


def _way_back(wanted: str) -> str:
    """The page that was asked for before signing in, when it is one of ours: two slashes lead to another site."""
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if ours and len(wanted) <= LONGEST_NEXT else "/"


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
    response = RedirectResponse(_way_back(form["back"]), 303)
    if form["theme"] in THEMES:
        security.set_cookie(request, response, security.THEME_COOKIE, form["theme"], max_age_seconds=A_YEAR_SECONDS)
    return response


@router.post("/language")
def choose_language(request: Request, form: Form) -> Response:
    """In which language the panel speaks to this reader."""
    response = RedirectResponse(_way_back(form["back"]), 303)
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
    require_right(desk.request, desk.me.name, form["current"])
    if form["password"] == form["current"]:
        raise Invalid("That is the present password. Choose another.", code="same_password", field="password")
    is_owner = "@" in desk.me.name  # of a mailbox; he may administer as well
    sealed = desk.wiring.sealer.seal_password(form["password"], desk.me.name if is_owner else "")
    replace = mailboxes.set_password if is_owner else accounts.set_password
    with desk.changing() as session:
        replace(session, desk.me.name, sealed, actor=desk.actor, keep_session=desk.me.session_id)
