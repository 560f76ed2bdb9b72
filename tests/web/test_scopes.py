"""A key may be limited: to actions, to addresses, to networks, to a time. It is never more than its tenant."""

import time
from collections.abc import Iterator

import pytest

from appliance.database.session import unit_of_work
from appliance.models import ApiKey
from tests.fixtures.panel import Api, Office, make_office

LATER = "2100-01-01T00:00:00Z"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Api]]:
    """A customer with two domains and a mailbox in each; everything here is refused or only read."""
    with make_office(tmp_path_factory.mktemp("shop")) as office:
        operator, tenant = office.api(), office.tenant("Shop Ltd")
        for name in ("one", "two"):
            operator("POST", "/domains", {"name": f"{name}.test", "tenant_id": tenant})
            operator("POST", "/mailboxes", {"address": f"box@{name}.test"})
            operator("POST", "/mailboxes", {"address": f"other@{name}.test"})
        yield office, office.api(tenant)


def limited(shop: tuple[Office, Api], client: str = "192.0.2.1", **limits: object) -> Api:
    office, api = shop
    made = api("POST", "/keys", limits)
    assert made.status_code == 201, made.text
    test_client = office.client(client=(client, 1234), follow_redirects=True).client
    test_client.headers["Authorization"] = f"Bearer {made.json()['secret']}"
    return Api(test_client)


def code(response: object) -> tuple[int, str]:
    return response.status_code, response.json().get("code", "")


def test_a_key_for_some_actions_may_do_no_others(shop: tuple[Office, Api]) -> None:
    api = limited(shop, actions=["mailbox.see", "mailbox.create", "domain.see"])
    assert api("GET", "/me").json()["actions"] == ["domain.see", "mailbox.create", "mailbox.see"]
    assert api("GET", "/mailboxes/box@one.test").status_code == 200
    assert len(api("GET", "/domains").json()["items"]) == 2
    assert api("POST", "/mailboxes?dry_run=true", {"address": "new@one.test"}).status_code == 201
    assert code(api("DELETE", "/mailboxes/box@one.test")) == (403, "forbidden")
    assert code(api("POST", "/domains", {"name": "new.test"})) == (403, "forbidden")
    for noun in ("aliases", "keys", "audit", "certificates"):
        assert api("GET", f"/{noun}").json()["items"] == [], noun


@pytest.mark.parametrize(("actions", "may"), [(["*.see"], "GET"), (["mailbox.*"], "PATCH"), (["*.*"], "PATCH")])
def test_actions_may_be_patterns(shop: tuple[Office, Api], actions: list[str], may: str) -> None:
    api = limited(shop, actions=actions)
    assert api("GET", "/mailboxes/box@one.test").status_code == 200
    assert api("PATCH", "/mailboxes/box@one.test", {}).status_code == (200 if may == "PATCH" else 403)


def test_a_key_for_some_addresses_sees_no_others(shop: tuple[Office, Api]) -> None:
    api = limited(shop, addresses=["Box@one.test", "two.test"])
    assert [item["address"] for item in api("GET", "/mailboxes").json()["items"]] == [
        "box@one.test", "box@two.test", "other@two.test",
    ]  # fmt: skip
    assert api("PATCH", "/mailboxes/box@one.test", {}).status_code == 200
    assert code(api("GET", "/mailboxes/other@one.test")) == (404, "not_found")
    assert code(api("GET", "/domains/one.test")) == (404, "not_found")
    assert code(api("POST", "/mailboxes", {"address": "new@one.test"})) == (404, "not_found")
    assert api("POST", "/mailboxes?dry_run=true", {"address": "new@two.test"}).status_code == 201


@pytest.mark.parametrize(
    ("networks", "client", "is_good"),
    [
        (["192.0.2.0/24"], "192.0.2.77", True),
        (["192.0.2.0/24"], "192.0.3.1", False),
        (["192.0.2.77/24", "2001:db8::/32"], "2001:db8::1", True),
        (["192.0.2.0/24"], "::ffff:192.0.2.1", True),
        (["0.0.0.0/0"], "2001:db8::1", False),
        (["192.0.2.0/24"], "testclient", False),
    ],
)
def test_a_key_for_some_networks_is_good_from_there(
    shop: tuple[Office, Api], networks: list[str], client: str, is_good: bool
) -> None:
    response = limited(shop, client, networks=networks)("GET", "/me")
    assert code(response) == ((200, "") if is_good else (401, "bad_source"))


def test_a_key_ends_when_it_was_said_to(shop: tuple[Office, Api]) -> None:
    office, _ = shop
    api = limited(shop, expires_at=LATER)
    public_id = api("GET", "/me").json()["name"].removeprefix("key:")
    assert api("GET", f"/keys/{public_id}").json()["expires_at"] == LATER
    with unit_of_work(office.engine) as session:
        session.query(ApiKey).filter_by(public_id=public_id).one().expires_at = int(time.time())
    assert code(api("GET", "/me")) == (401, "key_expired")


@pytest.mark.parametrize(
    "limits",
    [{"actions": ["*.*"]}, {"addresses": ["one.test"]}, {"networks": ["192.0.2.0/24"]}, {"expires_at": LATER}],
)
def test_a_limited_key_makes_nothing_without_its_limits(shop: tuple[Office, Api], limits: dict[str, object]) -> None:
    api = limited(shop, **limits)
    assert api("POST", "/keys", {"name": "free"}).status_code in (403, 404)


def test_a_limited_key_of_the_operators_is_no_operator(shop: tuple[Office, Api]) -> None:
    """What is asked of operators alone is no action that a key could be given."""
    office, _ = shop
    api = limited((office, office.api()), actions=["*.*"])
    assert code(api("GET", "/rules")) == (404, "not_found")
    assert api("GET", "/domains/one.test").status_code == 200


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"actions": ["mailbox.fly"]}, "actions"),
        ({"actions": []}, "actions"),
        ({"actions": ["key.create"]}, "actions"),
        ({"addresses": ["no domain"]}, "addresses"),
        ({"addresses": ["a b@one.test"]}, "addresses"),
        ({"networks": ["192.0.2.0/33"]}, "networks"),
        ({"networks": "192.0.2.0/24"}, "networks"),
        ({"expires_at": "soon"}, "expires_at"),
    ],
)
def test_limits_that_make_no_sense_are_refused(shop: tuple[Office, Api], limits: dict[str, object], field: str) -> None:
    _, api = shop
    response = api("POST", "/keys", limits)
    assert response.status_code == 422, response.text
    assert field in {fault["field"].partition(".")[0] for fault in response.json()["errors"]}
