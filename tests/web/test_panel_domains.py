"""A domain's pages: what wants to be done, its limits, DNS and the proof of whose it is, who administers it, where it goes."""

import re

import pytest

from appliance.database.session import reading, unit_of_work
from appliance.services import (
    accounts,
    aliases,
    appointments,
    client_setup,
    dns_page,
    domains,
    forwardings,
    mailboxes,
    proof,
)
from appliance.services.actor import Actor
from appliance.services.authorisation import DOMAIN_RIGHTS
from appliance.services.dns_page import Found
from tests.fixtures.panel import SYSTEM, Browser, Office

HERE = "/domains/shop.test"


def plain(html: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.replace("&#39;", "'")).split())


@pytest.fixture
def operator(office: Office) -> Browser:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        for name in ("anna", "ben"):
            mailboxes.create(session, f"{name}@shop.test", actor=SYSTEM, quota_bytes=1 << 30)
        aliases.create(session, "sales@shop.test", ["anna@shop.test"], actor=SYSTEM)
    return office.client().log_in()


@pytest.fixture
def unproved(office: Office) -> Actor:
    """A customer with a domain that nobody knows to be his."""
    customer = Actor("customer", "jan", office.tenant("North"))
    with unit_of_work(office.engine) as session:
        domains.create(session, "north.test", actor=customer)
    return customer


def test_the_overview_says_what_is_used_of_what_and_what_wants_to_be_done(office: Office, operator: Browser) -> None:
    operator.get(f"{HERE}/settings")
    limits = {"max_mailboxes": "2", "max_storage_bytes": "4 GiB", "max_aliases": "", "max_forwards": ""}
    assert operator.post(f"{HERE}/limits", limits).headers["location"] == f"{HERE}/settings"
    operator.post(f"{HERE}/protection", {"validation": "off"})
    page = plain(operator.get(HERE).text)
    assert "Mailboxes 2 of 2" in page
    assert "Storage promised 2 GiB of 4 GiB" in page
    assert "Mail to unknown addresses is taken." in page
    refused = operator.post(f"{HERE}/limits", {"max_mailboxes": "many"})
    assert refused.status_code == 422
    assert 'value="many"' in refused.text


def test_mailboxes_that_forward_are_listed_with_what_becomes_of_it(office: Office, operator: Browser) -> None:
    assert "No mailbox forwards" in operator.get(f"{HERE}/forwards").text
    with unit_of_work(office.engine) as session:
        box = forwardings.put(session, "ben@shop.test", ["anna@shop.test"], actor=SYSTEM)
        box.rows[0].failed_at, box.rows[0].failure = 1, "5.1.1 no"
    page = plain(operator.get(f"{HERE}/forwards").text)
    assert "ben@shop.test keeps a copy anna@shop.test comes back" in page
    assert "Forwarded mail comes back." in operator.get(HERE).text
    assert "Nothing found" in operator.get(f"{HERE}/forwards?search=zzz").text


def test_dns_is_looked_at_when_asked_and_the_zone_can_be_taken_away(office: Office, operator: Browser) -> None:
    resolver = office.app.state.wiring.resolver
    with reading(office.engine) as session:
        setup = client_setup.setup_of(office.app.state.wiring.settings, "shop.test")
        wanted = dns_page.wanted(session, domains.get(session, "shop.test", actor=SYSTEM), actor=SYSTEM, setup=setup)
    mx = next(record for record in wanted if record.kind == "MX")
    resolver.records["MX", "shop.test"] = Found("answer", (mx.value,))
    resolver.records["TXT", "shop.test"] = Found("answer", ("v=spf1 -all",))
    assert "not looked yet" in operator.get(f"{HERE}/dns").text
    page = plain(operator.get(f"{HERE}/dns?check=true").text)
    assert "10 mx.example.test. Copy right" in page
    assert "different v=spf1 -all" in page
    fragment = operator.get(f"{HERE}/dns?check=true", headers={"HX-Request": "true", "HX-Request-Type": "partial"})
    assert "<html" not in fragment.text
    zone = operator.get(f"{HERE}/dns/zone")
    assert "attachment" in zone.headers["content-disposition"]
    assert "shop.test. IN MX 10 mx.example.test." in zone.text


def test_a_domain_is_shown_to_be_ones_own_by_its_record(office: Office, unproved: Actor) -> None:
    office.account("jan", unproved.tenant_id or 0)
    jan = office.client().log_in("jan")
    assert "Show that the domain is yours." in jan.get("/domains/north.test").text
    page = jan.get("/domains/north.test/dns")
    assert "Take it in without a proof" not in page.text
    refused = jan.post("/domains/north.test/proof")
    assert refused.status_code == 409
    assert "has no TXT record" in refused.text
    assert jan.post("/domains/north.test/proof", {"waive": "yes"}).status_code == 403
    with reading(office.engine) as session:
        at, text = proof.challenge(domains.get(session, "north.test", actor=SYSTEM))
    assert text in page.text
    office.app.state.wiring.resolver.records["TXT", at] = Found("answer", (text,))
    assert jan.post("/domains/north.test/proof").headers["location"] == "/domains/north.test"
    assert "No mail is taken" not in jan.get("/domains/north.test").text


def test_an_account_for_a_domain_has_the_rights_that_were_ticked(office: Office, operator: Browser) -> None:
    operator.get(f"{HERE}/people")
    made = operator.post(f"{HERE}/people", {"account": "clerk", "right_aliases": "yes"})
    assert "It is shown this once" in plain(made.text)
    people = plain(operator.get(f"{HERE}/people").text)
    assert "clerk account One-time password aliases" in people
    operator.get(f"{HERE}/people/clerk")
    operator.post(f"{HERE}/people/clerk", {"right_aliases": "yes", "right_mailboxes": "yes"})
    with reading(office.engine) as session:
        assert accounts.get(session, "clerk", actor=SYSTEM).rights == ["mailboxes", "aliases"]
    taken = operator.post(f"{HERE}/people", {"account": "clerk", "right_aliases": "yes"})
    assert taken.status_code == 409
    assert 'value="clerk"' in taken.text
    assert operator.post(f"{HERE}/people/clerk/remove").headers["location"] == f"{HERE}/people"
    assert "clerk account" not in plain(operator.get(f"{HERE}/people").text)


def test_who_has_a_mailbox_is_appointed_and_dismissed(office: Office, operator: Browser) -> None:
    operator.get(f"{HERE}/people")
    rights = {f"right_{right}": "yes" for right in DOMAIN_RIGHTS}
    assert operator.post(f"{HERE}/appointments", {"holder": "nobody@shop.test"}).status_code == 404
    operator.post(f"{HERE}/appointments", {"holder": "anna@shop.test", **rights})
    assert "anna@shop.test appointed everything in the domain" in plain(operator.get(f"{HERE}/people").text)
    with reading(office.engine) as session:
        (made,) = appointments.list_appointments(session, actor=SYSTEM, holder="anna@shop.test").items
    assert made.rights is None
    assert operator.post(f"/domains/mx.example.test/appointments/{made.id}/dismiss").status_code == 404
    operator.post(f"{HERE}/appointments/{made.id}/dismiss")
    assert "anna@shop.test appointed" not in plain(operator.get(f"{HERE}/people").text)


def test_a_domain_goes_to_another_tenant_with_all_that_is_in_it(office: Office, operator: Browser) -> None:
    tenant = office.tenant("South")
    operator.get(f"{HERE}/settings")
    done = operator.post(f"{HERE}/transfer", {"tenant_id": str(tenant)})
    assert done.headers["location"] == f"{HERE}/settings"
    assert "shop.test belongs to South now." in operator.get(f"{HERE}/settings").text
    assert "Mailboxes 2" in plain(operator.get(HERE).text)


def test_whoever_comes_from_a_tenant_adds_a_domain_to_it(office: Office) -> None:
    """Chosen already in the form; a tenant that is not his to see is not there."""
    tenant, other = office.tenant("North"), office.tenant("South")
    operator = office.client().log_in()
    assert f'<option value="{tenant}" selected>' in operator.get(f"/domains/new?tenant={tenant}").text
    office.account("south", other)
    assert office.client().log_in("south").get(f"/domains/new?tenant={tenant}").status_code == 404


def test_one_mailbox_after_the_other(operator: Browser) -> None:
    """And the focus is in the field that is wrong, and in no other."""
    operator.get(f"{HERE}/mailboxes/new")
    made = operator.post(f"{HERE}/mailboxes", {"local_part": "chiara", "then": "another"})
    assert made.headers["location"] == f"{HERE}/mailboxes/new"
    assert "chiara@shop.test receives mail from now on." in plain(operator.get(made.headers["location"]).text)
    refused = operator.post(f"{HERE}/mailboxes", {"local_part": "dora", "quota": "much", "then": "another"}).text
    focused = re.findall(r'<input[^>]*id="(\w+)"[^>]*\bautofocus\b', refused)
    assert focused == ["quota"]
    assert re.findall(r'<input[^>]*id="(\w+)"[^>]*\bautofocus\b', operator.get(f"{HERE}/mailboxes/new").text) == [
        "local_part"
    ]
