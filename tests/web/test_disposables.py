"""An owner's addresses of his own making, on his page and by the API; and that they are aliases to everybody else."""

import re

import pytest

from appliance.database.session import unit_of_work
from appliance.services import domains, mailboxes
from tests.fixtures.panel import PASSWORD, SYSTEM, Browser, Office

ANNA = "anna@shop.test"
PAGE = f"/mailboxes/{ANNA}/addresses"


@pytest.fixture
def anna(office: Office) -> Browser:
    """Signed in as the owner of a mailbox, with nothing else."""
    with unit_of_work(office.engine) as session:
        domains.create(session, "shop.test", actor=SYSTEM, tenant_id=office.tenant("Shop"))
        mailboxes.create(session, ANNA, actor=SYSTEM, sealed_hash=office.sealer.seal_password(PASSWORD, ANNA))
    return office.client().log_in(ANNA)


def test_an_owner_makes_one_switches_it_off_and_removes_it(office: Office, anna: Browser) -> None:
    assert "Give each shop an address of its own" in anna.get(PAGE).text
    done = anna.post(PAGE, {"word": "lamps", "note": "<b>the shop</b>", "expires": "2099-12-31"})
    assert done.headers["location"] == PAGE
    page = anna.get(PAGE).text
    found = re.search(r"lamps\.[a-z0-9]{6}@shop\.test", page)
    assert found is not None
    made = found[0]
    assert "&lt;b&gt;the shop&lt;/b&gt;" in page
    assert "31 December 2099" in page
    anna.post(f"{PAGE}/switch", {"disposable": made, "enabled": "no"})
    assert f"Switch on {made}" in anna.get(PAGE).text
    form = anna.get(f"{PAGE}?change={made}").text
    assert 'value="&lt;b&gt;the shop&lt;/b&gt;"' in form
    assert 'value="2099-12-31"' in form
    refused = anna.post(f"{PAGE}/change", {"disposable": made, "note": "sold", "expires": "soon"})
    assert 'id="expires-error"' in refused.text
    assert 'value="sold"' in refused.text
    anna.post(f"{PAGE}/change", {"disposable": made, "note": "sold", "expires": ""})
    page = anna.get(PAGE).text
    assert "sold" in page
    assert "31 December 2099" not in page
    anna.post(f"{PAGE}/remove", {"disposable": made})
    assert made not in anna.get(PAGE).text.partition("<main")[2].partition("</main>")[2]
    assert anna.post(f"{PAGE}/remove", {"disposable": made}).status_code == 404


def test_what_is_refused_stands_beside_its_field_and_is_kept(anna: Browser) -> None:
    anna.get(PAGE)
    for field, typed in (("word", "two words"), ("name", "admin"), ("expires", "2001-01-01"), ("note", "x" * 201)):
        refused = anna.post(PAGE, {field: typed})
        assert refused.status_code in (403, 409, 422)
        assert f'id="{field}-error"' in refused.text
        assert typed in refused.text
    assert anna.post(f"{PAGE}/change", {"disposable": "x@shop.test", "expires": "soon"}).status_code == 422


def test_who_manages_the_domain_is_not_taken_for_the_owner(office: Office, anna: Browser) -> None:
    """Where he reads of the owner he is not called so, and he may choose any name."""
    operator = office.client().log_in()
    assert "Only the owner and whoever manages the domain" in operator.get(PAGE).text
    assert "Any name that is free" in operator.get(PAGE).text
    assert "Only you and whoever manages the domain" in anna.get(PAGE).text
    assert "It begins with your own name" in anna.get(PAGE).text
    assert "while the owner is away" in operator.get(PAGE.replace("addresses", "away")).text


def test_programs_make_change_and_remove_them(office: Office, anna: Browser) -> None:
    api, where = office.api(), f"/mailboxes/{ANNA}/disposables"
    made = api("POST", where, {"name": "anna.lamps", "note": "lamps"})
    assert (made.status_code, made.json()["address"]) == (201, "anna.lamps@shop.test")
    assert api("PATCH", f"{where}/anna.lamps@shop.test", {"enabled": False}).json()["enabled"] is False
    alias = api("GET", "/aliases/anna.lamps@shop.test").json()
    assert (alias["enabled"], alias["note"], alias["targets"]) == (False, "lamps", [ANNA])
    foreseen = api("PATCH", f"{where}/anna.lamps@shop.test?dry_run=true", {"enabled": True})
    assert foreseen.json()["dry_run"]["starts"] == ["anna.lamps@shop.test"]
    document = api("GET", "/export").json()["aliases"]
    assert document == [{"address": "anna.lamps@shop.test", "targets": [ANNA], "note": "lamps", "enabled": False}]
    assert api("PUT", "/apply", {"aliases": document}).json()["plan"] == []
    assert [row["address"] for row in api("GET", where).json()["items"]] == ["anna.lamps@shop.test"]
    assert api("DELETE", f"{where}/anna.lamps@shop.test").status_code == 200
    assert api("GET", where).json()["items"] == []
