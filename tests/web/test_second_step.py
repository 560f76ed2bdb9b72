"""Signing in in two steps: an app's codes, backup codes, and what turns them on and off. Without scripts."""

import dataclasses
import html
import re
from collections.abc import Iterator

import pyotp
import pytest
from sqlalchemy import select

from appliance.database.session import reading, unit_of_work
from appliance.models import AuditEntry, BackupCode, LoginStep, OwnSettings
from appliance.services import login_steps, second_factors
from tests.fixtures.panel import PASSWORD, Browser, Office, make_office
from web.throttle import LoginThrottle

ANNA = "anna@two.test"
PAGE = "/account/second-step"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with make_office(tmp_path_factory.mktemp("two")) as office:
        operator = office.api()
        operator("POST", "/domains", {"name": "two.test"})
        assert operator("POST", "/mailboxes", {"address": ANNA, "password": PASSWORD}).status_code == 201
        for number in range(1, 10):
            office.account(f"p{number}", 1)
        yield office


class Clock:
    """Of the authenticator: each code in a step of its own."""

    def __init__(self, office: Office) -> None:
        self.now = 1_800_000_000.0
        office.authenticator.now = lambda: self.now

    def code(self, secret: str) -> str:
        self.now += 60
        return pyotp.TOTP(secret).at(int(self.now))


@pytest.fixture
def clock(place: Office) -> Clock:
    """And nobody has guessed yet."""
    wiring = place.app.state.wiring
    place.app.state.wiring = dataclasses.replace(wiring, throttle=LoginThrottle(60))
    return Clock(place)


def turn_on(browser: Browser, clock: Clock, password: str = PASSWORD) -> tuple[str, list[str]]:
    """The secret and the backup codes."""
    page = browser.get("/account/app").text
    found = re.search(r'name="secret" value="([A-Z2-7]{32})"', page)
    assert found
    answer = browser.post("/account/app", {"secret": found[1], "code": clock.code(found[1]), "password": password})
    assert answer.status_code == 200, answer.text
    codes = re.search(r'<pre class="secret" id="codes">([^<]+)</pre>', answer.text)
    assert codes
    return found[1], codes[1].split()


def password_step(office: Office, name: str, **query: str) -> Browser:
    browser = office.client()
    browser.get("/login")
    answer = browser.post("/login", {"name": name, "password": PASSWORD, **query})
    assert answer.headers["location"] == "/login/code", answer.text
    browser.get("/login/code")
    return browser


@pytest.mark.parametrize("name", ["operator", ANNA])
def test_the_whole_way(place: Office, clock: Clock, name: str) -> None:
    """On, in by a code, in by a backup code once, off with password and code."""
    here, there = place.client().log_in(name), place.client().log_in(name)
    secret, codes = turn_on(here, clock)
    assert len(set(codes)) == 10
    assert there.get(PAGE).status_code == 303  # the other sessions ended
    assert "opens nothing here" in here.get(PAGE).text
    browser = password_step(place, name, next="/account/sign-in")
    assert browser.get(PAGE).status_code == 303  # half the way is no way
    answer = browser.post("/login/code", {"code": clock.code(secret)})
    assert answer.headers["location"] == "/account/sign-in"
    assert "Authenticator app" in browser.get("/account/sign-in").text
    second = password_step(place, name)
    assert second.post("/login/code", {"code": f" {codes[0].upper()} "}).status_code == 303
    third = password_step(place, name)
    assert third.post("/login/code", {"code": codes[0]}).status_code == 401
    assert "9 of 10" in here.get(PAGE).text
    assert here.post("/account/app/remove", {"password": PASSWORD, "code": "000000"}).status_code == 422
    assert here.post("/account/app/remove", {"password": "wrong", "code": clock.code(secret)}).status_code == 422
    assert here.post("/account/app/remove", {"password": PASSWORD, "code": clock.code(secret)}).status_code == 303
    place.client().log_in(name)  # the password alone again
    with reading(place.engine) as session:
        told = set(session.scalars(select(AuditEntry.action).where(AuditEntry.subject == name)))
        assert session.scalars(select(BackupCode)).all() == []
    assert {"second_factor.app_on", "second_factor.app_off"} <= told


def test_a_code_is_taken_once_and_none_of_before_after_it(place: Office, clock: Clock) -> None:
    browser = place.client().log_in("p1")
    secret, _ = turn_on(browser, clock)
    before = pyotp.TOTP(secret).at(int(clock.now))
    code = clock.code(secret)
    earlier = pyotp.TOTP(secret).at(int(clock.now) - 30)
    assert password_step(place, "p1").post("/login/code", {"code": code}).status_code == 303
    for used in (code, earlier, before):
        again = password_step(place, "p1").post("/login/code", {"code": used})
        assert again.status_code == 401
        assert "wrong, or was used before" in again.text


def test_codes_are_guessed_a_few_times_and_from_all_networks_together(place: Office, clock: Clock) -> None:
    """Five, and the password is asked for again; ten, and nobody may guess for a while, wherever he is."""
    secret, _ = turn_on(place.client().log_in("p2"), clock)
    throttle = place.app.state.wiring.throttle
    for _ in range(2):
        browser = password_step(place, "p2")
        for _ in range(login_steps.MAX_WRONG):
            browser.post("/login/code", {"code": "000000"})
        assert browser.get("/login/code").headers["location"] == "/login"
    assert throttle.wait_seconds_for_code("p2", "198.51.100.7") > 60
    assert password_step(place, "p2").post("/login/code", {"code": clock.code(secret)}).status_code == 429


def test_what_is_kept_opens_nothing(place: Office, clock: Clock) -> None:
    """The secret is sealed, of codes there are hashes, of a browser's token too."""
    secret, codes = turn_on(place.client().log_in("p3"), clock)
    browser = password_step(place, "p3")
    with reading(place.engine) as session:
        kept = [
            str(vars(row)) for model in (OwnSettings, BackupCode, LoginStep) for row in session.scalars(select(model))
        ]
    for shown in (
        secret,
        *codes,
        *(code.replace("-", "") for code in codes),
        browser.client.cookies["postern_session"],
    ):
        assert not any(shown in row for row in kept)


def test_half_a_login_is_fixed_to_its_browser_and_ends(
    place: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = turn_on(place.client().log_in("p4"), clock)
    browser = place.client()
    browser.get("/login")
    planted = browser.client.cookies["postern_session"]
    browser = password_step(place, "p4")
    half = browser.client.cookies["postern_session"]
    assert half != planted
    monkeypatch.setattr(login_steps, "now", lambda: 4_000_000_000)
    assert browser.post("/login/code", {"code": clock.code(secret)}).headers["location"] == "/login"
    monkeypatch.undo()
    browser = password_step(place, "p4")
    half = browser.client.cookies["postern_session"]
    assert browser.post("/login/code", {"code": clock.code(secret)}).status_code == 303
    assert browser.client.cookies["postern_session"] != half


def test_a_link_stands_for_the_password_only(place: Office, clock: Clock) -> None:
    secret, _ = turn_on(place.client().log_in("p5"), clock)
    made = place.api()("POST", "/login-links", {"name": "p5"}).json()
    browser = place.client()
    path = "/login/link/" + made["link"].rpartition("/")[2]
    browser.get(path)
    assert browser.post(path).headers["location"] == "/login/code"
    browser.get("/login/code")
    assert browser.post("/login/code", {"code": clock.code(secret)}).headers["location"] == "/"


def test_new_backup_codes_make_the_old_ones_worthless(place: Office, clock: Clock) -> None:
    browser = place.client().log_in("p6")
    secret, codes = turn_on(browser, clock)
    browser.get(PAGE)
    for wrong in ({"password": "wrong", "code": clock.code(secret)}, {"password": PASSWORD}):
        assert browser.post("/account/backup-codes", wrong).status_code == 422
    answer = browser.post("/account/backup-codes", {"password": PASSWORD, "code": clock.code(secret)})
    assert answer.status_code == 200
    assert not any(code in answer.text for code in codes)
    assert password_step(place, "p6").post("/login/code", {"code": codes[0]}).status_code == 401


def test_what_is_wrong_is_said_beside_the_field_and_the_secret_stays(place: Office, clock: Clock) -> None:
    browser = place.client().log_in("p7")
    secret = re.search(r'name="secret" value="([A-Z2-7]{32})"', browser.get("/account/app").text)[1]
    for fields, field in (
        ({"code": "000000", "password": PASSWORD}, "code"),
        ({"code": "1", "password": "x"}, "password"),
    ):
        answer = browser.post("/account/app", {"secret": secret, **fields})
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert f'name="secret" value="{secret}"' in answer.text
    assert browser.post("/account/app", {"secret": "AAAA", "code": "000000", "password": PASSWORD}).status_code == 422
    place.client().log_in("p7")


def test_the_picture_and_the_letters_say_the_same(place: Office) -> None:
    page = html.unescape(place.client().log_in("p8").get("/account/app").text)
    secret = re.search(r'id="secret">([A-Z2-7]{32})<', page)[1]
    assert f"otpauth://totp/mx.example.test:p8?secret={secret}&issuer=mx.example.test" in page
    assert "<svg" in page
    assert " style=" not in page  # the policy would drop it


def test_nobody_keeps_more_than_so_many_steps_open(place: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """An attacker's make room for others', the oldest first."""
    monkeypatch.setattr(login_steps, "MAX_OPEN", 5)
    with unit_of_work(place.engine, dry_run=True) as session:
        for _ in range(8):
            token = login_steps.begin(session, "passkey", challenge="x")
        assert len(session.scalars(select(LoginStep)).all()) <= 5
        assert login_steps.find(session, token, "passkey").challenge == "x"


def test_who_has_no_second_factor_has_nothing_to_turn_off(place: Office) -> None:
    browser = place.client().log_in("p9")
    browser.get(PAGE)
    assert browser.post("/account/backup-codes", {"password": PASSWORD}).status_code == 409
    assert browser.post("/account/app/remove", {"password": PASSWORD, "code": "123456"}).status_code == 422
    assert second_factors.BACKUP_CODES == 10


def test_programs_are_told_of_app_passwords_alone_once_there_is_a_second_step(place: Office, clock: Clock) -> None:
    """The page for setting one up says which passwords are good."""
    assert place.api()("POST", "/mailboxes", {"address": "ben@two.test", "password": PASSWORD}).status_code == 201
    browser = place.client().log_in("ben@two.test")
    said = "or the one you sign in with here"
    assert said in browser.get("/mailboxes/ben@two.test/setup").text
    turn_on(browser, clock)
    assert said not in browser.get("/mailboxes/ben@two.test/setup").text
