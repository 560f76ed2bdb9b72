"""The page on which somebody elsewhere agrees that mail is sent on to him."""

import pytest
from sqlalchemy import select, update

from appliance import consent_links
from appliance.consent_links import Question
from appliance.database.session import unit_of_work
from appliance.models import AliasTarget, ConsentRequest, Instance
from appliance.models.base import now
from appliance.services import domains, mailboxes
from tests.fixtures.panel import SYSTEM, Office

TARGET = "Ann@away.example"
JOE = "joe@shop.test"


@pytest.fixture
def customer(office: Office):
    tenant = office.tenant("Shop")
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM, tenant_id=tenant)
        mailboxes.create(session, JOE, actor=SYSTEM)
    return office.api(tenant)


def link(office: Office) -> str:
    with unit_of_work(office.engine) as session:
        row, key = session.scalars(select(ConsentRequest)).one(), session.scalars(select(Instance.consent_key)).one()
        question = Question(row.id, row.kind, row.holder_id, row.target, row.asked_at)
        return f"/consent/{consent_links.token(key, question)}"


def test_whoever_has_the_link_reads_what_he_agrees_to_and_agrees_without_an_account(office: Office, customer) -> None:
    here = f"/mailboxes/{JOE}/forwarding"
    assert customer("PUT", here, {"targets": [TARGET]}).json()["waiting"] == [TARGET]
    browser, where = office.client(), link(office)
    page = browser.get(where)
    assert page.status_code == 200
    for words in (JOE, TARGET, "sends you all mail", "end it at any time", "postmaster@shop.test", "close this page"):
        assert words in page.text
    assert customer("GET", here).json()["waiting"] == [TARGET], "to look is not to agree"
    assert browser.post(where).headers["location"] == where
    assert customer("GET", here).json()["waiting"] == []
    again = browser.get(where)
    assert "You agreed" in again.text
    assert "Yes, send it on" not in again.text


@pytest.mark.parametrize("token", ["x", "1-" + "0" * 64, "é", "1-" + "0" * 64 + "/"])
def test_any_other_link_leads_nowhere_and_a_form_from_elsewhere_agrees_to_nothing(
    office: Office, customer, token
) -> None:
    here = f"/mailboxes/{JOE}/forwarding"
    customer("PUT", here, {"targets": [TARGET]})
    browser = office.client()
    assert browser.get(f"/consent/{token}").status_code == 404
    browser.get(link(office))
    assert browser.post(f"/consent/{token}").status_code == 404
    assert browser.post(link(office), headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert customer("GET", here).json()["waiting"] == [TARGET]


def test_the_panel_says_who_was_not_asked_in_vain(office: Office, customer) -> None:
    customer("PUT", f"/mailboxes/{JOE}/forwarding", {"targets": [TARGET]})
    customer("POST", "/aliases", {"address": "info@shop.test", "targets": [TARGET]})
    browser = office.client().log_in()
    for page in (f"/mailboxes/{JOE}", "/aliases/info@shop.test"):
        told = browser.get(page).text
        assert f"Nothing is sent on to {TARGET} yet" in told
        assert "Send the confirmation again" not in told, "nobody is asked twice a day"


def test_the_confirmation_is_sent_again_a_day_later_and_not_before(office: Office, customer) -> None:
    here = f"/mailboxes/{JOE}"
    customer("PUT", f"{here}/forwarding", {"targets": [TARGET, "ben@away.example"]})
    browser = office.client().log_in()
    browser.get(here)
    early = customer("POST", f"{here}/forwarding/ask", {"target": TARGET})
    assert (early.status_code, early.json()["code"]) == (409, "asked_lately")
    with unit_of_work(office.engine) as session:
        session.execute(update(ConsentRequest).values(asked_at=now() - 90_000, sent_at=now() - 90_000))
    page = browser.get(here).text
    assert page.count("Send the confirmation again") == 2
    assert "The link in that mail is good until" in page
    assert browser.post(f"{here}/forwarding/ask", {"target": TARGET}).headers["location"] == here
    assert customer("POST", f"{here}/forwarding/ask", {"target": "ben@away.example"}).status_code == 200
    assert "Send the confirmation again" not in browser.get(here).text
    with unit_of_work(office.engine) as session:
        asked = session.scalars(select(ConsentRequest.target).where(ConsentRequest.sent_at.is_(None))).all()
        assert asked == [TARGET, "ben@away.example"]
        session.execute(update(ConsentRequest).values(asked_at=now() - 20 * 86_400))
    assert "the link has run out" in browser.get(here).text
    assert customer("POST", f"{here}/forwarding/ask", {"target": "joe@shop.test"}).status_code == 404


def test_what_becomes_of_each_target_is_told(office: Office, customer) -> None:
    customer("POST", "/aliases", {"address": "info@shop.test", "targets": [JOE, TARGET, "dead@away.example"]})
    with unit_of_work(office.engine) as session:
        rows = AliasTarget.address != JOE
        session.execute(update(AliasTarget).where(rows).values(confirmed_at=1_700_000_000))
        dead = AliasTarget.address == "dead@away.example"
        session.execute(update(AliasTarget).where(dead).values(failed_at=1_700_000_000, failure="5.1.1 <b>who?</b>"))
    page = office.client().log_in().get("/aliases/info@shop.test").text
    assert "On this host" in page
    assert "Agreed on 14 November 2023" in page
    assert "came back on 14 November 2023: 5.1.1 &lt;b&gt;who?&lt;/b&gt;" in page
