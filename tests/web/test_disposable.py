"""Aliases that are there for a while, by the API, by a document, and in the panel."""

import datetime as dt

import pytest

from appliance.database.session import unit_of_work
from appliance.errors import Invalid
from appliance.services import domains, mailboxes, zones
from tests.fixtures.panel import SYSTEM, Office
from web.panel.forms import day_in, day_of, morning_in
from web.panel.rendering import Typed

ONCE, ANNA = "once@shop.test", "anna@shop.test"
END, LATER = "2099-12-31T12:00:00Z", "2099-12-31T13:00:00Z"


@pytest.fixture
def shop(office: Office):
    tenant = office.tenant("Shop")
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM, tenant_id=tenant)
        mailboxes.create(session, ANNA, actor=SYSTEM)
    return office.api(tenant)


def test_its_end_is_given_changed_and_taken_away(shop) -> None:
    made = shop("POST", "/aliases", {"address": ONCE, "targets": [ANNA], "expires_at": END})
    assert (made.status_code, made.json()["expires_at"]) == (201, END)
    for change, wanted in ({}, END), ({"expires_at": LATER}, LATER), ({"expires_at": None}, None):
        told = shop("PATCH", f"/aliases/{ONCE}", {"targets": [ANNA], **change})
        assert told.json()["expires_at"] == wanted
    past = shop("PATCH", f"/aliases/{ONCE}", {"targets": [ANNA], "expires_at": "2001-01-01T00:00:00Z"})
    assert (past.status_code, past.json()["code"]) == (409, "bad_moment")


def test_a_document_makes_its_end_true_and_says_nothing_about_what_it_leaves_out(shop) -> None:
    for alias, wanted in ({"expires_at": END}, END), ({"expires_at": LATER}, LATER), ({}, LATER):
        document = {"aliases": [{"address": ONCE, "targets": [ANNA], **alias}]}
        assert shop("PUT", "/apply", document).status_code in (200, 202)
        assert shop("GET", f"/aliases/{ONCE}").json()["expires_at"] == wanted
    assert shop("PUT", "/apply?dry_run=true", {"aliases": [{"address": ONCE, "targets": [ANNA]}]}).status_code == 200


def test_a_day_is_one_of_the_zone_that_the_person_chose(office: Office, shop) -> None:
    """It ends there when the clock of whoever typed it says so, and is shown to him as he typed it."""
    browser = office.client().log_in()
    browser.get("/account/time")
    assert browser.post("/account/time", {"time_zone": "Asia/Kathmandu"}).status_code == 303
    assert "A day in your time zone, Asia/Kathmandu" in browser.get("/domains/shop.test/aliases/new").text
    fields = {"local_part": "once", "targets": ANNA, "expires": "2099-12-31"}
    assert browser.post("/domains/shop.test/aliases", fields).status_code == 303
    assert shop("GET", f"/aliases/{ONCE}").json()["expires_at"] == "2099-12-31T18:14:59Z"
    assert 'value="2099-12-31"' in browser.get(f"/aliases/{ONCE}").text


def test_a_day_on_which_the_clocks_are_changed_is_shorter_or_longer() -> None:
    berlin = zones.zone("Europe/Berlin")
    for day, hours in (("2030-03-31", 23), ("2030-06-01", 24), ("2030-10-27", 25)):
        form = Typed(day=day)
        first, last = morning_in(form, "day", berlin), day_in(form, "day", berlin)
        assert first is not None
        assert last is not None
        assert last + 1 - first == hours * 3600
        assert day_of(first, berlin) == day_of(last, berlin) == day
    for nonsense in ("tomorrow", "2030-02-30", "99999-01-01"):
        with pytest.raises(Invalid):
            day_in(Typed(day=nonsense), "day", berlin)
    assert day_in(Typed(), "day", berlin) is None


def test_the_panel_takes_a_day_and_shows_it(office: Office, shop) -> None:
    browser = office.client().log_in()
    browser.get("/domains/shop.test/aliases/new")
    fields = {"local_part": "once", "targets": ANNA, "expires": "2099-12-31"}
    assert browser.post("/domains/shop.test/aliases", fields).status_code == 303
    assert "until " in browser.get("/domains/shop.test/aliases").text
    assert 'value="2099-12-31"' in browser.get(f"/aliases/{ONCE}").text
    past = (dt.datetime.now(dt.UTC) - dt.timedelta(days=2)).date().isoformat()
    refused = browser.post(f"/aliases/{ONCE}", {"targets": ANNA, "expires": past})
    assert "can only expire in the future" in refused.text
    assert browser.post(f"/aliases/{ONCE}", {"targets": ANNA, "expires": ""}).status_code == 303
    assert shop("GET", f"/aliases/{ONCE}").json()["expires_at"] is None
