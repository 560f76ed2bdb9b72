"""What a stranger would try at the door: forged forms, sessions planted beforehand, guesses, and links that lead elsewhere.

The forms are those of the application's own routes, the links those of its own pages, so that a new one cannot be forgotten.

A reader would otherwise get wrong: who may do what once he is inside is not asked here but in test_authorisation_matrix.py.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urljoin, urlsplit

import pyotp
import pytest
from fastapi.routing import iter_route_contexts
from sqlalchemy import func, select

from appliance.database.session import reading
from appliance.models import AuditEntry, Change
from appliance.services import login_steps
from tests.fixtures.panel import PASSWORD, Browser, Office, make_office
from tests.web.test_second_step import Clock, password_step, turn_on
from web.throttle import LoginThrottle

ANNA = "anna@two.test"
HERE = "http://panel.test"
SESSION = "postern_session"
PLANTED = "planted" * 6
# What mail programs post before anybody has signed in; they are answered from what everybody may know.
OF_PROGRAMS = ("/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml")
# Ways to say "another site", as browsers understand them: they drop tabs and line ends, and take a backslash for a slash.
ELSEWHERE = (
    "//evil.example/", "https://evil.example/", "/\\evil.example", "\\\\evil.example", "/\t/evil.example", "/\n/evil.example",
    "javascript:alert(1)", " //evil.example", "http:evil.example", "/%09/evil.example", "///evil.example", "@evil.example",
)  # fmt: skip
NAMES = ("next", "back", "return", "to", "url", "where", "redirect", "path", "search", "cursor", "domain", "name")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with make_office(tmp_path_factory.mktemp("door")) as office:
        operator = office.api()
        operator("POST", "/domains", {"name": "two.test"})
        assert operator("POST", "/mailboxes", {"address": ANNA, "password": PASSWORD}).status_code == 201
        for name in ("app", "backup", "planted", "open", "twice"):
            office.account(name, 1)
        yield office


@pytest.fixture
def clock(place: Office) -> Clock:
    """And nobody has guessed yet."""
    place.app.state.wiring = dataclasses.replace(place.app.state.wiring, throttle=LoginThrottle(60))
    return Clock(place)


def pages(office: Office, verb: str) -> list[str]:
    """Every address of the panel that answers *verb*, with something in each of its places."""
    paths = {
        context.path or "" for context in iter_route_contexts(office.app.routes) if verb in (context.methods or ())
    }
    return sorted(re.sub(r"\{[^}]*\}", "1", path) for path in paths if not path.startswith(("/api/", "/static/")))


def written(office: Office) -> tuple[int | None, int | None]:
    """How much has been done."""
    with reading(office.engine) as session:
        return session.scalar(select(func.max(AuditEntry.id))), session.scalar(select(func.max(Change.id)))


# ---- forged forms


@pytest.mark.must_show
def test_no_form_is_taken_that_our_own_page_did_not_make(place: Office, clock: Clock) -> None:
    """Of all there are: without a token, with one of another session, and with the right one but from another site."""
    forms = [path for path in pages(place, "POST") if path not in OF_PROGRAMS]
    assert len(forms) > 80, "the routes were not found"
    browser, stranger = place.client().log_in(), place.client()
    stranger.get("/login")
    browser.get("/domains/new")
    before, wrong = written(place), []
    attempts: tuple[tuple[str, dict[str, str]], ...] = (
        ("", {}),
        (stranger.token, {}),
        (browser.token, {"Sec-Fetch-Site": "cross-site"}),
    )
    for path in forms:
        for token, headers in attempts:
            response = browser.client.post(path, data={"csrf": token, "name": "forged.test"}, headers=headers)
            if response.status_code != 403:
                wrong.append((path, headers, response.status_code))
    assert wrong == []
    assert written(place) == before
    assert browser.get("/domains/new").status_code == 200, "it came to an end on the way"


def test_what_programs_post_without_a_session_changes_nothing(place: Office) -> None:
    before = written(place)
    for path in OF_PROGRAMS:
        response = place.client().client.post(path, content=b"<Autodiscover/>")
        assert response.status_code < 500
    assert written(place) == before


@pytest.mark.must_show
def test_looking_at_a_page_does_nothing(place: Office, clock: Clock) -> None:
    """A link or a picture in a mail makes a browser ask for any page: nothing may come of it."""
    browser = place.client().log_in()
    before = written(place)
    looked = pages(place, "GET")
    assert len(looked) > 60, "the routes were not found"
    for path in looked:
        assert browser.client.get(path).status_code not in (500, 502), path
    assert written(place) == before


# ---- planted sessions


def by_password(office: Office, clock: Clock, browser: Browser) -> None:
    assert browser.post("/login", {"name": "planted", "password": PASSWORD}).status_code == 303


def by_code(office: Office, clock: Clock, browser: Browser) -> None:
    secret, _ = turn_on(office.client().log_in("app"), clock)
    assert browser.post("/login", {"name": "app", "password": PASSWORD}).headers["location"] == "/login/code"
    halfway = browser.client.cookies[SESSION]
    browser.get("/login/code")
    assert browser.post("/login/code", {"code": clock.code(secret)}).status_code == 303
    assert len({PLANTED, halfway, browser.client.cookies[SESSION]}) == 3


def by_link(office: Office, clock: Clock, browser: Browser) -> None:
    link = office.api()("POST", "/login-links", {"name": ANNA}).json()["link"].removeprefix(HERE)
    browser.get(link)
    assert browser.post(link).status_code == 303


@pytest.mark.must_show
@pytest.mark.parametrize("way", [by_password, by_code, by_link])
def test_a_cookie_that_was_planted_becomes_nobodys_session(
    place: Office, clock: Clock, way: Callable[[Office, Clock, Browser], None]
) -> None:
    """Whoever put it there knows its value, and what begins has another (session fixation)."""
    browser, planter = place.client(), place.client()
    for each in (browser, planter):
        each.client.cookies.set(SESSION, PLANTED, domain="panel.test", path="/")
    browser.get("/login")
    assert browser.client.cookies[SESSION] == PLANTED, "else nothing was planted"
    way(place, clock, browser)
    assert browser.client.cookies[SESSION] != PLANTED
    assert browser.get("/account/sign-in").status_code == 200
    assert planter.get("/account/sign-in").headers["location"].startswith("/login")


def test_who_looks_as_somebody_else_gets_a_session_of_its_own(place: Office, clock: Clock) -> None:
    browser = place.client().log_in()
    before = browser.client.cookies[SESSION]
    assert browser.post("/support/enter", {"name": ANNA}).status_code == 303
    assert browser.client.cookies[SESSION] != before


# ---- guesses


@pytest.mark.must_show
def test_backup_codes_are_guessed_as_seldom_as_those_of_an_app(place: Office, clock: Clock) -> None:
    """Five, and the password is asked for again; ten, and a right one is not even looked at, nor is one of the app."""
    secret, codes = turn_on(place.client().log_in("backup"), clock)
    for _ in range(2):
        browser = password_step(place, "backup")
        for number in range(login_steps.MAX_WRONG):
            assert browser.post("/login/code", {"code": f"aaaa-bbb{number}"}).status_code in (303, 401)
        assert browser.get("/login/code").headers["location"] == "/login"
    for code in (codes[0], pyotp.TOTP(secret).now()):
        assert password_step(place, "backup").post("/login/code", {"code": code}).status_code == 429


@pytest.mark.must_show
def test_an_open_browser_is_no_place_to_guess_its_owners_password_either(place: Office, clock: Clock) -> None:
    """Wherever his present password is asked for, all guesses count together; after five, not even the right one is looked at."""
    browser = place.client().log_in("open")
    fields = {"address": "x@away.example", "code": "000000", "again": PASSWORD}
    asking = (
        "/account/recovery",
        "/account/recovery/remove",
        "/account/backup-codes",
        "/account/password",
    )
    for number, path in enumerate((*asking, asking[0])):
        response = browser.post(path, {**fields, **dict.fromkeys(("password", "again", "current"), f"guess {number}")})
        assert response.status_code in (401, 422), path
    asked = len(place.authenticator.asked)
    for path in asking:
        assert browser.post(path, {**fields, "password": PASSWORD, "current": PASSWORD}).status_code == 429, path
    assert len(place.authenticator.asked) == asked


def test_a_link_that_was_made_up_opens_nothing(place: Office, clock: Clock) -> None:
    """Each holds 128 bits or more, of which none can be left out."""
    link = place.api()("POST", "/login-links", {"name": ANNA}).json()["link"].rpartition("/")[2]
    assert len(link) >= 22  # of 6 bits each
    digits, other = "0" * 64, "A" if link[-1] != "A" else "B"
    made_up = [f"/login/link/{token}" for token in (link[:-1], link[:-1] + other, "A" * len(link), "%00")]
    for kind in ("reset", "confirm"):
        made_up += [f"/recovery/{kind}/{token}" for token in (f"1-{digits}", f"-{digits}", f"1-{digits[:-1]}")]
    made_up.append(f"/consent/1-{digits}")
    before = written(place)
    for path in made_up:
        browser = place.client()
        browser.get("/login")
        assert browser.post(path, {"password": PASSWORD, "again": PASSWORD}).status_code in (401, 404), path
        assert browser.get("/account/sign-in").status_code == 303
    assert written(place) == before


# ---- links that lead elsewhere


def is_ours(location: str) -> bool:
    """Would a browser that is sent to *location* stay here?"""
    cleaned = re.sub(r"[\t\r\n]", "", location).strip().replace("\\", "/")
    parts = urlsplit(urljoin(f"{HERE}/some/page", cleaned))
    return (parts.scheme, parts.netloc) == ("http", "panel.test")


@pytest.mark.parametrize("location", ["//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)"])
def test_we_would_see_it(location: str) -> None:
    assert not is_ours(location)


def led_to(office: Office, path: str, name: str, wanted: str) -> str:
    """Where a form leads that is told so, of those that can be."""
    browser = office.client()
    browser.get("/login")
    fields = {"name": "open", "password": PASSWORD, "theme": "dark", "language": "en", name: wanted}
    return str(browser.post(path, fields).headers["location"])


@pytest.mark.must_show
@pytest.mark.parametrize(("path", "name"), [("/login", "next"), ("/theme", "back"), ("/language", "back")])
def test_the_way_back_leads_to_our_own_pages_only(place: Office, clock: Clock, path: str, name: str) -> None:
    assert led_to(place, path, name, "/domains?search=x") == "/domains?search=x", "else it leads nowhere anyway"
    assert {wanted for wanted in ELSEWHERE if not is_ours(led_to(place, path, name, wanted))} == set()


@pytest.mark.must_show
def test_the_way_back_behind_a_second_step_is_ours_too(place: Office, clock: Clock) -> None:
    """It waits in the database meanwhile."""
    secret, _ = turn_on(place.client().log_in("twice"), clock)
    for wanted in ("/domains", *ELSEWHERE):
        browser = password_step(place, "twice", next=wanted)
        location = browser.post("/login/code", {"code": clock.code(secret)}).headers["location"]
        assert is_ours(location), wanted
        assert location == "/domains" or wanted != "/domains"


@pytest.mark.must_show
def test_no_page_and_no_form_sends_anybody_away(place: Office, clock: Clock) -> None:
    """Told in all the ways there are, to every page as parameters, to every form as fields."""
    browser = place.client().log_in()
    browser.get("/domains/new")
    wrong = []
    said = dict(zip(NAMES, ELSEWHERE, strict=True))
    for path in pages(place, "GET"):
        response = browser.client.get(f"{path}?{urlencode(said)}")
        wrong += [path] * (not is_ours(response.headers.get("location", "/")))
    for path in pages(place, "POST"):
        if path in OF_PROGRAMS or path.startswith(("/logout", "/account/", "/login", "/support/")):
            continue
        response = browser.post(path, said)
        wrong += [path] * (not is_ours(response.headers.get("location", "/")))
    assert browser.get("/domains/new").status_code == 200, "it came to an end on the way"
    assert wrong == []
