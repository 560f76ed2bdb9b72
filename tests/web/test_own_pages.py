"""Everybody's own pages: where he is signed in, and when it was tried."""

import datetime as dt
import re
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from appliance.database.session import unit_of_work
from appliance.models import Account, AuditEntry
from appliance.services import appointments, second_factors, sessions, zones
from tests.fixtures.panel import PASSWORD, SYSTEM, Browser, Office, make_office
from web.panel import rendering

ANNA, BOSS = "anna@own.test", "boss@own.test"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"
PAGE = "/account/sign-in"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with make_office(tmp_path_factory.mktemp("own")) as office:
        operator = office.api()
        operator("POST", "/domains", {"name": "own.test"})
        for name in (ANNA, BOSS):
            assert operator("POST", "/mailboxes", {"address": name, "password": PASSWORD}).status_code == 201
        office.account("reseller", office.tenant("Resellers", "reseller"))
        with unit_of_work(office.engine) as session:
            appointments.appoint(session, BOSS, actor=SYSTEM, domain="own.test")
        yield office


def numbers(browser: Browser) -> list[str]:
    """Of the sessions that can be ended."""
    return re.findall(r"/account/sessions/(\d+)/end", browser.get(PAGE).text)


@pytest.mark.parametrize("name", ["operator", "reseller", ANNA, BOSS])
def test_everybody_sees_where_he_is_signed_in_and_ends_one(place: Office, name: str) -> None:
    here, there = place.client().log_in(name), place.client(headers={"User-Agent": FIREFOX}).log_in(name)
    text = here.get(PAGE).text
    assert "This one" in text
    assert "Firefox, Linux" in text
    (number,) = numbers(here)
    assert here.post(f"/account/sessions/{number}/end").headers["location"] == PAGE
    assert there.get(PAGE).status_code == 303
    assert numbers(here) == []
    assert here.post("/account/sessions/end").headers["location"] == "/login"


def test_signing_out_everywhere_is_meant_so(place: Office) -> None:
    browsers = [place.client().log_in(ANNA) for _ in range(3)]
    answer = browsers[0].post("/account/sessions/end")
    assert answer.headers["location"] == "/login"
    assert [browser.get(PAGE).status_code for browser in browsers] == [303] * 3


def test_another_ones_session_is_not_there(place: Office) -> None:
    anna, operator = place.client().log_in(ANNA), place.client().log_in()
    number = max(int(n) for n in numbers(place.client().log_in()))
    assert anna.post(f"/account/sessions/{number}/end").status_code == 404
    assert operator.get(PAGE).status_code == 200


def test_a_wrong_guess_stands_in_its_owners_history_and_is_escaped(place: Office) -> None:
    stranger = place.client(headers={"User-Agent": "<script>alert(1)</script>"})
    for name in (ANNA, "nobody@own.test", "no body@@", "nobody"):
        stranger.get("/login")
        assert stranger.post("/login", {"name": name, "password": "guess"}).status_code == 401
    text = place.client().log_in(ANNA).get(PAGE).text
    assert "Wrong</span>" in text
    assert "alert(1)" not in text
    assert not place.app.state.wiring.notebook


def test_the_notebook_takes_only_so_much(place: Office) -> None:
    notebook = place.app.state.wiring.notebook
    from web.notebook import MAX_WAITING, Guess

    for _ in range(MAX_WAITING + 5):
        notebook.note(Guess(ANNA, "password", "192.0.2.1", ""))
    assert len(notebook._waiting) == MAX_WAITING
    place.app.state.wiring.write_notes()
    assert not notebook


def test_a_new_password_ends_the_other_sessions_also_of_an_owner_who_administers(place: Office) -> None:
    """And it is his mailbox's password that is changed: he has no account."""
    here, there = place.client().log_in(BOSS), place.client().log_in(BOSS)
    here.get("/account/password")
    other = "another calm long password"
    answer = here.post("/account/password", {"current": PASSWORD, "password": other, "again": other})
    assert answer.status_code == 303, answer.text
    assert there.get(PAGE).status_code == 303
    assert here.get(PAGE).status_code == 200
    place.client().log_in(BOSS, other)


def test_a_session_gets_a_new_id_when_it_begins(place: Office) -> None:
    """Whoever planted a cookie before does not share what begins now."""
    browser = place.client()
    browser.get("/login")
    planted = browser.client.cookies["postern_session"]
    browser.log_in(ANNA)
    assert browser.client.cookies["postern_session"] != planted
    stranger = place.client()
    stranger.client.cookies.set("postern_session", planted)
    assert stranger.get(PAGE).status_code == 303


def test_times_are_shown_in_the_zone_that_one_chose(place: Office) -> None:
    """Summer and winter, and for nobody else."""
    browser = place.client().log_in()
    page = browser.get("/account/time").text
    assert "Europe/Berlin" in page
    assert re.search(r"\d\d:\d\d:\d\d UTC</time>", page)
    assert browser.post("/account/time", {"time_zone": "Mars/Olympus"}).status_code == 422
    assert browser.post("/account/time", {"time_zone": "Asia/Kathmandu"}).status_code == 303
    assert "+0545" in browser.get("/account/time").text
    assert "+0545" in browser.get(PAGE).text
    assert "+0545" not in place.client().log_in(ANNA).get(PAGE).text
    token = rendering._ZONE.set(zones.zone("Europe/Berlin"))
    try:
        assert rendering.moment(1_783_000_000) == "2026-07-02 15:46:40 CEST"
        assert rendering.day(1_767_222_000) == "1 January 2026"
    finally:
        rendering._ZONE.reset(token)
    assert zones.zone("../../etc/passwd") is dt.UTC


def test_somebody_above_helps_who_lost_his_second_factor_and_nobody_else_does(place: Office) -> None:
    """It is written down, his sessions end, and equals do not help each other."""
    with unit_of_work(place.engine) as session:
        tenant = session.scalars(select(Account.tenant_id).where(Account.name == "reseller")).one()
    place.account("colleague", tenant)
    there = place.client().log_in("colleague")
    with unit_of_work(place.engine) as session:
        colleague = sessions.find(session, there.client.cookies["postern_session"])
        second_factors.turn_app_on(session, "sealed", 1, actor=colleague.actor, keep_session=colleague.id)
    equal, above = place.client().log_in("reseller"), place.client().log_in()
    for browser in (equal, above):
        browser.get("/people")
    assert equal.post("/people/second-factor", {"name": "colleague"}).status_code == 403
    assert above.post("/people/second-factor", {"name": "nobody"}).status_code == 404
    assert there.get(PAGE).status_code == 200
    assert above.post("/people/second-factor", {"name": "colleague"}).status_code == 303
    assert there.get(PAGE).status_code == 303
    assert above.post("/people/second-factor", {"name": "colleague"}).status_code == 409
    place.client().log_in("colleague")
    with unit_of_work(place.engine) as session:
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "second_factor.reset")).one()
    assert (told.actor, told.subject, told.after) == ("operator", "colleague", {"app": True, "passkeys": 0})
