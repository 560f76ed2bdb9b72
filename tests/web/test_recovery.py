"""A forgotten password: by a link to an address that was confirmed before. And who learns what by asking."""

import contextlib
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from appliance.compile.recoveries import MAX_A_DAY_TO_ONE, Recoveries
from appliance.compile.source import open_source
from appliance.database.session import unit_of_work
from appliance.models import AuditEntry, RecoveryMail
from appliance.services import mailboxes, recovery, second_factors, sessions
from mta.message.recoveries import Recovery, compose_recovery
from mta.wire import messages as m
from mta.wire.tickets import consent_authority_holds
from tests.fakes.desk import Desk, Wire
from tests.fixtures.panel import PASSWORD, SYSTEM, Browser, Office, make_office

KEY, PANEL, ANNA = b"c" * 32, "http://panel.test", "anna@lost.test"
PAGE, OTHER = "/account/recovery", "another calm long password"


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with make_office(tmp_path_factory.mktemp("lost"), alone=False) as office:
        office.app.state.wiring.notebook._waiting.clear()
        operator = office.api()
        operator("POST", "/domains", {"name": "lost.test"})
        assert operator("POST", "/mailboxes", {"address": ANNA, "password": PASSWORD}).status_code == 201
        yield office


def written(office: Office) -> list[m.AskConsent]:
    """What the compiler has the bouncer write now; it does."""
    office.app.state.wiring.write_notes()
    source = open_source(office.engine.url.render_as_string(hide_password=False))
    with contextlib.closing(source):
        desk = Desk(source, "bouncer")
        mails = Recoveries(desk, KEY, PANEL)
        mails.look()
        answered = 0
        while answered < len(desk.told):
            mails.answered(Wire(), (m.Noticed(desk.told[answered].tag, True), ()))
            answered += 1
        found: list[m.AskConsent] = desk.told
        return found


def path_of(message: m.AskConsent) -> str:
    return message.link.decode().removeprefix(PANEL)


def confirmed(office: Office, name: str = ANNA, address: str = "Ann@away.example") -> Browser:
    """Somebody who has named an address and followed the link."""
    browser = office.client().log_in(name)
    browser.get(PAGE)
    assert browser.post(PAGE, {"address": address, "password": PASSWORD}).status_code == 303
    (mail,) = written(office)
    assert (mail.what, mail.whose.decode()) == (b"confirm", name)
    assert consent_authority_holds(KEY, mail.authority, mail.target, mail.until, mail.until - 5)
    stranger = office.client()
    stranger.get(path_of(mail))
    assert stranger.post(path_of(mail)).headers["location"] == "/login"
    assert stranger.get(path_of(mail)).status_code == 404  # good once
    assert "Confirmed" in browser.get(PAGE).text
    return browser


def ask(office: Office, name: str) -> str:
    office.app.state.wiring.throttle.__init__(60)  # type: ignore[misc]
    browser = office.client()
    browser.get("/login/forgotten")
    answer = browser.post("/login/forgotten", {"name": name})
    assert answer.status_code == 200
    return str(answer.text.replace(browser.token, ""))


@pytest.mark.parametrize("name", [ANNA, "operator"])
def test_the_whole_way(place: Office, name: str) -> None:
    """Named, confirmed, forgotten, chosen anew; the sessions end, and both links are good once."""
    owner = confirmed(place, name)
    ask(place, name)
    (mail,) = written(place)
    assert (mail.what, mail.target.lower()) == (b"reset", b"ann@away.example")
    browser = place.client()
    assert name in browser.get(path_of(mail)).text
    assert browser.post(path_of(mail), {"password": OTHER, "again": "x"}).status_code == 422
    assert browser.post(path_of(mail), {"password": "short", "again": "short"}).status_code == 422
    assert browser.post(path_of(mail), {"password": OTHER, "again": OTHER}).headers["location"] == "/login"
    assert browser.get(path_of(mail)).status_code == 404
    assert owner.get(PAGE).status_code == 303
    place.client().log_in(name, OTHER)
    with unit_of_work(place.engine) as session:
        told = session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("recovery."))).all()
    assert {"recovery.named", "recovery.confirmed", "recovery.asked", "recovery.used"} == set(told)


def test_known_and_unknown_are_answered_alike(place: Office) -> None:
    """In the same words, and before anything is done."""
    confirmed(place)
    answers = {ask(place, name) for name in (ANNA, "nobody@lost.test", "nobody", "no address@@", "operator")}
    assert len(answers) == 1
    assert [mail.whose for mail in written(place)] == [ANNA.encode()]


def test_who_asks_often_is_slowed_and_its_owner_written_to_seldom(place: Office) -> None:
    confirmed(place)
    for _ in range(3):
        ask(place, ANNA)
    assert len(written(place)) == 1
    browser = place.client()
    browser.get("/login/forgotten")
    place.app.state.wiring.throttle.__init__(60)
    answers = [browser.post("/login/forgotten", {"name": ANNA}).status_code for _ in range(8)]
    assert 429 in answers


def test_no_address_that_is_not_confirmed_and_no_one_suspended_gets_a_link(place: Office) -> None:
    browser = place.client().log_in(ANNA)
    browser.get(PAGE)
    assert browser.post(PAGE, {"address": ANNA, "password": PASSWORD}).status_code == 422
    assert browser.post(PAGE, {"address": "x@away.example", "password": "wrong"}).status_code == 422
    assert browser.post(PAGE, {"address": "x@away.example", "password": PASSWORD}).status_code == 303
    ask(place, ANNA)
    assert [mail.what for mail in written(place)] == [b"confirm"]
    confirmed(place)
    ask(place, ANNA)
    (mail,) = written(place)
    with unit_of_work(place.engine) as session:
        mailboxes.suspend(session, ANNA, actor=SYSTEM)
    assert place.client().get(path_of(mail)).status_code == 404


def test_the_link_is_good_for_an_hour_for_one_thing_and_the_address_that_is_named(
    place: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = confirmed(place)
    ask(place, ANNA)
    (mail,) = written(place)
    path = path_of(mail)
    assert place.client().get(path.replace("/reset/", "/confirm/")).status_code == 404
    assert place.client().get(path[:-1] + ("0" if path[-1] != "0" else "1")).status_code == 404
    assert place.client().get(path).status_code == 200
    with monkeypatch.context() as patch:
        later = recovery.now() + 3600
        patch.setattr(recovery, "now", lambda: later)
        assert place.client().get(path).status_code == 404
    browser.get(PAGE)
    assert browser.post(f"{PAGE}/remove", {"password": PASSWORD}).status_code == 303
    assert place.client().get(path).status_code == 404


def test_the_second_factor_stays(place: Office) -> None:
    browser = confirmed(place)
    with unit_of_work(place.engine) as session:
        anna = sessions.find(session, browser.client.cookies["postern_session"])
        second_factors.turn_app_on(session, "sealed", 1, actor=anna.actor)
    ask(place, ANNA)
    (mail,) = written(place)
    stranger = place.client()
    stranger.get(path_of(mail))
    stranger.post(path_of(mail), {"password": OTHER, "again": OTHER})
    stranger.get("/login")
    assert stranger.post("/login", {"name": ANNA, "password": OTHER}).headers["location"] == "/login/code"


def test_nobody_is_written_to_without_end(place: Office) -> None:
    """By one who names address after address, or by many who name the same."""
    browser = place.client().log_in(ANNA)
    browser.get(PAGE)
    answers = [
        browser.post(PAGE, {"address": f"a{number}@away.example", "password": PASSWORD}).status_code
        for number in range(recovery.MAX_NAMED + 1)
    ]
    assert answers[-1] == 409
    with unit_of_work(place.engine) as session:
        for row in session.scalars(select(RecoveryMail)):
            session.delete(row)
        session.add_all(RecoveryMail(kind="confirm", target="one@away.example", account_id=1) for _ in range(9))
    assert len(written(place)) == MAX_A_DAY_TO_ONE
    assert written(place) == []


@pytest.mark.parametrize("what", [b"confirm", b"reset"])
@pytest.mark.parametrize(("language", "word"), [(b"de-AT", b"Mailsystem"), (b"fr", b"mail system")])
def test_what_is_written_is_plain_and_seven_bit(what: bytes, language: bytes, word: bytes) -> None:
    link = b"https://mail.example.net/recovery/reset/7-" + b"a" * 64
    made = compose_recovery(Recovery(b"mx.test", b"a@b.test", b"anna@lost.test", link, 1_800_000_000, language, what))
    assert made.isascii()
    assert b"Auto-Submitted: auto-generated" in made
    assert word in made
    assert link in made.replace(b"=\r\n", b"")
