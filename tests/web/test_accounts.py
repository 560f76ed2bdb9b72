"""Accounts in the API: who administers, his password, and where he is logged in."""

import pytest

from appliance.database.session import unit_of_work
from appliance.services import sessions
from tests.fixtures.panel import OPERATOR, PASSWORD, Api, Office

PATH = "/accounts/anna"


@pytest.fixture
def api(office: Office) -> Api:
    return office.api()


def make(api: Api, **more: object) -> dict[str, object]:
    made = api("POST", "/accounts", {"name": "anna", **more})
    assert made.status_code == 201, made.text
    return made.json()


def logs_in(office: Office, password: str) -> bool:
    browser = office.client()
    browser.get("/login")
    return bool(browser.post("/login", {"name": "anna", "password": password}).status_code == 303)


def test_without_a_password_there_is_a_one_time_one_shown_once(office: Office, api: Api) -> None:
    tenant = office.tenant("Mine Ltd")
    body = {"name": "anna", "tenant_id": tenant, "must_change": False}
    made = api("POST", "/accounts", body, headers={"Idempotency-Key": "1"}).json()
    assert (made["kind"], made["tenant_id"], made["must_change"]) == ("customer", tenant, True)
    assert logs_in(office, made["one_time_password"])
    again = api("POST", "/accounts", body, headers={"Idempotency-Key": "1"})
    assert (again.status_code, "one_time_password" in again.json()) == (201, False)
    assert made["one_time_password"] not in api("GET", "/audit", params={"limit": 500}).text


def test_a_password_of_ones_own_may_stay(office: Office, api: Api) -> None:
    made = make(api, password=PASSWORD, must_change=False)
    assert (made["one_time_password"], made["must_change"], made["kind"]) == (None, False, "operator")
    assert logs_in(office, PASSWORD)


def test_an_administrator_of_a_domain_has_the_rights_that_he_is_given(api: Api) -> None:
    api("POST", "/domains", {"name": "shop.test"})
    made = make(api, domain="shop.test", rights=["aliases"])
    assert (made["kind"], made["domain"], made["rights"]) == ("domain", "shop.test", ["aliases"])
    changed = api("PATCH", PATH, {"rights": None}, headers={"If-Match": api("GET", PATH).headers["etag"]})
    assert changed.json()["rights"] is None
    assert api("PATCH", PATH, {}).json() == changed.json()
    assert api("PATCH", PATH, {"rights": ["dance"]}).status_code == 422
    assert api("PATCH", PATH, {"rights": []}, headers={"If-Match": '"1"'}).status_code == 412


def test_another_password_ends_all_sessions(office: Office, api: Api) -> None:
    make(api, password=PASSWORD)
    with unit_of_work(office.engine) as session:
        for source in ("192.0.2.1", "192.0.2.2", "192.0.2.3"):
            sessions.create(session, "anna", source=source)
    found = api("GET", f"{PATH}/sessions").json()["items"]
    assert [one["source"] for one in found] == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]
    assert set(found[0]) == {"id", "source", "created_at", "expires_at"}
    assert api("DELETE", f"{PATH}/sessions/{found[1]['id']}").status_code == 204
    assert api("DELETE", f"{PATH}/sessions/{found[1]['id']}").status_code == 404
    assert len(api("GET", f"{PATH}/sessions").json()["items"]) == 2
    shown = api("POST", f"{PATH}/password").json()
    assert logs_in(office, shown["one_time_password"])
    assert not logs_in(office, PASSWORD)
    assert len(api("GET", f"{PATH}/sessions").json()["items"]) == 1
    assert api("DELETE", f"{PATH}/sessions?dry_run=true").status_code == 200
    assert api("DELETE", f"{PATH}/sessions").status_code == 204
    assert api("GET", f"{PATH}/sessions").json()["items"] == []
    assert api("POST", f"{PATH}/password", {"password": "short"}).status_code == 422


def test_a_session_of_somebody_else_is_not_ended_by_his_number(office: Office, api: Api) -> None:
    make(api, password=PASSWORD)
    with unit_of_work(office.engine) as session:
        number = sessions.create(session, OPERATOR).id
    assert api("DELETE", f"{PATH}/sessions/{number}").status_code == 404
    assert len(api("GET", f"/accounts/{OPERATOR}/sessions").json()["items"]) == 1


def test_the_last_operator_stays(api: Api) -> None:
    refused = api("DELETE", f"/accounts/{OPERATOR}")
    assert (refused.status_code, refused.json()["code"]) == (409, "last_operator")
    make(api, password=PASSWORD)
    assert api("DELETE", f"/accounts/{OPERATOR}").status_code == 204


def test_everybody_sees_his_own(office: Office, api: Api) -> None:
    mine, theirs = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd")
    make(office.api(mine), password=PASSWORD)
    assert [one["name"] for one in office.api(mine)("GET", "/accounts").json()["items"]] == ["anna"]
    assert office.api(theirs)("GET", "/accounts").json()["items"] == []
    assert office.api(theirs)("GET", PATH).status_code == 404
    assert office.api(theirs)("POST", "/accounts", {"name": "anna"}).status_code == 409
    assert office.api(mine)("POST", "/accounts", {"name": "ben", "tenant_id": theirs}).status_code == 404
    assert office.api(mine)("DELETE", f"/accounts/{OPERATOR}").status_code == 404
    named = api("GET", "/accounts", params={"search": "ann", "tenant_id": mine}).json()["items"]
    assert [one["name"] for one in named] == ["anna"]
