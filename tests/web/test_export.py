"""What is exported is what PUT /apply takes: applied at home it changes nothing, applied to an empty house it makes all of it."""

import pytest

from tests.fixtures.panel import Office


def fill(api) -> None:
    api("POST", "/domains", {"name": "shop.test"})
    api("POST", "/domains", {"name": "other.test", "alias_of": "shop.test"})
    for name in ("anna", "ben"):
        assert api("POST", "/mailboxes", {"address": f"{name}@shop.test", "quota_bytes": 1 << 20}).status_code == 201
    api("PUT", "/mailboxes/anna@shop.test/forwarding", {"targets": ["ben@shop.test"], "keep_copy": False})
    api("POST", "/aliases", {"address": "team@shop.test", "targets": ["anna@shop.test", "ben@shop.test"]})
    assert api("PATCH", "/domains/shop.test", {"catch_all": "ben@shop.test"}).status_code == 200


def test_at_home_there_is_nothing_to_do(office: Office) -> None:
    api = office.api()
    fill(api)
    document = api("GET", "/export").json()
    assert len(document["mailboxes"]) >= 2
    planned = api("PUT", "/apply?dry_run=true", document)
    assert (planned.status_code, planned.json()["plan"]) == (200, [])


def test_a_customer_exports_his_own(office: Office) -> None:
    fill(office.api())
    document = office.api(office.tenant("somebody"))("GET", "/export").json()
    assert document == {"domains": [], "mailboxes": [], "aliases": []}


@pytest.mark.parametrize("wrong", ["tenant_id=0", "tenant_id=x", "tenants=1"])
def test_what_makes_no_sense_is_refused(office: Office, wrong: str) -> None:
    assert office.api()("GET", f"/export?{wrong}").status_code == 422
