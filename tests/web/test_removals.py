"""Removing answers what is lost and until when; undoing brings it back; and nothing else is told."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.fixtures.panel import Api, Office, make_office


@pytest.fixture
def shop(office: Office) -> tuple[Api, Api]:
    """A customer's key, and a stranger's; each has a domain."""
    operator = office.api()
    keys = []
    for name in ("shop", "other"):
        tenant = office.tenant(name)
        assert operator("POST", "/domains", {"name": f"{name}.test", "tenant_id": tenant}).status_code == 201
        keys.append(office.api(tenant))
    for address in ("anna@shop.test", "ben@shop.test"):
        assert keys[0]("POST", "/mailboxes", {"address": address, "quota_bytes": 7}).status_code == 201
    body = {"address": "sales@shop.test", "targets": ["anna@shop.test"]}
    assert keys[0]("POST", "/aliases", body).status_code == 201
    return keys[0], keys[1]


def test_a_removal_says_what_goes_and_until_when_and_is_undone(shop: tuple[Api, Api]) -> None:
    api, stranger = shop
    before = api("GET", "/mailboxes/anna@shop.test").json()
    answer = api("DELETE", "/mailboxes/anna@shop.test")
    assert answer.status_code == 200
    removal = answer.json()["removal"]
    assert answer.json()["forwarded_by"] == ["sales@shop.test"]
    assert (removal["kind"], removal["name"], removal["mailboxes"], removal["aliases"]) == (
        "mailbox",
        "anna@shop.test",
        1,
        0,
    )
    days = datetime.fromisoformat(removal["until"]) - datetime.now(UTC)
    assert timedelta(days=29) < days <= timedelta(days=30)

    where = f"/removals/{removal['id']}"
    assert api("GET", "/removals").json()["items"] == [removal] == [api("GET", where).json()]
    assert api("GET", "/removals?kind=domain").json()["items"] == []
    assert stranger("GET", "/removals").json()["items"] == []
    for method, path in (("GET", where), ("POST", f"{where}/undo"), ("DELETE", where)):
        assert stranger(method, path).status_code == 404

    tried = api("POST", f"{where}/undo?dry_run=true")
    assert tried.json()["dry_run"]["starts"] == ["anna@shop.test"]
    key = {"Idempotency-Key": "once"}
    assert [api("POST", f"{where}/undo", headers=key).json() for _ in range(2)] == [removal, removal]
    assert api("GET", "/mailboxes/anna@shop.test").json() == before
    assert api("POST", f"{where}/undo").status_code == 404


def test_a_dry_run_of_a_removal_says_it_too_and_removes_nothing(shop: tuple[Api, Api]) -> None:
    api, _ = shop
    told = api("DELETE", "/domains/shop.test?dry_run=true").json()
    assert told["dry_run"]["stops"] == ["anna@shop.test", "ben@shop.test", "sales@shop.test"]
    assert (told["removal"]["mailboxes"], told["removal"]["aliases"]) == (2, 1)
    assert api("GET", "/removals").json()["items"] == []


def test_a_taken_address_says_by_which_removal_and_is_made_anew_with_discard(shop: tuple[Api, Api]) -> None:
    api, _ = shop
    number = api("DELETE", "/mailboxes/anna@shop.test").json()["removal"]["id"]
    refused = api("POST", "/mailboxes", {"address": "anna@shop.test"})
    assert (refused.status_code, refused.json()["code"], refused.json()["holder"]) == (
        409, "mailbox_removed", f"/api/v1/removals/{number}",
    )  # fmt: skip
    operation = {"method": "POST", "path": "/mailboxes", "body": {"address": "anna@shop.test"}}
    together = api("POST", "/batch", {"operations": [operation]})
    assert together.json()["results"][0]["body"]["code"] == "mailbox_removed"
    assert api("POST", "/mailboxes", {"address": "anna@shop.test", "discard": True}).status_code == 201
    assert api("GET", f"/removals/{number}").status_code == 404


def test_a_removal_made_final_frees_the_address(shop: tuple[Api, Api]) -> None:
    api, _ = shop
    removal = api("DELETE", "/mailboxes/ben@shop.test").json()["removal"]
    assert api("DELETE", f"/removals/{removal['id']}", headers={"If-Match": '"99"'}).status_code == 412
    assert api("DELETE", f"/removals/{removal['id']}").status_code == 204
    assert api("POST", "/mailboxes", {"address": "ben@shop.test"}).status_code == 201


def test_removed_and_undone_in_one_batch(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In one transaction: what was removed a moment ago is in nobody's memory as if it were there."""
    with make_office(tmp_path_factory.mktemp("batch")) as office:
        api = office.api()
        api("POST", "/domains", {"name": "shop.test"})
        assert api("POST", "/mailboxes", {"address": "anna@shop.test"}).status_code == 201
        operations = [
            {"method": "DELETE", "path": "/mailboxes/anna@shop.test"},
            {"method": "POST", "path": "/removals/1/undo"},
            {"method": "GET", "path": "/mailboxes/anna@shop.test"},
            {"method": "DELETE", "path": "/domains/shop.test"},
            {"method": "POST", "path": "/removals/2/undo"},
            {"method": "GET", "path": "/mailboxes/anna@shop.test"},
        ]
        results = api("POST", "/batch", {"operations": operations, "atomic": True}).json()["results"]
        assert [result["status"] for result in results] == [200] * 6, results
