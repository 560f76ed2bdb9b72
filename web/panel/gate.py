"""What has to be shown at the gate, and what opens it: passwords, codes, and the session that begins.

A reader would otherwise get wrong: a wrong name and a wrong password are answered alike and take equally long, since the
authenticator is asked in both cases. And codes are guessed against one person, not from one network: whoever has come so far knows
the password, and many networks at once must not give him more guesses.
"""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from appliance.database.session import Session
from appliance.errors import ApplianceError, Invalid, NotSignedIn
from appliance.services import login_steps, persons, second_factors, sessions
from appliance.services.persons import Person
from web import security
from web.errors import TooManyAttempts, status_of
from web.notebook import Guess
from web.panel.forms import faults_of
from web.panel.rendering import Typed
from web.wiring import client_of, program_of, wiring_of

LONGEST_NEXT = 500
CODE = "/login/code"
_APP_DIGITS = 6


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
        _note(request, name, "password")
        raise NotSignedIn("Name or password is wrong.", code="bad_login")
    wiring.throttle.right(name, client)


def require_code(request: Request, person: Person, code: str) -> str:
    """Go on when *code* is one of the person's app, or a backup code, which is used up; which of them (`login_history.How`)?

    Raises:
        NotSignedIn: it is neither, or was used before.
        TooManyAttempts: there were too many wrong ones.
        AuthenticatorAway: nobody can tell.
    """
    wiring, client, key = wiring_of(request), client_of(request), persons.key_of(person)
    wait_seconds = wiring.throttle.wait_seconds_for_code(key, client)
    if wait_seconds:
        raise TooManyAttempts(wait_seconds)
    typed = "".join(code.split())
    step = 0
    is_of_app = typed.isascii() and typed.isdigit() and len(typed) == _APP_DIGITS
    if is_of_app:
        with wiring.reading() as session:
            sealed = second_factors.app_secret(session, person)
        step = wiring.authenticator.check_code(sealed, typed) if sealed else 0
    with wiring.changing() as session:
        if is_of_app:
            right = step > 0 and second_factors.take_step(session, person, step)
        else:
            right = second_factors.take_backup_code(session, person, typed)
    how = "app" if is_of_app else "backup"
    if not right:
        wiring.throttle.wrong_code(key, client)
        _note(request, key, how)
        raise NotSignedIn("That code is wrong, or was used before.", code="bad_code")
    wiring.throttle.right_code(key)
    return how


def _note(request: Request, name: str, how: str) -> None:
    wiring = wiring_of(request)
    wiring.notebook.note(Guess(name, how, client_of(request), program_of(request)))
    wiring.work.set()  # The worker writes it down.


def show(request: Request, form: Typed, refusal: ApplianceError | None) -> Response:
    """The gate itself."""
    status = status_of(refusal) if refusal else 200
    faults = faults_of(refusal) if refusal else Typed()
    return wiring_of(request).renderer.page(
        request, "start/login.html", {"form": form, "errors": faults}, status=status
    )


def let_in(request: Request, session: Session, name: str, how: str, back: str) -> Response:
    """A session for the owner of *name*, who has shown *how* - or first the way to the second step, if he wants two.

    Raises:
        NotSignedIn: there is no such account or mailbox, or it is suspended.
    """
    person = persons.find(session, name)
    if person is not None and second_factors.is_on(session, person):
        token = login_steps.begin(session, "second", person=person, how=how, back=back[:LONGEST_NEXT])
        return _with_cookie(request, RedirectResponse(CODE, 303), token)
    login = begin_session(request, session, name, how)
    return _with_cookie(request, RedirectResponse(way_back(back), 303), login.token)


def begin_session(request: Request, session: Session, name: str, how: str) -> sessions.LoggedIn:
    """The session itself, for whoever has shown everything.

    Raises:
        NotSignedIn: as `let_in`.
    """
    hours = wiring_of(request).settings.limits.session_hours
    return sessions.create(session, name, source=client_of(request), program=program_of(request), how=how, hours=hours)


def enter(request: Request, token: str, back: str) -> Response:
    """The page that was asked for, as the owner of the session with this *token*."""
    return _with_cookie(request, RedirectResponse(way_back(back), 303), token)


def _with_cookie(request: Request, response: Response, token: str) -> Response:
    # A new value: whoever planted a cookie in this browser before must not share what now begins.
    security.set_cookie(request, response, security.SESSION_COOKIE, token)
    return response


def way_back(wanted: str) -> str:
    """The page that was asked for before signing in, when it is one of ours: two slashes lead to another site."""
    ours = wanted.startswith("/") and not wanted.startswith(("//", "/\\")) and wanted.isprintable()
    return wanted if ours and len(wanted) <= LONGEST_NEXT else "/"
