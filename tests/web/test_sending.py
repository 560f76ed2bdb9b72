"""App passwords, senders, limits and the brake over the API and in the panel."""

import pytest
from sqlalchemy import select

from appliance.database.session import unit_of_work
from appliance.models import Mailbox, Sending
from appliance.services import mailboxes
from tests.fixtures.panel import PASSWORD, SYSTEM, Api, Office

ANNA = "/mailboxes/anna@shop.test"


@pytest.fixture
def api(office: Office) -> Api:
    """A domain with anna in it, who has a password."""
    api = office.api()
    assert api("POST", "/domains", {"name": "shop.test"}).status_code == 201
    assert api("POST", "/mailboxes", {"address": "anna@shop.test", "password": PASSWORD}).status_code == 201
    return api


def brake(office: Office) -> None:
    with unit_of_work(office.engine) as session:
        mailbox = session.scalars(select(Mailbox).where(Mailbox.folded == "anna")).unique().one()
        session.add(Sending(mailbox_id=mailbox.id, braked_at=1_700_000_000, brake_reason="300 different recipients"))


def test_an_app_password_is_made_listed_and_revoked(api: Api) -> None:
    """Its secret is in the first answer alone."""
    made = api("POST", ANNA + "/app-passwords", {"name": "phone"})
    assert made.status_code == 201
    assert len(made.json()["secret"]) == 23
    listed = api("GET", ANNA + "/app-passwords")
    assert [row["name"] for row in listed.json()["items"]] == ["phone"]
    assert made.json()["secret"] not in listed.text
    assert api("POST", ANNA + "/app-passwords", {"name": "phone"}).status_code == 409
    assert api("DELETE", ANNA + "/app-passwords/phone").status_code == 204
    assert api("DELETE", ANNA + "/app-passwords/phone").status_code == 404


def test_a_sender_is_given_and_taken(api: Api) -> None:
    """Twice given is given."""
    for _ in range(2):
        assert api("PUT", ANNA + "/senders/Team@shop.test").json() == {"sender": "team@shop.test"}
    assert api("GET", ANNA + "/senders").json()["items"] == [{"sender": "team@shop.test"}]
    assert api("PUT", ANNA + "/senders/boss@other.test").status_code == 404
    assert api("DELETE", ANNA + "/senders/team@shop.test").status_code == 204
    assert api("GET", ANNA + "/senders").json()["items"] == []


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        ("/app-passwords", [("POST", "", {"name": "pad"}), ("DELETE", "/phone", None)]),
        ("/senders", [("PUT", "/team@shop.test", None), ("DELETE", "/sales@shop.test", None)]),
    ],
)
def test_a_list_is_changed_as_it_was_seen(api: Api, path: str, changes: list[tuple[str, str, object]]) -> None:
    """RFC 9110 13.1.1; a list has one entity tag."""
    api("POST", ANNA + "/app-passwords", {"name": "phone"})
    api("PUT", ANNA + "/senders/sales@shop.test")
    for method, rest, body in changes:
        tag = api("GET", ANNA + path).headers["etag"]
        assert api(method, ANNA + path + rest, body, headers={"If-Match": '"other"'}).status_code == 412
        assert api("GET", ANNA + path).headers["etag"] == tag
        assert api(method, ANNA + path + rest, body, headers={"If-Match": tag}).status_code < 300
        assert api("GET", ANNA + path).headers["etag"] != tag


def test_limits_are_set_at_each_level(api: Api) -> None:
    """What is left out stays; null is no word of its own."""
    tenant = api("GET", "/tenants").json()["items"][0]["id"]
    for path in (ANNA, "/domains/shop.test", f"/tenants/{tenant}"):
        assert api("PATCH", path + "/sending", {"per_hour": 5, "per_day": 0}).status_code == 200
        assert api("PATCH", path + "/sending", {"per_hour": None}).status_code == 200
        shown = api("GET", path + "/sending").json()
        assert (shown["per_hour"], shown["per_day"]) == (None, 0)
    assert api("PATCH", "/domains/shop.test/sending", {"any_address": True}).json()["any_address"] is True
    for nobody in ("anna@shop.test", "1"):  # what has another meaning elsewhere
        assert api("GET", f"/domains/{nobody}/sending").status_code == 404
        assert api("PATCH", f"/domains/{nobody}/sending", {"per_hour": 1}).status_code == 404
    assert api("PATCH", ANNA + "/sending", {"any_address": True}).status_code == 409
    assert api("PATCH", ANNA + "/sending", {"per_hour": -1}).status_code == 422


def test_a_braked_mailbox_is_released(office: Office, api: Api) -> None:
    """Once."""
    assert api("POST", ANNA + "/sending/release").status_code == 409
    brake(office)
    assert api("GET", ANNA + "/sending").json()["brake_reason"] == "300 different recipients"
    assert api("POST", ANNA + "/sending/release").json()["braked_at"] is None


def test_the_page_shows_and_changes_it_all(office: Office, api: Api) -> None:
    """The operator's way through."""
    brake(office)
    browser = office.client().log_in()
    assert "Sending is stopped" in browser.get(ANNA).text
    page = browser.get(ANNA + "/sending")
    assert "300 different recipients" in page.text
    made = browser.post(ANNA + "/app-passwords", {"name": "my phone"})
    assert "Copy it now" in made.text
    browser.get(ANNA + "/sending")
    assert browser.post(ANNA + "/senders", {"sender": "team@shop.test"}).status_code == 303
    assert browser.post(ANNA + "/limits", {"per_hour": "7", "per_day": "", "brake": "yes"}).status_code == 303
    assert browser.post(ANNA + "/release", {}).status_code == 303
    page = browser.get(ANNA + "/sending")
    for word in ("my phone", "team@shop.test", 'value="7"'):
        assert word in page.text
    assert "Stopped" not in page.text
    assert "whole number" in browser.post(ANNA + "/limits", {"per_hour": "x", "per_day": "", "brake": ""}).text
    assert browser.post(ANNA + "/app-passwords/remove", {"name": "my phone"}).status_code == 303
    assert browser.post(ANNA + "/senders/remove", {"sender": "team@shop.test"}).status_code == 303
    page = browser.get(ANNA + "/sending")
    assert "No longer as" not in page.text


def test_an_owner_makes_his_own_app_passwords_and_nothing_else(office: Office, api: Api) -> None:
    """Not his limits, not his senders, and he does not let himself go."""
    brake(office)
    browser = office.client().log_in("anna@shop.test")
    page = browser.get(ANNA + "/sending")
    assert page.status_code == 200
    assert "Let it send again" not in page.text
    assert "Copy it now" in browser.post(ANNA + "/app-passwords", {"name": "phone"}).text
    browser.get(ANNA + "/sending")
    for path, form in (("/limits", {"per_hour": "0", "per_day": "0"}), ("/senders", {"sender": "x@shop.test"})):
        browser.post(ANNA + path, form)
    assert browser.post(ANNA + "/release", {}).status_code == 403
    with unit_of_work(office.engine) as session:
        assert mailboxes.get(session, "anna@shop.test", actor=SYSTEM) is not None
        row = session.scalars(select(Sending)).one()
        assert (row.per_hour, row.braked_at) == (None, 1_700_000_000)


def test_a_hash_of_another_program_is_taken_and_nonsense_is_not(api: Api) -> None:
    """With Dovecot's prefix; the sentence says which are known."""
    good = {"address": "ben@shop.test", "password_hash": "{SSHA}" + "c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0"}
    assert api("POST", "/mailboxes", good).status_code == 201
    bad = api("POST", "/mailboxes", {"address": "cat@shop.test", "password_hash": "{NTLM}abc"})
    assert bad.status_code == 422
    assert "SSHA" in bad.text


def test_pages_of_a_domain_and_a_tenant(office: Office, api: Api) -> None:
    """What all may send together; which mailboxes are stopped."""
    brake(office)
    tenant = api("GET", "/tenants").json()["items"][0]["id"]
    browser = office.client().log_in()
    for where in ("/domains/shop.test", f"/tenants/{tenant}"):
        page = browser.get(f"{where}/sending")
        assert page.status_code == 200
        assert ("anna@shop.test" in page.text) is where.startswith("/domains")
        form = {"per_hour": "9", "per_day": "", "any_address": "yes"}
        assert browser.post(f"{where}/sending", form).status_code == 303
        assert 'value="9"' in browser.get(f"{where}/sending").text
        assert "whole number" in browser.post(f"{where}/sending", {"per_hour": "-1", "per_day": ""}).text
    assert api("GET", "/domains/shop.test/sending").json()["any_address"] is True
    assert "/sending" in browser.get("/domains/shop.test/settings").text
