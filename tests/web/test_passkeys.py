"""Passkeys: made, signed in by, taken away - and everything that an attacker would change about them."""

import dataclasses
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from appliance.database.session import reading, unit_of_work
from appliance.errors import NotSignedIn
from appliance.models import LoginStep, Passkey
from appliance.services import passkeys
from appliance.services.passkeys import Place, place_of
from tests.fakes.passkey import PRESENT, Device, unpadded
from tests.fixtures.panel import PASSWORD, Browser, Office, make_office
from web.throttle import LoginThrottle

ORIGIN = "https://mx.example.test"
PAGE = "/account/second-step"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with make_office(tmp_path_factory.mktemp("keys")) as office:
        for number in range(1, 9):
            office.account(f"p{number}", 1)
        yield office


@pytest.fixture(autouse=True)
def nobody_guessed_yet(place: Office) -> None:
    place.app.state.wiring = dataclasses.replace(place.app.state.wiring, throttle=LoginThrottle(60))


def browser_of(office: Office) -> Browser:
    """Under TLS, at the panel's own name."""
    browser = office.client()
    browser.client.base_url = ORIGIN
    return browser


def signed_in(office: Office, name: str) -> Browser:
    return browser_of(office).log_in(name)


def options(browser: Browser, path: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
    answer = browser.post(path, fields)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def add(browser: Browser, device: Device, name: str = "laptop") -> Any:
    asked = options(browser, "/account/passkeys/begin", {"password": PASSWORD})
    return browser.post("/account/passkeys", {"credential": device.create(asked), "name": name})


def with_key(office: Office, name: str) -> tuple[Browser, Device, list[str]]:
    browser, device = signed_in(office, name), Device(ORIGIN)
    answer = add(browser, device)
    assert answer.status_code == 200, answer.text
    codes = re.search(r'id="codes">([^<]+)<', answer.text)
    assert codes
    return browser, device, codes[1].split()


def sign(browser: Browser, device: Device, **changed: Any) -> Any:
    browser.get("/login")
    asked = options(browser, "/login/passkey/begin")
    return browser.post("/login/passkey", {"credential": device.get(asked, **changed), "next": PAGE})


def test_it_opens_the_panel_without_a_password_and_the_password_alone_does_not(place: Office) -> None:
    here, device, codes = with_key(place, "p1")
    assert len(codes) == 10
    browser = browser_of(place)
    assert sign(browser, device).headers["location"] == PAGE
    page = browser.get(PAGE).text
    assert "laptop" in page
    assert "never" not in page
    assert "Passkey" in browser.get("/account/sign-in").text
    second = browser_of(place)
    second.get("/login")
    assert second.post("/login", {"name": "p1", "password": PASSWORD}).headers["location"] == "/login/code"
    text = second.get("/login/code").text
    assert "Use a passkey" in text
    asked = options(second, "/login/passkey/begin")
    assert [key["id"] for key in asked["allowCredentials"]] == [unpadded(device.identity)]
    assert second.post("/login/passkey", {"credential": device.get(asked)}).headers["location"] == "/"
    number = re.search(r"/account/passkeys/(\d+)/remove", here.get(PAGE).text)[1]
    away = f"/account/passkeys/{number}/remove"
    assert here.post(away, {"password": PASSWORD, "code": "nonsense"}).status_code == 422
    assert here.post(away, {"password": PASSWORD, "code": codes[0]}).status_code == 303
    assert sign(browser_of(place), device).status_code == 401
    signed_in(place, "p1")  # by the password alone again


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        ({"origin": "https://evil.test"}, {}),
        ({"origin": "http://mx.example.test"}, {}),
        ({"flags": PRESENT}, {}),  # nobody made sure who holds the device
        ({}, {"client": {"type": "webauthn.get"}}),
        ({}, {"client": {"challenge": "AAAA"}}),
        ({}, {"statement": {"fmt": "packed", "attStmt": {"alg": -7, "sig": b"x"}}}),
        ({}, {"statement": {"authData": b"short"}}),
    ],
)
def test_a_key_that_was_made_otherwise_is_not_kept(
    place: Office, made: dict[str, Any], changed: dict[str, Any]
) -> None:
    browser, device = signed_in(place, "p2"), Device(**{"origin": ORIGIN, **made})
    asked = options(browser, "/account/passkeys/begin", {"password": PASSWORD})
    answer = browser.post("/account/passkeys", {"credential": device.create(asked, **changed), "name": "x"})
    assert answer.status_code == 422, answer.text
    assert 'role="alert"' in answer.text
    assert "/remove" not in browser.get(PAGE).text


@pytest.mark.parametrize(
    ("made", "changed"),
    [
        ({"origin": "https://evil.test"}, {}),
        ({"flags": PRESENT}, {}),
        ({"identity": b"another one's"}, {}),
        ({"handle": "AAAA"}, {}),
        ({"steps": -1}, {}),  # 6.1.1: a copy of the key signed before
        ({}, {"client": {"type": "webauthn.create"}}),
        ({}, {"client": {"challenge": "AAAA"}}),
        ({"key": Device("x").key}, {}),
    ],
)
def test_what_was_signed_otherwise_opens_nothing(place: Office, made: dict[str, Any], changed: dict[str, Any]) -> None:
    _, device, _ = with_key(place, "p3")
    assert sign(browser_of(place), device).status_code == 303
    answer = sign(browser_of(place), dataclasses.replace(device, **made), **changed)
    assert answer.status_code == 401
    assert "This passkey is not good here." in answer.text
    with unit_of_work(place.engine) as session:
        for key in session.scalars(select(Passkey)):
            session.delete(key)


def test_what_is_to_be_signed_is_good_once_for_one_browser_and_a_while(
    place: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, device, _ = with_key(place, "p4")
    browser, other = browser_of(place), browser_of(place)
    for each in (browser, other):
        each.get("/login")
    asked = options(browser, "/login/passkey/begin")
    answer = {"credential": device.get(asked)}
    assert other.post("/login/passkey", answer).status_code == 401
    assert browser.post("/login/passkey", answer).status_code == 303
    browser.get("/account/password")
    assert browser.post("/login/passkey", answer).status_code == 401
    other.get("/login")
    asked = options(other, "/login/passkey/begin")
    with unit_of_work(place.engine) as session:
        for step in session.scalars(select(LoginStep).where(LoginStep.purpose == "passkey")):
            step.expires_at = 1
    assert other.post("/login/passkey", {"credential": device.get(asked)}).status_code == 401


def test_after_a_password_only_its_owners_key_is_good(place: Office) -> None:
    _, mine, _ = with_key(place, "p5")
    _, others, _ = with_key(place, "p6")
    browser = browser_of(place)
    browser.get("/login")
    browser.post("/login", {"name": "p5", "password": PASSWORD})
    browser.get("/login/code")
    asked = options(browser, "/login/passkey/begin")
    assert browser.post("/login/passkey", {"credential": others.get(asked)}).status_code == 401
    asked = options(browser, "/login/passkey/begin")
    assert browser.post("/login/passkey", {"credential": mine.get(asked)}).status_code == 303


def test_to_add_one_the_password_is_asked_for_and_no_other_site_can(place: Office) -> None:
    browser, device = signed_in(place, "p7"), Device(ORIGIN)
    refused = browser.post("/account/passkeys/begin", {"password": "wrong"})
    assert (refused.status_code, refused.json()) == (422, {"sentence": "That is not your present password."})
    assert browser.client.post("/account/passkeys/begin", data={"password": PASSWORD}).status_code == 403
    assert browser.post("/account/passkeys", {"credential": "", "name": "x"}).status_code == 422
    asked = options(browser, "/account/passkeys/begin", {"password": PASSWORD})
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert browser.post("/account/passkeys", {"credential": device.create(asked), "name": ""}).status_code == 422
    assert add(browser, device).status_code == 200
    assert add(browser, device).status_code == 409
    elsewhere = place.client().log_in("operator")
    elsewhere.get(PAGE)
    refused = elsewhere.post("/account/passkeys/begin", {"password": PASSWORD})
    assert refused.status_code == 403
    assert ORIGIN in refused.json()["sentence"]


def test_beginning_is_limited_and_kept_rows_too(place: Office) -> None:
    browser = browser_of(place)
    browser.get("/login")
    answers = [browser.post("/login/passkey/begin").status_code for _ in range(40)]
    assert answers.count(429) >= 5
    with reading(place.engine) as session:
        mine = session.scalars(select(LoginStep).where(LoginStep.purpose == "passkey")).all()
    assert len(mine) < 20  # one for a browser, however often it begins


@pytest.mark.parametrize(
    ("panel", "asked", "host"),
    [
        ("", "https://mx.example.test", "mx.example.test"),
        ("https://mail.example.test:8443", "https://mail.example.test:8443", "mail.example.test"),
        ("", "http://localhost:8080", "localhost"),
        ("", "https://mx.example.test:8443", None),
        ("", "http://mx.example.test", None),
        ("", "http://127.0.0.1:8080", None),
        ("", "https://evil.test", None),
    ],
)
def test_where_keys_are_bound_to(panel: str, asked: str, host: str | None) -> None:
    found = place_of(panel, "mx.example.test", asked)
    assert (found.host if found else None) == host


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.sampled_from(["public-key", "AAAA", "eyJ9"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "rawId", "type", "response", "clientDataJSON", "authenticatorData", "signature", "userHandle"]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(_JSON)
def test_nonsense_is_refused_and_nothing_else(place: Office, said: object) -> None:
    with reading(place.engine) as session, pytest.raises(NotSignedIn):
        passkeys.owner_of(session, Place(ORIGIN, "mx"), "AAAA", json.dumps(said))


@pytest.mark.parametrize("said", ["", "[" * 5000, "{", "x" * 20_000, "\ud800", '{"id": 1}'])
def test_what_is_no_answer_at_all_is_refused_too(place: Office, said: str) -> None:
    with reading(place.engine) as session, pytest.raises(NotSignedIn):
        passkeys.owner_of(session, Place(ORIGIN, "mx"), "AAAA", said)
