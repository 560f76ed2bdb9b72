"""What an address may be beyond a mailbox, as pages: patterns, doors, tags, mail that stays inside; and what is sent on."""

import pytest

from appliance.database.session import reading, unit_of_work
from appliance.services import aliases, domains, forwardings, mailboxes, patterns
from tests.fixtures.panel import SYSTEM, Browser, Office

HERE = "/domains/shop.test"
BOX = "/mailboxes/anna@shop.test"


@pytest.fixture
def operator(office: Office) -> Browser:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        for name in ("anna", "ben"):
            mailboxes.create(session, f"{name}@shop.test", actor=SYSTEM)
    return office.client().log_in()


def test_patterns_are_put_and_refused_beside_their_field(office: Office, operator: Browser) -> None:
    operator.get(f"{BOX}/addresses")
    refused = operator.post(f"{BOX}/patterns", {"patterns": "*@shop.test"})
    assert refused.status_code == 422
    assert 'id="patterns-error"' in refused.text
    assert "*@shop.test</textarea>" in refused.text
    assert operator.post(f"{BOX}/patterns", {"patterns": "anna-*@shop.test"}).headers["location"] == f"{BOX}/addresses"
    assert "anna-*@shop.test</textarea>" in operator.get(f"{BOX}/addresses").text
    with reading(office.engine) as session:
        assert len(patterns.get(session, "anna@shop.test", actor=SYSTEM)) == 1


def test_only_what_fits_goes_on_and_the_form_says_so_again(office: Office, operator: Browser) -> None:
    operator.get(BOX)
    asked = {
        "targets": "ben@shop.test",
        "keep_copy": "yes",
        "senders": ".bank.test",
        "subjects": "invoice",
        "spam": "no",
    }
    refused = operator.post(f"{BOX}/forwarding", {**asked, "larger_than": "big"})
    assert refused.status_code == 422
    assert 'id="larger_than-error"' in refused.text
    assert 'value="big"' in refused.text
    operator.post(f"{BOX}/forwarding", {**asked, "larger_than": "1 MiB"})
    with reading(office.engine) as session:
        found = forwardings.get(session, "anna@shop.test", actor=SYSTEM).conditions
    assert found == {"senders": [".bank.test"], "subjects": ["invoice"], "larger_than": 1 << 20, "spam": False}
    page = operator.get(BOX).text
    assert 'value="1 MiB"' in page
    assert '<option value="no" selected>' in page
    operator.post(f"{BOX}/forwarding", {"targets": "ben@shop.test"})
    with reading(office.engine) as session:
        assert forwardings.get(session, "anna@shop.test", actor=SYSTEM).conditions is None


def test_an_alias_is_kept_for_some(office: Office, operator: Browser) -> None:
    operator.get(f"{HERE}/aliases/new")
    fields = {"local_part": "team", "targets": "anna@shop.test", "open_to": "listed", "listed": ""}
    refused = operator.post(f"{HERE}/aliases", fields)
    assert refused.status_code == 422
    assert 'id="listed-error"' in refused.text
    operator.post(f"{HERE}/aliases", {**fields, "listed": "ben@shop.test"})
    assert "not for everybody" in operator.get(f"{HERE}/aliases").text
    assert "ben@shop.test</textarea>" in operator.get("/aliases/team@shop.test").text
    operator.post(
        "/aliases/team@shop.test", {"targets": "anna@shop.test", "open_to": "domain", "listed": "ben@shop.test"}
    )
    with reading(office.engine) as session:
        alias = aliases.get(session, "team@shop.test", actor=SYSTEM)
    assert (alias.open_to, list(alias.listed or ())) == ("domain", [])


def test_a_domain_has_its_rules_for_tags_and_for_what_stays_inside(office: Office, operator: Browser) -> None:
    operator.get(f"{HERE}/settings")
    assert operator.post(f"{HERE}/names", {"tag_separator": "#", "local_only": ""}).status_code == 422
    done = operator.post(f"{HERE}/names", {"tag_separator": "-", "local_only": "tenant"})
    assert done.headers["location"] == f"{HERE}/settings"
    with reading(office.engine) as session:
        domain = domains.get(session, "shop.test", actor=SYSTEM)
    assert (domain.tag_separator, domain.local_only) == ("-", "tenant")
