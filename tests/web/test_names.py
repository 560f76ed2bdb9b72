"""Patterns, who may write to an alias, what a domain's names stand for: by the API, and by a document that goes and comes."""

import pytest

from appliance.database.session import unit_of_work
from appliance.services import domains, mailboxes
from tests.fixtures.panel import SYSTEM, Api, Office

ANNA, BEN = "anna@shop.test", "ben@shop.test"


@pytest.fixture
def shop(office: Office) -> Api:
    tenant = office.tenant("Shop")
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM, tenant_id=tenant)
        for address in (ANNA, BEN):
            mailboxes.create(session, address, actor=SYSTEM)
    return office.api(tenant)


def test_patterns_are_set_as_a_whole_by_whom_has_seen_them(shop: Api) -> None:
    """With an ETag, a dry run that shows what starts and stops, and refusals in their places."""
    path = f"/mailboxes/{ANNA}/patterns"
    seen = shop("GET", path)
    assert seen.json() == {"patterns": []}
    body = {"patterns": ["Anna-*@shop.test", "news.*@shop.test"]}
    tried = shop("PUT", f"{path}?dry_run=true", body)
    assert tried.json()["dry_run"] == {
        "starts": ["anna-*@shop.test", "news.*@shop.test"],
        "stops": [],
        "complete": True,
    }
    headers = {"If-Match": seen.headers["ETag"]}
    given = shop.client.put(f"/api/v1{path}", json=body, headers=shop.client.headers | headers)
    assert (given.status_code, given.json()) == (200, {"patterns": ["Anna-*@shop.test", "news.*@shop.test"]})
    assert shop.client.put(f"/api/v1{path}", json=body, headers=shop.client.headers | headers).status_code == 412
    fewer = shop("PUT", f"{path}?dry_run=true", {"patterns": ["anna-*@shop.test"]}).json()["dry_run"]
    assert (fewer["starts"], fewer["stops"]) == ([], ["news.*@shop.test"])
    for wanted, status, code in (
        (["*@shop.test"], 422, "bad_pattern"), (["x-*@else.test"], 409, "bad_pattern"), (["x-*@shop.test"] * 101, 422, None),
    ):  # fmt: skip
        refused = shop("PUT", path, {"patterns": wanted})
        assert (refused.status_code, code) == (status, code and refused.json()["code"])
    taken = shop("PUT", f"/mailboxes/{BEN}/patterns", {"patterns": ["anna-*@shop.test"]})
    assert (taken.status_code, taken.json()["holder"]) == (409, f"/api/v1/mailboxes/{ANNA}")
    told = shop("GET", "/explain?to=anna-x@shop.test").json()
    assert told["accepted"] is True
    assert "pattern Anna-*@shop.test" in str(told["steps"])


def test_an_alias_says_who_may_write_to_it(shop: Api) -> None:
    """Left out it stays; what makes no sense is refused."""
    made = shop("POST", "/aliases", {"address": "all@shop.test", "targets": [ANNA], "open_to": "members"})
    assert (made.status_code, made.json()["open_to"], made.json()["listed"]) == (201, "members", [])
    changed = shop("PATCH", "/aliases/all@shop.test", {"open_to": "listed", "listed": ["Boss@else.test", "else.test"]})
    assert changed.json()["listed"] == ["boss@else.test", "else.test"]
    assert changed.json()["targets"] == [ANNA]
    assert shop("PATCH", "/aliases/all@shop.test", {"targets": [BEN]}).json()["open_to"] == "listed"
    assert shop("PATCH", "/aliases/all@shop.test", {"open_to": "nobody"}).status_code == 422
    assert shop("PATCH", "/aliases/all@shop.test", {"open_to": "domain", "listed": ["x.test"]}).status_code == 422
    assert shop("PATCH", "/aliases/all@shop.test", {"open_to": "everybody"}).json()["listed"] == []


def test_a_domain_says_what_tags_are_and_where_its_mail_stays(shop: Api) -> None:
    """And refuses what would take it elsewhere."""
    assert shop("GET", "/domains/shop.test").json()["tag_separator"] == "+"
    changed = shop("PATCH", "/domains/shop.test", {"tag_separator": "-", "local_only": "tenant"}).json()
    assert (changed["tag_separator"], changed["local_only"]) == ("-", "tenant")
    refused = shop("PUT", f"/mailboxes/{ANNA}/forwarding", {"targets": ["anna@else.test"]})
    assert (refused.status_code, refused.json()["code"]) == (422, "target_outside")
    assert "stays inside" in refused.json()["detail"]
    assert shop("PATCH", "/domains/shop.test", {"local_only": "village"}).status_code == 422


def test_a_document_makes_all_of_it_true_and_an_export_is_such_a_document(shop: Api) -> None:
    """A second time there is nothing to do; what a document leaves out stays."""
    document = {
        "domains": [{"name": "shop.test", "tag_separator": "", "local_only": "host"}],
        "mailboxes": [{"address": ANNA, "patterns": ["Anna-*@shop.test", "x.*@SHOP.test"]}, {"address": BEN}],
        "aliases": [
            {"address": "all@shop.test", "targets": [ANNA], "open_to": "listed", "listed": ["Else.test", BEN]},
            {"address": "team@shop.test", "targets": ["anna-team@shop.test"], "open_to": "domain"},
        ],
    }
    first = shop("PUT", "/apply", document)
    assert first.status_code == 200, first.text
    assert [(step["method"], step["path"]) for step in first.json()["plan"]] == [
        ("PATCH", "/domains/shop.test"), ("PUT", f"/mailboxes/{ANNA}/patterns"), ("POST", "/aliases"), ("POST", "/aliases"),
    ]  # fmt: skip
    assert shop("PUT", "/apply", document).json()["plan"] == []
    exported = shop("GET", "/export").json()
    assert shop("PUT", "/apply", exported).json()["plan"] == []
    assert {box["address"]: box.get("patterns") for box in exported["mailboxes"]} == {
        ANNA: ["Anna-*@shop.test", "x.*@shop.test"], BEN: None,
    }  # fmt: skip
    assert shop("PUT", "/apply", {"aliases": [{"address": "all@shop.test", "targets": [ANNA]}]}).json()["plan"] == []
    opened = {"aliases": [{"address": "all@shop.test", "targets": [ANNA], "open_to": "everybody"}]}
    assert len(shop("PUT", "/apply", opened).json()["plan"]) == 1
    assert shop("PUT", "/apply", {"mailboxes": [{"address": ANNA, "patterns": []}]}).status_code == 200
    assert shop("GET", f"/mailboxes/{ANNA}/patterns").json() == {"patterns": []}
