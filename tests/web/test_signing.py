"""What a domain's mail is signed with, over the API and in the panel."""

import re

from appliance.database.session import unit_of_work
from appliance.services import dkim, domains
from tests.fixtures.panel import SYSTEM, Office

HERE = "/domains/shop.test"


def make_domain(office: Office) -> None:
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM)


def test_keys_are_made_exchanged_and_shown_over_the_api(office: Office) -> None:
    """Each with its record, none with its private half; a step that is not due is a conflict."""
    make_domain(office)
    api = office.api()
    assert api("GET", f"{HERE}/dkim").json() == {"items": []}
    assert api("POST", f"{HERE}/dkim/rotate?dry_run=true").status_code == 200
    assert api("GET", f"{HERE}/dkim").json() == {"items": []}
    first = api("POST", f"{HERE}/dkim/rotate").json()["items"]
    assert [(key["algorithm"], key["state"]) for key in first] == [
        ("rsa-sha256", "signing"),
        ("ed25519-sha256", "signing"),
    ]
    assert first[0]["record_name"] == f"{first[0]['selector']}._domainkey.shop.test"
    assert first[0]["record"].startswith("v=DKIM1; k=rsa; p=")
    assert not any("sealed" in member for member in first[0])
    assert api("POST", f"{HERE}/dkim/finish").status_code == 409
    second = api("POST", f"{HERE}/dkim/rotate").json()["items"]
    assert [key["state"] for key in second] == ["signing", "signing", "next", "next"]
    assert api("POST", f"{HERE}/dkim/rotate").status_code == 409
    third = api("POST", f"{HERE}/dkim/finish").json()["items"]
    assert [key["state"] for key in third] == ["retired", "retired", "signing", "signing"]
    assert api("GET", f"{HERE}/dkim").json()["items"] == third
    assert api("GET", "/domains/nowhere.test/dkim").status_code == 404


def test_keys_are_exchanged_as_they_were_seen(office: Office) -> None:
    """RFC 9110 13.1.1: who did not see that the next keys are there already makes no others in their place."""
    api = office.api()
    api("POST", "/domains", {"name": "shop.test"})
    path = "/domains/shop.test/dkim"
    for deed in ("rotate", "rotate", "finish"):
        tag = api("GET", path).headers["etag"]
        assert api("POST", f"{path}/{deed}", headers={"If-Match": '"other"'}).status_code == 412
        done = api("POST", f"{path}/{deed}", headers={"If-Match": tag})
        assert done.status_code == 200
        assert api("GET", path).headers["etag"] == done.headers["etag"] != tag


def test_the_panel_shows_what_to_publish_and_leads_through_the_exchange(office: Office) -> None:
    """One button at a time; who presses one twice changes nothing more."""
    make_domain(office)
    page = office.client().log_in()
    assert "being made" in page.get(f"{HERE}/signing").text
    page.post(f"{HERE}/signing/rotate")
    text = page.get(f"{HERE}/signing").text
    assert len(re.findall(r"v=DKIM1; k=", text)) == 2
    assert "Sign with them" not in text
    page.post(f"{HERE}/signing/rotate")
    text = page.get(f"{HERE}/signing").text
    assert "Sign with them" in text
    assert "Make the next keys" not in text
    assert page.post(f"{HERE}/signing/finish").headers["location"] == f"{HERE}/signing"
    text = page.get(f"{HERE}/signing").text
    assert "Former keys" in text
    assert len(re.findall(r"v=DKIM1; k=", text)) == 4
    assert page.post(f"{HERE}/signing/finish").status_code == 409
    with unit_of_work(office.engine) as session:
        states = [key.state for key in dkim.keys_of(session, "shop.test", actor=SYSTEM)]
    assert states == ["retired", "retired", "signing", "signing"]
