"""A link from a billing panel logs its customer in, once."""

import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from appliance.database.session import reading, unit_of_work
from appliance.models import AuditEntry, GivenAnswer, LoginLink
from tests.fixtures.panel import Api, Browser, Office, make_office


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Api]]:
    """A customer with a mailbox and an administrator; and a key of the provider's."""
    with make_office(tmp_path_factory.mktemp("shop")) as office:
        operator, tenant = office.api(), office.tenant("Shop Ltd")
        operator("POST", "/domains", {"name": "shop.test", "tenant_id": tenant})
        operator("POST", "/mailboxes", {"address": "anna@shop.test"})
        office.account("shop-admin", tenant)
        yield office, operator


def link_of(api: Api, name: str, **more: object) -> str:
    response = api("POST", "/login-links", {"name": name, **more})
    assert response.status_code == 201, response.text
    base, link = "http://panel.test", response.json()["link"]
    assert link.startswith(f"{base}/login/link/")
    return link.removeprefix(base)


def follow(office: Office, link: str) -> tuple[Browser, int]:
    browser = office.client()
    assert browser.get(link).status_code == 200
    return browser, browser.post(link).status_code


@pytest.mark.parametrize("name", ["Anna@shop.test", "shop-admin"])
def test_it_lets_its_person_in_once(shop: tuple[Office, Api], name: str) -> None:
    office, api = shop
    link = link_of(api, name)
    for _ in range(3):  # Looking at it costs nothing: programs look at links before people open them.
        assert office.client().get(link).status_code == 200
    browser, status = follow(office, link)
    assert status == 303
    assert name.lower() in browser.get("/account/password").text.lower()
    assert follow(office, link)[1] == 401


def test_it_ends_with_its_time(shop: tuple[Office, Api]) -> None:
    office, api = shop
    link = link_of(api, "anna@shop.test", seconds=10)
    with unit_of_work(office.engine) as session:
        session.scalars(select(LoginLink)).one().expires_at = int(time.time())
    assert follow(office, link)[1] == 401


def test_a_form_of_another_site_uses_none_up(shop: tuple[Office, Api]) -> None:
    """Else a stranger could have somebody work in an account of the stranger's."""
    office, api = shop
    link = link_of(api, "anna@shop.test")
    browser = office.client()
    assert browser.post(link).status_code == 403
    assert follow(office, link)[1] == 303


def test_a_suspended_person_is_not_let_in(shop: tuple[Office, Api]) -> None:
    office, api = shop
    link = link_of(api, "anna@shop.test")
    api("POST", "/mailboxes/anna@shop.test/suspend")
    assert follow(office, link)[1] == 401
    api("POST", "/mailboxes/anna@shop.test/resume")
    assert follow(office, link)[1] == 303


def test_nothing_that_is_kept_opens_the_door(shop: tuple[Office, Api]) -> None:
    office, api = shop
    headers = {"Idempotency-Key": "1"}
    made = api("POST", "/login-links", {"name": "anna@shop.test"}, headers=headers).json()
    token = made["link"].rpartition("/")[2]
    again = api("POST", "/login-links", {"name": "anna@shop.test"}, headers=headers)
    assert again.json() == {"expires_at": made["expires_at"]}
    with reading(office.engine) as session:
        kept = [
            *session.scalars(select(LoginLink)),
            *session.scalars(select(GivenAnswer)),
            *session.scalars(select(AuditEntry)),
        ]
        assert not [row for row in kept if token in str(vars(row))]
    assert any(row.action == "link.created" for row in kept if isinstance(row, AuditEntry))


def test_whose_person_it_is_not_makes_no_link(shop: tuple[Office, Api]) -> None:
    office, api = shop
    stranger = office.api(office.tenant("Mine Ltd"))
    for name in ("anna@shop.test", "shop-admin", "operator", "nobody@shop.test"):
        assert stranger("POST", "/login-links", {"name": name}).status_code == 404, name
    own = office.api(api("GET", "/domains/shop.test").json()["tenant_id"])
    assert own("POST", "/login-links", {"name": "anna@shop.test"}).status_code == 201
    assert own("POST", "/login-links", {"name": "operator"}).status_code == 404


@pytest.mark.parametrize(
    "body", [{}, {"name": "a b@c"}, {"name": "anna@shop.test", "seconds": 9}, {"name": "x", "seconds": 1e9}]
)
def test_a_bad_wish_is_refused(shop: tuple[Office, Api], body: dict[str, object]) -> None:
    assert shop[1]("POST", "/login-links", body).status_code == 422
