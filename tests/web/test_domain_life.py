"""How a customer's domain comes into force, and what the DNS page says."""

import pytest

from appliance.services.dns_page import Found
from tests.fixtures.panel import HOST, Office

NAME = "shop.test"


@pytest.fixture
def shop(office: Office):
    """A customer's key, and a domain that he named."""
    key = office.api(office.tenant("Shop Ltd"))
    assert key("POST", "/domains", {"name": NAME}).json()["proved_at"] is None
    return key


def dns(key):
    return {(one["kind"], one["name"]): one for one in key("GET", f"/domains/{NAME}/dns").json()["records"]}


def test_a_record_in_dns_brings_a_domain_into_force(office: Office, shop) -> None:
    wanted = dns(shop)[("TXT", f"_postern-challenge.{NAME}")]
    assert wanted["required"] is True
    assert wanted["state"] == "missing"
    refused = shop("POST", f"/domains/{NAME}/proof")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_proved")
    records = office.app.state.wiring.resolver.records
    records["TXT", wanted["name"]] = Found("answer", ("something else", wanted["value"]))
    assert shop("POST", f"/domains/{NAME}/proof?dry_run=true").json()["proved_at"]
    assert shop("GET", f"/domains/{NAME}").json()["proved_at"] is None
    assert shop("POST", f"/domains/{NAME}/proof").json()["proved_at"]
    again = dns(shop)[("TXT", f"_postern-challenge.{NAME}")]
    assert (again["required"], again["state"]) == (False, "right")


def test_only_the_operator_does_without(office: Office, shop) -> None:
    assert shop("POST", f"/domains/{NAME}/proof", {"waive": True}).json()["code"] == "operators_word"
    assert office.api()("POST", f"/domains/{NAME}/proof", {"waive": True}).json()["proved_at"]
    assert shop("POST", "/tenants", {"name": "Sub"}).status_code == 403


@pytest.mark.parametrize(
    ("kind", "name", "found", "state"),
    [
        ("MX", NAME, Found("answer", (f"10 {HOST}",)), "right"),
        ("MX", NAME, Found("answer", (f"5 {HOST.upper()}", "20 backup.test")), "right"),
        ("MX", NAME, Found("answer", ("10 elsewhere.test",)), "different"),
        ("MX", NAME, Found("nxdomain"), "missing"),
        ("MX", NAME, Found("failed"), "unknown"),
        ("TXT", NAME, Found("answer", ("google-site=1", "v=spf1 a mx -all")), "right"),
        ("TXT", NAME, Found("answer", ("v=spf1 include:else.test -all",)), "different"),
        ("TXT", NAME, Found("answer", ("google-site=1",)), "missing"),
        ("TXT", f"_dmarc.{NAME}", Found("answer", ("v=DMARC1; p=none",)), "right"),
        ("CNAME", f"autoconfig.{NAME}", Found("answer", (HOST,)), "right"),
        ("SRV", f"_submissions._tcp.{NAME}", Found("answer", (f"0 1 465 {HOST}",)), "right"),
        ("SRV", f"_submissions._tcp.{NAME}", Found("answer", ("0 1 465 else.test",)), "different"),
    ],
)
def test_what_is_there_is_held_against_what_should_be(office: Office, shop, kind, name, found, state) -> None:
    office.app.state.wiring.resolver.records[kind, name] = found
    assert dns(shop)[(kind, name)]["state"] == state


def test_the_zone_can_be_copied(shop) -> None:
    """Whole names, and texts in quotes (RFC 1035 5.1)."""
    zone = shop("GET", f"/domains/{NAME}/dns").json()["zone"]
    assert f"{NAME}. IN MX 10 {HOST}.\n" in zone
    assert f'{NAME}. IN TXT "v=spf1 mx ~all"\n' in zone
    assert f"_submission._tcp.{NAME}. IN SRV 10 1 587 {HOST}.\n" in zone
    assert zone.count("\n") == len(zone.splitlines()) >= 9


def test_a_domain_goes_to_another_tenant_with_all_that_is_in_it(office: Office) -> None:
    operator, other = office.api(), office.tenant("Other Ltd")
    operator("POST", "/domains", {"name": "moved.test"})
    operator("POST", "/mailboxes", {"address": "anna@moved.test"})
    assert operator("PATCH", "/domains/moved.test", {"tenant_id": other}).json()["tenant_id"] == other
    assert office.api(other)("GET", "/mailboxes/anna@moved.test").status_code == 200


def test_plans_and_appointments_have_a_life(office: Office) -> None:
    operator = office.api()
    plan = operator("POST", "/plans", {"name": "Small", "max_mailboxes": 1, "default_quota_bytes": 7}).json()
    tenant = operator("POST", "/tenants", {"name": "Shop Ltd", "plan_id": plan["id"], "skips_proof": True}).json()
    shop = office.api(tenant["id"])
    assert shop("POST", "/domains", {"name": NAME}).json()["proved_at"]
    assert shop("POST", "/mailboxes", {"address": f"anna@{NAME}"}).json()["quota_bytes"] == 7
    assert shop("POST", "/mailboxes", {"address": f"ben@{NAME}"}).json()["code"] == "limit_mailboxes"
    assert operator("PATCH", f"/plans/{plan['id']}", {"max_mailboxes": None}).json()["max_mailboxes"] is None
    made = shop("POST", "/appointments", {"holder": f"anna@{NAME}", "domain": NAME, "rights": ["aliases"]})
    assert made.status_code == 201
    assert shop("GET", made.headers["location"].removeprefix("/api/v1")).json()["holder"] == f"anna@{NAME}"
    assert [one["kind"] for one in shop("GET", "/appointments").json()["items"]] == ["domain"]
    assert shop("DELETE", f"/appointments/{made.json()['id']}").status_code == 204
    assert operator("DELETE", f"/plans/{plan['id']}").json()["code"] == "plan_in_use"
