"""A dry run shows which addresses would start or stop being accepted, and changes nothing."""

from collections.abc import Iterator

import pytest
from sqlalchemy import func, select

from appliance.database.session import reading
from appliance.models import Change
from appliance.services import acceptance
from tests.fixtures.panel import Api, Office, make_office


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Api]]:
    """A domain with another name, two mailboxes and an alias. Shared: dry runs leave it as it is."""
    with make_office(tmp_path_factory.mktemp("shop")) as office:
        tenant, api = office.tenant("Shop Ltd"), office.api()
        for body in ({"name": "shop.test", "tenant_id": tenant}, {"name": "laden.test", "alias_of": "shop.test"}):
            assert api("POST", "/domains", body).status_code == 201
        for name in ("anna", "ben"):
            assert api("POST", "/mailboxes", {"address": f"{name}@shop.test"}).status_code == 201
        body = {"address": "sales@shop.test", "targets": ["anna@shop.test"]}
        assert api("POST", "/aliases", body).status_code == 201
        assert api("POST", "/mailboxes/ben@shop.test/suspend").status_code == 200
        yield office, api


NAMES = ("anna", "sales")
EVERYTHING = sorted(f"{name}@{domain}" for name in NAMES for domain in ("shop.test", "laden.test"))


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "starts", "stops"),
    [
        ("POST", "/mailboxes", {"address": "New@shop.test"}, 201, ["new@laden.test", "new@shop.test"], []),
        ("DELETE", "/mailboxes/anna@shop.test", None, 200, [], ["anna@laden.test", "anna@shop.test"]),
        ("DELETE", "/mailboxes/ben@shop.test", None, 200, [], []),
        ("POST", "/mailboxes/ben@shop.test/resume", None, 200, ["ben@laden.test", "ben@shop.test"], []),
        ("PATCH", "/mailboxes/anna@shop.test", {"quota_bytes": 7}, 200, [], []),
        ("DELETE", "/aliases/sales@shop.test", None, 200, [], ["sales@laden.test", "sales@shop.test"]),
        ("POST", "/domains/shop.test/suspend", None, 200, [], EVERYTHING),
        ("POST", "/domains/laden.test/suspend", None, 200, [], ["anna@laden.test", "sales@laden.test"]),
        ("DELETE", "/domains/laden.test", None, 200, [], ["anna@laden.test", "sales@laden.test"]),
        ("PATCH", "/domains/shop.test", {"catch_all": "anna@shop.test"}, 200, ["*@laden.test", "*@shop.test"], []),
        ("POST", "/domains", {"name": "away.test", "next_hop": "mail.away.test"}, 201, ["*@away.test"], []),
        ("POST", "/tenants/{tenant}/suspend", None, 200, [], EVERYTHING),
        ("POST", "/keys", {"name": "Billing"}, 201, [], []),
    ],
)
def test_it_shows_what_would_start_and_stop(
    shop: tuple[Office, Api], method: str, path: str, body: object, status: int, starts: list[str], stops: list[str]
) -> None:
    office, api = shop
    tenant = api("GET", "/domains/shop.test").json()["tenant_id"]
    with reading(office.engine) as session:
        before = session.scalar(select(func.max(Change.id)))
    response = api(method, f"{path.format(tenant=tenant)}?dry_run=true", body)
    assert response.status_code == status, response.text
    assert response.json()["dry_run"] == {"starts": starts, "stops": stops, "complete": True}
    with reading(office.engine) as session:
        assert session.scalar(select(func.max(Change.id))) == before


def test_a_dry_run_shows_the_object_too(shop: tuple[Office, Api]) -> None:
    _, api = shop
    told = api("POST", "/mailboxes?dry_run=true", {"address": "new@shop.test", "quota_bytes": 7}).json()
    assert (told["address"], told["quota_bytes"]) == ("new@shop.test", 7)


def test_a_refusal_of_a_dry_run_is_a_refusal(shop: tuple[Office, Api]) -> None:
    _, api = shop
    response = api("POST", "/mailboxes?dry_run=true", {"address": "anna@shop.test"})
    assert (response.status_code, response.headers["content-type"]) == (409, "application/problem+json")
    assert "dry_run" not in response.json()


def test_without_a_dry_run_nothing_is_added(shop: tuple[Office, Api]) -> None:
    _, api = shop
    for query in ("", "?dry_run=false"):
        assert "dry_run" not in api("PATCH", f"/mailboxes/anna@shop.test{query}", {}).json()


def test_a_misspelt_dry_run_changes_nothing(shop: tuple[Office, Api]) -> None:
    _, api = shop
    for query, code in (("dryrun=true", "unknown_parameter"), ("dry_run=true&dry_run=false", "repeated_parameter")):
        response = api("DELETE", f"/mailboxes/anna@shop.test?{query}")
        assert (response.status_code, response.json()["code"]) == (422, code)
    assert api("GET", "/mailboxes/anna@shop.test").status_code == 200


def test_more_than_can_be_shown_is_said_so() -> None:
    many = {f"{number:05}@shop.test" for number in range(acceptance.MAX_SHOWN + 1)}
    told = acceptance.effect(set(), many, complete=True)
    assert (len(told.starts), told.stops, told.complete) == (acceptance.MAX_SHOWN, (), False)
