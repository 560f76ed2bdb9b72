"""Webhooks in the API: made, changed, tried out, and their secret shown once."""

import pytest

from appliance.database.session import unit_of_work
from appliance.models import WebhookDelivery
from appliance.models.base import now
from appliance.services import keys
from appliance.services.webhooks import MAX_WAITING, MAX_WEBHOOKS
from tests.fixtures.panel import SYSTEM, Api, Office

URL = "https://billing.example.com/hook"


@pytest.fixture
def api(office: Office) -> Api:
    return office.api()


def make(api: Api, **more: object) -> dict[str, object]:
    made = api("POST", "/webhooks", {"url": URL, **more})
    assert made.status_code == 201, made.text
    return made.json()


def test_the_secret_is_shown_once(api: Api) -> None:
    made = api("POST", "/webhooks", {"url": URL}, headers={"Idempotency-Key": "1"})
    shown = made.json()
    assert shown["secret"].startswith("whsec_")
    assert made.headers["location"] == f"/api/v1/webhooks/{shown['id']}"
    path = f"/webhooks/{shown['id']}"
    assert "secret" not in api("GET", path).json()
    again = api("POST", "/webhooks", {"url": URL}, headers={"Idempotency-Key": "1"}).json()
    assert again == {name: value for name, value in shown.items() if name != "secret"}
    rotated = api("POST", f"{path}/rotate", {"overlap_hours": 1}).json()
    assert rotated["secret"] not in ("", shown["secret"])
    assert "whsec_" not in api("GET", "/audit", params={"limit": 500}).text


def test_it_begins_with_what_happens_from_now_on_or_where_one_likes(api: Api) -> None:
    assert make(api)["told"] == api("GET", "/events", params={"limit": 500}).json()["last"]
    assert make(api, after=3)["told"] == 3


def test_a_change_is_made_to_what_was_seen(api: Api) -> None:
    path = f"/webhooks/{make(api)['id']}"
    tag = api("GET", path).headers["etag"]
    changed = api("PATCH", path, {"types": ["mailbox."], "enabled": False}, headers={"If-Match": tag})
    assert (changed.json()["types"], changed.json()["enabled"]) == (["mailbox."], False)
    for method, body in (("PATCH", {"enabled": True}), ("DELETE", None)):
        assert api(method, path, body, headers={"If-Match": tag}).status_code == 412
    assert api("DELETE", path, headers={"If-Match": changed.headers["etag"]}).status_code == 204
    assert api("GET", path).status_code == 404


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://example.com:8443/", "https://127.0.0.1/", "https://[::1]/", "https://u:p@example.com/",
        "https://example.com/#x", "https://localhost/", "https:///x", "ftp://example.com/", "https://example.com:x/",
        "https://example.com/\u00e9", "https://exa mple.com/", "https://[/", "x", f"https://example.com/{'x' * 901}",
    ],
)  # fmt: skip
def test_only_an_address_that_may_be_called_is_taken(api: Api, url: str) -> None:
    refused = api("POST", "/webhooks", {"url": url})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "url"


def test_an_international_host_is_called_by_its_other_name(api: Api) -> None:
    assert make(api, url="https://B\u00fccher.example/x?y=1")["url"] == "https://xn--bcher-kva.example/x?y=1"


def test_a_path_that_may_be_secret_is_not_in_the_audit_log(api: Api) -> None:
    made = make(api, url=f"{URL}/token-1")
    api("PATCH", f"/webhooks/{made['id']}", {"url": f"{URL}/token-2"})
    told = api("GET", "/audit", params={"subject": f"webhook {made['id']}"})
    assert [entry["action"] for entry in told.json()["items"]] == ["webhook.changed", "webhook.created"]
    assert "token-" not in told.text


def test_a_test_waits_until_it_was_sent_and_not_too_many_do(office: Office, api: Api) -> None:
    path = f"/webhooks/{make(api)['id']}"
    asked = api("POST", f"{path}/test")
    assert (asked.status_code, asked.json()["waits"], asked.json()["event_id"]) == (202, True, 0)
    assert asked.headers["location"] == f"/api/v1{path}/deliveries/{asked.json()['id']}"
    for _ in range(MAX_WAITING - 1):
        assert api("POST", f"{path}/test").status_code == 202
    assert api("POST", f"{path}/test").json()["code"] == "too_many_deliveries"
    assert len(api("GET", f"{path}/deliveries").json()["items"]) == MAX_WAITING
    with unit_of_work(office.engine) as session:
        session.get_one(WebhookDelivery, asked.json()["id"]).waits = False
    assert api("POST", f"{path}/deliveries/{asked.json()['id']}/repeat").status_code == 202
    first = api("GET", f"{path}/deliveries", params={"limit": 1}).json()
    second = api("GET", f"{path}/deliveries", params={"limit": 1, "cursor": first["next"]}).json()
    assert first["items"][0]["id"] > second["items"][0]["id"]


def test_a_dry_run_tells_nobody_anything(api: Api) -> None:
    path = f"/webhooks/{make(api)['id']}"
    assert api("POST", f"{path}/test?dry_run=true").status_code == 202
    assert api("GET", f"{path}/deliveries").json()["items"] == []
    assert api("POST", "/webhooks?dry_run=true", {"url": URL}).status_code == 201
    assert len(api("GET", "/webhooks").json()["items"]) == 1


def test_a_tenant_has_so_many_at_most_and_takes_them_along(office: Office, api: Api) -> None:
    tenant = office.tenant("Mine Ltd")
    for _ in range(MAX_WEBHOOKS):
        make(api, tenant_id=tenant)
    assert api("POST", "/webhooks", {"url": URL, "tenant_id": tenant}).status_code == 409
    assert api("DELETE", f"/tenants/{tenant}").status_code == 204
    assert api("GET", "/webhooks").json()["items"] == []


def test_a_key_with_limits_makes_none(office: Office) -> None:
    """It would be told what the key may not read, and for longer than the key is good."""
    with unit_of_work(office.engine) as session:
        scope = keys.Scope(expires_at=now() + 3600)
        secret = keys.create(session, actor=SYSTEM, scope=scope).secret
    api = office.api()
    api.client.headers["Authorization"] = f"Bearer {secret}"
    refused = api("POST", "/webhooks", {"url": URL})
    assert refused.status_code == 403


def test_nobody_else_sees_it(office: Office, api: Api) -> None:
    mine, theirs = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd")
    made = make(office.api(mine))
    assert made["tenant_id"] == mine
    for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        answer = office.api(theirs)(method, f"/webhooks/{made['id']}{path}", {} if method == "PATCH" else None)
        assert answer.status_code == 404
    assert office.api(theirs)("GET", "/webhooks").json()["items"] == []
    assert [one["id"] for one in api("GET", "/webhooks", params={"tenant_id": mine}).json()["items"]] == [made["id"]]
