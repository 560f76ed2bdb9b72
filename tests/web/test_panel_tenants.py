"""Tenants, plans and people, keys, jobs, audit, messages: what the pages show beyond what the services' own tests see."""

import json
import re

import pytest

from appliance.database.session import unit_of_work
from appliance.services import domains, jobs, keys, mailboxes
from appliance.services.actor import Actor
from tests.fixtures.panel import SYSTEM, Browser, Office
from web.panel.tenants import SHOWN_BELOW


def plain(html: str) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.replace("&#39;", "'")).split())


@pytest.fixture
def operator(office: Office) -> Browser:
    return office.client().log_in()


def test_the_tree_shows_who_stands_below_whom_and_where_the_others_are(office: Office, operator: Browser) -> None:
    reseller = office.tenant("Fjord", "reseller")
    for number in range(SHOWN_BELOW + 3):
        office.tenant(f"Customer {number:02}", parent_id=reseller)
    page = operator.get("/tenants")
    assert re.search(r'class="depth-1"><a[^>]*>Fjord</a>.*and 3 more below it', page.text, re.DOTALL)
    assert page.text.count('class="depth-2"') == SHOWN_BELOW
    whole = operator.get(f"/tenants?under={reseller}")
    assert f"Customer {SHOWN_BELOW + 2:02}" in whole.text
    assert "Fjord" not in operator.get("/tenants?search=customer+01").text
    assert operator.get("/tenants?under=4711").status_code == 404


def test_a_plan_is_made_given_changed_and_removed_when_nobody_has_it(office: Office, operator: Browser) -> None:
    operator.get("/plans/new")
    refused = operator.post("/plans", {"name": "Small", "max_storage_bytes": "much"})
    assert refused.status_code == 422
    assert 'value="Small"' in refused.text
    operator.post("/plans", {"name": "Small", "max_mailboxes": "3", "max_storage_bytes": "5 GiB"})
    number = re.search(r'href="/plans/(\d+)"', operator.get("/plans").text)
    assert number
    operator.get("/tenants/new")
    made = operator.post("/tenants", {"name": "North", "kind": "customer", "plan_id": number[1]})
    assert "given to 1 tenant" in plain(operator.get(f"/plans/{number[1]}").text)
    assert "Mailboxes 0 of 3" in plain(operator.get(made.headers["location"]).text)
    operator.get(f"/plans/{number[1]}")
    assert operator.post(f"/plans/{number[1]}/remove").status_code == 409
    operator.post(f"/plans/{number[1]}", {"name": "Small", "max_mailboxes": "4"})
    page = operator.get(made.headers["location"])
    assert "Mailboxes 0 of 4" in plain(page.text)
    operator.post(made.headers["location"], {"name": "North", "plan_id": ""})
    assert operator.post(f"/plans/{number[1]}/remove").headers["location"] == "/plans"


def test_people_are_found_wherever_they_administer(office: Office, operator: Browser) -> None:
    tenant = office.tenant("North")
    office.account("jan", tenant)
    with unit_of_work(office.engine) as session:
        domains.create(session, "north.test", actor=SYSTEM, tenant_id=tenant)
        mailboxes.create(session, "ines@north.test", actor=SYSTEM)
    operator.get(f"/tenants/{tenant}")
    assert (
        operator.post(
            f"/tenants/{tenant}/appointments", {"holder": "ines@north.test", "appointed_support": "yes"}
        ).status_code
        == 303
    )
    page = plain(operator.get("/people").text)
    assert "jan Administrator North" in page
    assert "ines@north.test Support North" in page
    number = re.search(rf"/tenants/{tenant}/appointments/(\d+)/dismiss", operator.get(f"/tenants/{tenant}").text)
    assert number
    assert operator.post(f"/tenants/1/appointments/{number[1]}/dismiss").status_code == 404
    operator.post(f"/tenants/{tenant}/appointments/{number[1]}/dismiss")
    operator.get(f"/tenants/{tenant}")  # where it is said that this was done
    assert "ines@north.test" not in operator.get("/people").text


def test_a_key_has_the_limits_that_were_chosen(office: Office, operator: Browser) -> None:
    operator.get("/keys/new")
    fields = {"name": "Billing", "may": "these", "actions": "mailbox.*\ndomain.see", "networks": "192.0.2.0/24"}
    refused = operator.post("/keys", {**fields, "actions": "mailbox.fly"})
    assert refused.status_code == 422
    assert "there is no action" in refused.text.lower()
    assert "192.0.2.0/24" in refused.text
    made = operator.post("/keys", {**fields, "expires": "2099-12-31"})
    assert re.search(r"pk_[0-9a-f]{16}_[0-9a-f]{64}", made.text)
    page = plain(operator.get("/keys").text)
    assert "domain.see, mailbox.* , from 192.0.2.0/24" in page
    assert "31 December 2099" in page


def test_a_job_is_left_found_again_and_ended(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        key = keys.create(session, actor=SYSTEM).key
        asking = Actor("operator", f"key:{key.public_id}", key.tenant_id)
        job = jobs.create(session, "batch", [{}] * 3, actor=asking)
        jobs.note(session, job, [(201, {"address": "anna@shop.test"}), (409, {"detail": "it is taken"})])
        name = job.public_id
    assert name in operator.get("/jobs").text
    page = operator.get(f"/jobs/{name}")
    assert "2 of 3" in plain(page.text)
    assert "it is taken" in page.text
    assert "hx-trigger" in page.text
    operator.post(f"/jobs/{name}/cancel")
    over = operator.get(f"/jobs/{name}")
    assert "Ended early" in over.text
    assert "load delay" not in over.text


def test_the_audit_log_is_narrowed_down_and_taken_away(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
    page = plain(operator.get("/audit?action=mailbox.").text)
    assert "mailbox created anna@shop.test" in page
    assert "domain created" not in page
    assert "Nothing found" not in page
    assert "Write a day" in operator.get("/audit?since=yesterday").text
    assert operator.get("/audit/export?since=yesterday").status_code == 422
    export = operator.get("/audit/export?action=mailbox.created")
    assert "attachment" in export.headers["content-disposition"]
    assert [json.loads(line)["action"] for line in export.text.splitlines()] == ["mailbox.created"] * export.text.count(
        "\n"
    )


def test_explaining_an_address_tells_the_way_to_its_end(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
        mailboxes.create(session, "anna@shop.test", actor=SYSTEM)
    assert "mail is taken" in operator.get("/explain?to=anna@shop.test").text
    assert "mail is refused" in operator.get("/explain?to=nobody@shop.test").text
    assert operator.get("/explain?to=no+address").status_code == 422
    foreign = operator.get("/explain?to=a@elsewhere.test")
    assert foreign.status_code == 404
    assert 'value="a@elsewhere.test"' in foreign.text


def test_a_sheet_is_looked_at_before_it_is_taken_in(office: Office, operator: Browser) -> None:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)
    operator.get("/import")
    sheet = "kind,address,targets\nmailbox,anna@shop.test,\nalias,sales@shop.test,anna@shop.test\nmailbox,x@elsewhere.test,\n"
    where = operator.post("/import", {"csv": sheet}).headers["location"]
    preview = plain(operator.get(where).text)
    assert "2 lines would be taken in, 1 would be refused" in preview
    assert "x@elsewhere.test" in preview
    assert "anna@shop.test" not in operator.get("/domains/shop.test/mailboxes").text
    operator.post(f"{where}/start")
    assert "100 % 3 of 3 1 refused" in plain(operator.get(where).text)
    assert "anna@shop.test" in operator.get("/domains/shop.test/mailboxes").text
    refused = operator.post("/import", {"csv": "kind,colour\n"})
    assert refused.status_code == 422
    assert 'id="csv-error"' in refused.text
    taken = operator.get("/import/sheet")
    assert "attachment" in taken.headers["content-disposition"]
    assert "sales@shop.test" in taken.text


def test_how_long_messages_are_remembered_is_a_tenants_to_say(office: Office, operator: Browser) -> None:
    tenant = office.tenant("South")
    here = f"/tenants/{tenant}"
    operator.get(here)
    operator.post(here, {"name": "South", "trace_days": "7"})
    assert 'value="7"' in operator.get(here).text
    refused = operator.post(here, {"name": "South", "trace_days": "0"})
    assert refused.status_code == 422
    assert 'id="trace_days-error"' in refused.text
    operator.post(here, {"name": "South", "trace_days": ""})
    assert office.api()("GET", here).json()["trace_days"] is None
