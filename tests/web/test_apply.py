"""A document of domains, mailboxes and aliases is made true; a second time there is nothing to do."""

from typing import Any

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from appliance.database.session import reading
from appliance.models import AuditEntry
from tests.fixtures.panel import Api, Office
from web.worker import Worker

HASH = PasswordHasher(time_cost=1, memory_cost=8192).hash("hashed elsewhere")

DOCUMENT: dict[str, Any] = {
    "domains": [
        {"name": "laden.test", "alias_of": "shop.test"},
        {"name": "shop.test", "catch_all": "Anna@shop.test", "greylist": True},
        {"name": "away.test", "next_hop": "mail.away.test"},
    ],
    "mailboxes": [
        {"address": "Anna@shop.test", "quota_bytes": 7, "display_name": " Anna  A ", "password_hash": HASH},
        {"address": "ben@shop.test", "forwarding": {"targets": ["All@shop.test"], "keep_copy": True}},
    ],
    "aliases": [
        {"address": "all@shop.test", "targets": ["sales@shop.test"]},
        {"address": "sales@shop.test", "targets": ["Anna@shop.test"]},
    ],
}


@pytest.fixture
def api(office: Office) -> Api:
    return office.api()


def entries(office: Office) -> int:
    with reading(office.engine) as session:
        return session.scalar(select(func.count()).select_from(AuditEntry))


def steps(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["method"], step["path"]) for step in answer["plan"]]


def test_a_document_is_made_true_and_then_is(office: Office, api: Api) -> None:
    first = api("PUT", "/apply", DOCUMENT)
    assert first.status_code == 200, first.text
    assert first.json()["applied"] is True
    assert HASH not in first.text
    assert steps(first.json()) == [
        ("POST", "/domains"), ("POST", "/domains"), ("POST", "/domains"), ("POST", "/mailboxes"), ("POST", "/mailboxes"),
        ("POST", "/aliases"), ("POST", "/aliases"), ("PUT", "/mailboxes/ben@shop.test/forwarding"),
        ("PATCH", "/domains/shop.test"),
    ]  # fmt: skip
    assert api("GET", "/domains/shop.test").json()["catch_all"] == "anna@shop.test"
    assert api("GET", "/mailboxes/anna@shop.test").json()["display_name"] == "Anna A"
    before = entries(office)
    again = api("PUT", "/apply", DOCUMENT)
    assert (again.status_code, again.json()) == (200, {"applied": True, "plan": []})
    assert entries(office) == before


def test_only_what_differs_is_changed(api: Api) -> None:
    api("PUT", "/apply", DOCUMENT)
    changed = api(
        "PUT", "/apply",
        {
            "domains": [{"name": "shop.test", "greylist": False, "catch_all": ""}],
            "mailboxes": [{"address": "anna@shop.test", "quota_bytes": 8}, {"address": "ben@shop.test", "forwarding": None}],
            "aliases": [{"address": "all@shop.test", "targets": ["ben@shop.test"]}],
        },
    )  # fmt: skip
    assert changed.status_code == 200, changed.text
    assert [(step["method"], step["path"], step["body"]) for step in changed.json()["plan"]] == [
        ("DELETE", "/mailboxes/ben@shop.test/forwarding", None),
        ("PATCH", "/domains/shop.test", {"greylist": False}),
        ("PATCH", "/mailboxes/anna@shop.test", {"quota_bytes": 8}),
        ("PATCH", "/aliases/all@shop.test", {"targets": ["ben@shop.test"]}),
        ("PATCH", "/domains/shop.test", {"catch_all": ""}),
    ]
    assert api("GET", "/mailboxes/anna@shop.test").json()["has_password"] is True


def test_the_plan_can_be_seen_first_and_exactly_that_is_carried_out(office: Office, api: Api) -> None:
    before = entries(office)
    plan = api("PUT", "/apply?dry_run=true", DOCUMENT)
    assert plan.json()["applied"] is False
    assert plan.json()["dry_run"]["starts"] == sorted(
        [
            "*@away.test",
            *(f"{name}@{domain}.test" for domain in ("shop", "laden") for name in ("*", "all", "anna", "ben", "sales")),
        ]
    )
    assert entries(office) == before
    api("POST", "/domains", {"name": "shop.test"})
    stale = api("PUT", "/apply", DOCUMENT, headers={"If-Match": plan.headers["etag"]})
    assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
    plan = api("PUT", "/apply?dry_run=true", DOCUMENT)
    done = api("PUT", "/apply", DOCUMENT, headers={"If-Match": plan.headers["etag"]})
    assert (done.status_code, done.json()["plan"]) == (200, plan.json()["plan"])


def test_pruning_removes_what_the_document_does_not_name_in_its_domains_only(api: Api) -> None:
    api("PUT", "/apply", DOCUMENT)
    api("POST", "/domains", {"name": "other.test"})
    api("POST", "/mailboxes", {"address": "stays@other.test"})
    shorter = {
        "domains": [{"name": "shop.test"}],
        "mailboxes": [{"address": "anna@shop.test"}, {"address": "sales@shop.test"}],
    }
    kept = api("PUT", "/apply?dry_run=true", {**shorter, "prune": False}).json()
    assert (kept["code"], kept["refusal"]["code"]) == ("apply_refused", "address_taken")  # sales is an alias still
    pruned = api("PUT", "/apply", {**shorter, "prune": True})
    assert pruned.status_code == 200, pruned.text
    assert steps(pruned.json()) == [
        ("DELETE", "/aliases/all@shop.test"), ("DELETE", "/aliases/sales@shop.test"), ("DELETE", "/mailboxes/ben@shop.test"),
        ("POST", "/mailboxes"),
    ]  # fmt: skip
    addresses = [item["address"] for item in api("GET", "/mailboxes").json()["items"]]
    assert {"Anna@shop.test", "sales@shop.test", "stays@other.test"} <= set(addresses)
    assert "ben@shop.test" not in addresses


def test_one_refusal_takes_all_of_it_back(office: Office, api: Api) -> None:
    before = entries(office)
    bad = {
        **DOCUMENT,
        "aliases": [{"address": "x@shop.test", "targets": ["nobody@shop.test"]}],
        "domains": DOCUMENT["domains"][:2],
    }
    bad["domains"] = [{"name": "laden.test", "alias_of": "shop.test"}, {"name": "shop.test"}]
    response = api("PUT", "/apply", bad)
    assert (response.status_code, response.json()["code"]) == (409, "apply_refused")
    assert response.json()["step"]["path"] in ("/aliases", "/mailboxes/ben@shop.test/forwarding")
    assert response.json()["refusal"]["code"] == "target_unknown"
    assert entries(office) == before


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"domains": [{"name": "a.test"}, {"name": "A.test"}]}, "domains.1.name"),
        ({"mailboxes": [{"address": "x"}]}, "mailboxes.0.address"),
        (
            {"aliases": [{"address": "a@b.test", "targets": []}, {"address": "A@b.test", "targets": []}]},
            "aliases.1.address",
        ),
        ({"mailboxes": [{"address": "a@b.test", "colour": "red"}]}, "mailboxes.0.colour"),
        ({"accounts": []}, "accounts"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(api: Api, document: dict[str, Any], field: str) -> None:
    response = api("PUT", "/apply", document)
    assert response.status_code in (409, 422)
    assert [fault["field"] for fault in response.json()["errors"]] == [field]


def test_a_customer_applies_to_his_own_part_only(office: Office, api: Api) -> None:
    api("POST", "/domains", {"name": "shop.test"})
    customer = office.api(office.tenant("Mine Ltd"))
    response = customer("PUT", "/apply", {"domains": [{"name": "shop.test"}], "prune": True})
    assert (response.status_code, response.json()["refusal"]["code"]) == (409, "domain_taken")
    response = customer("PUT", "/apply", {"mailboxes": [{"address": "x@shop.test"}]})
    assert response.json()["refusal"]["code"] == "not_found"


def test_it_can_be_done_in_the_background(office: Office, api: Api) -> None:
    response = api("PUT", "/apply", DOCUMENT, headers={"Prefer": "respond-async"})
    assert response.status_code == 202, response.text
    assert (response.json()["kind"], response.json()["total"]) == ("apply", 9)
    worker = Worker(office.app, office.app.state.wiring)
    while worker.work():
        pass
    assert api("GET", response.headers["location"].removeprefix("/api/v1")).json()["state"] == "done"
    assert api("PUT", "/apply", DOCUMENT).json()["plan"] == []
