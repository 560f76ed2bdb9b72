"""The audit log as a program searches it, and takes it away."""

import json

import pytest

from appliance import audit_chain
from tests.fixtures.panel import Office
from web.panel.rendering import changes


@pytest.fixture
def api(office: Office):
    return office.api()


def test_deeds_are_found_by_noun_and_time(api) -> None:
    api("POST", "/domains", {"name": "shop.test"})
    api("POST", "/mailboxes", {"address": "anna@shop.test"})

    def found(**wanted):
        answer = api("GET", "/audit", params=wanted)
        return [entry["action"] for entry in answer.json()["items"]]

    assert found(action="mailbox.", subject="anna@shop.test") == ["mailbox.created"]
    assert found(action="domain.created")[0] == "domain.created"
    assert found(until="2001-01-01T00:00:00Z") == []
    assert found(since="2001-01-01T00:00:00Z", subject="shop.test") == ["domain.created"]
    assert found(actor="nobody") == []
    for wrong in ({"action": "%"}, {"since": "soon"}):
        answer = api("GET", "/audit", params=wrong)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, next(iter(wrong)))


def test_what_is_exported_proves_itself(api) -> None:
    """As the description of the operation says, and no program of ours is needed."""
    api("POST", "/domains", {"name": "bücher.test"})
    answer = api("GET", "/audit/export")
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    digest = audit_chain.BEGINNING
    for line in map(json.loads, answer.text.splitlines()):
        digest = audit_chain.link(digest, line)
        assert digest == line["digest"]
    assert json.loads(answer.text.splitlines()[-1])["subject"] == "xn--bcher-kva.test"


def test_a_customer_exports_his_own_part(office: Office, api) -> None:
    customer = office.tenant("shop")
    api("POST", "/domains", {"name": "foreign.test"})
    assert "foreign.test" not in office.api(customer)("GET", "/audit/export").text


def test_what_changed_is_told_in_days_sizes_and_words() -> None:
    """Not as it is kept: that programs get from the API."""
    before = {"enabled": True, "quota_bytes": 0, "note": "same"}
    after = {"expires_at": 1_783_000_000, "quota_bytes": 1 << 30, "enabled": False, "note": "same", "max_mailboxes": 5}
    told = "expires_at: 2026-07-02 13:46:40 UTC; quota_bytes: 0 → 1 GiB; enabled: yes → no; max_mailboxes: 5"
    assert changes(after, before) == told
