"""The REST API as a program sees it."""

import re
from collections.abc import Callable, Iterator

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from appliance.database.session import reading, unit_of_work
from appliance.models import AuditEntry, Change, Domain, ForwardingTarget, GivenAnswer, Route
from appliance.services import addresses, domains, mailboxes
from appliance.services.certificates import make_self_signed
from tests.fixtures.panel import HOST, PASSWORD, SYSTEM, Api, Office, make_office

NOWHERE = "pk_0123456789abcdef_" + "0" * 64


@pytest.fixture
def api(office: Office) -> Api:
    return office.api()


@pytest.fixture
def shop(api: Api) -> Api:
    """With a domain, and anna and ben in it."""
    assert api("POST", "/domains", {"name": "shop.test"}).status_code == 201
    for name in ("anna", "ben"):
        assert api("POST", "/mailboxes", {"address": f"{name}@shop.test"}).status_code == 201
    return api


def state_of(office: Office) -> tuple[int, int]:
    """Moves with every change whatever."""
    with reading(office.engine) as session:
        entries = session.scalar(select(func.max(AuditEntry.id))) or 0
        return entries, session.scalar(select(func.max(Change.id))) or 0


def expect_problem(response: object, status: int, code: str, field: str | None = None) -> dict[str, object]:
    """RFC 9457, with what our promise adds to it."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["code"] == code, problem
    assert problem["title"]
    assert problem["detail"]
    assert "Traceback" not in response.text
    if field is not None:
        assert field in [fault["field"] for fault in problem["errors"]], problem
        assert all(fault["detail"] for fault in problem["errors"])
    return problem


# ---- keys


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, "not_signed_in"),
        ("Basic b3BlcmF0b3I6eA==", "not_signed_in"),
        ("Bearer", "not_signed_in"),
        ("Bearer nonsense", "bad_key"),
        (f"Bearer {NOWHERE}", "bad_key"),
        (f"Bearer {NOWHERE}\u00e9", "bad_key"),
    ],
)
def test_without_a_good_key_nothing_opens(office: Office, header: str | None, code: str) -> None:
    client = office.api().client
    client.headers.pop("Authorization")
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    response = client.get("/api/v1/domains", headers=headers)
    expect_problem(response, 401, code)
    assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_session_cookie_opens_nothing_in_the_api(office: Office) -> None:
    """So no other site can make a browser change anything there."""
    browser = office.client().log_in()
    assert browser.get("/api/v1/domains").status_code == 401
    assert browser.client.post("/api/v1/domains", json={"name": "forged.test"}).status_code == 401


def test_a_wrong_secret_of_a_key_that_exists_is_refused_by_the_authenticator(office: Office, api: Api) -> None:
    key = api.client.headers["Authorization"]
    api.client.headers["Authorization"] = key[:-4] + ("0000" if not key.endswith("0000") else "1111")
    expect_problem(api("GET", "/me"), 401, "bad_key")
    assert office.authenticator.asked[-1][0] == "key"


def test_while_the_authenticator_is_away_the_answer_is_try_later(office: Office, api: Api) -> None:
    office.authenticator.away = True
    expect_problem(api("GET", "/me"), 503, "authenticator_away")


def test_a_key_is_made_shown_once_and_revoked(office: Office, api: Api) -> None:
    made = api("POST", "/keys", {"name": "Billing"}).json()
    assert re.fullmatch(r"pk_[0-9a-f]{16}_[0-9a-f]{64}", made["secret"])
    assert "secret" not in api("GET", f"/keys/{made['id']}").json()
    assert api("DELETE", f"/keys/{made['id']}").status_code == 204
    assert api("GET", f"/keys/{made['id']}").json()["revoked_at"]
    other = office.api()
    other.client.headers["Authorization"] = f"Bearer {made['secret']}"
    expect_problem(other("GET", "/me"), 401, "bad_key")


def test_me_says_whom_the_key_acts_for(office: Office, api: Api) -> None:
    assert api("GET", "/me").json()["kind"] == "operator"
    tenant = office.tenant("Customer")
    assert office.api(tenant)("GET", "/me").json() | {"name": ""} == {
        "kind": "customer", "name": "", "tenant_id": tenant, "domain_id": None, "actions": None, "addresses": None,
    }  # fmt: skip


# ---- domains


def test_a_domain_is_made_read_changed_and_removed(office: Office, api: Api) -> None:
    made = api("POST", "/domains", {"name": "Bücher.Test"})
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/domains/xn--bcher-kva.test"
    assert made.json()["name"] == "xn--bcher-kva.test"
    assert made.json()["unicode_name"] == "bücher.test"
    assert api("GET", made.headers["location"].removeprefix("/api/v1")).json() == made.json()
    assert api("PATCH", "/domains/bücher.test", {"validation": "never"}).status_code == 422
    assert api("PATCH", "/domains/bücher.test", {"validation": "rcpt"}).json()["validation"] == "rcpt"
    assert api("POST", "/domains/bücher.test/suspend").json()["suspended"] is True
    assert api("POST", "/domains/bücher.test/resume").json()["suspended"] is False
    assert api("DELETE", "/domains/bücher.test").status_code == 200
    expect_problem(api("GET", "/domains/bücher.test"), 404, "not_found")
    assert office.compiler.pokes == 5


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"name": "shop.test"}, 409, "domain_taken", "name"),
        ({"name": "SHOP.test."}, 409, "domain_taken", "name"),
        ({"name": "not a domain"}, 422, "bad_domain", "name"),
        ({"name": "single"}, 422, "bad_domain", "name"),
        ({"name": "a..test"}, 422, "bad_domain", "name"),
        ({"name": "x" * 64 + ".test"}, 422, "bad_domain", "name"),
        ({"name": "\x00.test"}, 422, "bad_domain", "name"),
        ({"name": "x" * 1001}, 422, "invalid", "name"),
        ({"name": 7}, 422, "invalid", "name"),
        ({"name": None}, 422, "invalid", "name"),
        ({}, 422, "invalid", "name"),
        ({"name": "new.test", "colour": "red"}, 422, "invalid", "colour"),
        ({"name": "new.test", "tenant_id": 999}, 404, "not_found", None),
        ({"name": "new.test", "tenant_id": "1"}, 422, "invalid", "tenant_id"),
        ({"name": "new.test", "alias_of": "nowhere.test"}, 404, "not_found", None),
        ([], 422, "invalid", None),
    ],
)
def test_a_bad_domain_is_refused_with_field_and_reason(
    office: Office, shop: Api, body: object, status: int, code: str, field: str | None
) -> None:
    before = state_of(office)
    expect_problem(shop("POST", "/domains", body), status, code, field)
    assert state_of(office) == before


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"null", b'{"name": "a.test", "name": 1}', b'{"name": "\\ud800.test"}']
)
def test_a_body_that_is_no_json_object_is_refused(shop: Api, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = shop.client.post("/api/v1/domains", content=content, headers=headers)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_unknown_addresses_of_the_api_are_problems_too(api: Api) -> None:
    expect_problem(api("GET", "/nothing"), 404, "not_found")
    expect_problem(api("PUT", "/domains"), 405, "method_not_allowed")


# ---- mailboxes


def test_a_mailbox_is_made_with_a_password_a_hash_or_neither(office: Office, shop: Api) -> None:
    hashed = PasswordHasher(time_cost=1, memory_cost=8192).hash("hashed elsewhere")
    shop("POST", "/mailboxes", {"address": "carl@shop.test", "password": PASSWORD, "quota_bytes": 1 << 30})
    shop("POST", "/mailboxes", {"address": "dora@shop.test", "password_hash": hashed})
    assert shop("GET", "/mailboxes/carl@shop.test").json()["quota_bytes"] == 1 << 30
    assert office.authenticator.verify_password("mailbox", "carl@shop.test", PASSWORD)
    assert office.authenticator.verify_password("mailbox", "dora@shop.test", "hashed elsewhere")
    assert shop("GET", "/mailboxes/anna@shop.test").json()["has_password"] is False


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"address": "anna@shop.test"}, 409, "address_taken", "address"),
        ({"address": "ANNA@Shop.test"}, 409, "address_taken", "address"),
        ({"address": "shop.test"}, 422, "bad_address", "address"),
        ({"address": "two words@shop.test"}, 422, "bad_address", "address"),
        ({"address": ".x@shop.test"}, 422, "bad_address", "address"),
        ({"address": "x" * 65 + "@shop.test"}, 422, "bad_address", "address"),
        ({"address": "x\r\n@shop.test"}, 422, "bad_address", "address"),
        ({"address": "x@elsewhere.test"}, 404, "not_found", None),
        ({"address": "x@shop.test", "password": "short"}, 422, "bad_password", "password"),
        ({"address": "x@shop.test", "password": "p" * 1001}, 422, "invalid", "password"),
        ({"address": "x@shop.test", "password_hash": "$2b$12$abc"}, 422, "bad_password_hash", "password_hash"),
        ({"address": "x@shop.test", "password": PASSWORD, "password_hash": "y"}, 422, "two_passwords", "password_hash"),
        ({"address": "x@shop.test", "quota_bytes": -1}, 422, "invalid", "quota_bytes"),
        ({"address": "x@shop.test", "quota_bytes": 1 << 61}, 422, "invalid", "quota_bytes"),
        ({"address": "x@shop.test", "quota_bytes": 1 << 80}, 422, "invalid", "quota_bytes"),
        ({"address": "x@shop.test", "quota_bytes": 1.5}, 422, "invalid", "quota_bytes"),
    ],
)
def test_a_bad_mailbox_is_refused_with_field_and_reason(
    office: Office, shop: Api, body: dict[str, object], status: int, code: str, field: str | None
) -> None:
    before = state_of(office)
    response = shop("POST", "/mailboxes", body)
    expect_problem(response, status, code, field)
    assert str(body.get("password", "short")) not in response.text, "a refused password must not come back"
    assert state_of(office) == before


def test_a_mailbox_is_changed_suspended_and_removed(shop: Api) -> None:
    here = "/mailboxes/anna@shop.test"
    assert shop("PATCH", here, {"quota_bytes": 5, "display_name": "Anna"}).json()["quota_bytes"] == 5
    assert shop("PATCH", here, {}).json()["display_name"] == "Anna"
    assert shop("POST", f"{here}/suspend").json()["suspended"] is True
    assert shop("POST", f"{here}/resume").json()["suspended"] is False
    assert shop("DELETE", here).status_code == 200
    expect_problem(shop("GET", here), 404, "not_found")
    expect_problem(shop("DELETE", here), 404, "not_found")


def test_the_password_is_set_and_taken_away(office: Office, shop: Api) -> None:
    here = "/mailboxes/anna@shop.test/password"
    assert shop("PUT", here, {"password": PASSWORD}).status_code == 204
    assert office.authenticator.verify_password("mailbox", "anna@shop.test", PASSWORD)
    expect_problem(shop("PUT", here, {}), 422, "no_password", "password")
    expect_problem(shop("PUT", here, {"password": "x"}), 422, "bad_password", "password")
    assert shop("PUT", here, {"password": None}).status_code == 204
    assert not office.authenticator.verify_password("mailbox", "anna@shop.test", PASSWORD)


def test_an_address_with_a_slash_is_reached(shop: Api) -> None:
    where = shop("POST", "/mailboxes", {"address": "a/password@shop.test"}).headers["location"].removeprefix("/api/v1")
    assert shop("GET", where).json()["address"] == "a/password@shop.test"
    assert shop("PUT", f"{where}/password", {"password": PASSWORD}).status_code == 204


def test_forwarding_is_put_read_and_deleted(shop: Api) -> None:
    here = "/mailboxes/anna@shop.test/forwarding"
    expect_problem(shop("GET", here), 404, "not_found")
    body = {"targets": ["Ben@shop.test"], "keep_copy": False, "enabled": True}
    told = {**body, "targets": ["ben@shop.test"], "conditions": None, "failing": [], "waiting": []}
    assert shop("PUT", here, body).json() == told
    assert shop("GET", here).json()["keep_copy"] is False
    assert shop("DELETE", here).status_code == 204
    assert shop("DELETE", here).status_code == 204
    expect_problem(shop("GET", here), 404, "not_found")


def test_a_dead_target_is_shown_until_the_targets_are_set_anew(office: Office, shop: Api) -> None:
    here, body = "/mailboxes/anna@shop.test/forwarding", {"targets": ["Ben@away.test", "x@away.test"]}
    shop("PUT", here, body)
    with unit_of_work(office.engine) as session:
        row = session.scalars(select(ForwardingTarget).where(ForwardingTarget.address == "Ben@away.test")).one()
        row.failed_at, row.failure = 1_800_000_000, "5.1.1 no such user"
    (failing,) = shop("GET", here).json()["failing"]
    assert failing == {"address": "Ben@away.test", "failed_at": "2027-01-15T08:00:00Z", "failure": "5.1.1 no such user"}
    assert shop("PUT", here, body).json()["failing"] == []


@pytest.mark.parametrize(
    ("targets", "status", "code"),
    [
        (["nobody@shop.test"], 422, "target_unknown"),
        (["anna@shop.test"], 409, "forward_loop"),
        (["ben"], 422, "bad_address"),
        ([], 422, "no_targets"),
        (["ben@shop.test", 7], 422, "invalid"),
    ],
)
def test_a_forwarding_that_leads_nowhere_is_refused(
    office: Office, shop: Api, targets: list[object], status: int, code: str
) -> None:
    before = state_of(office)
    problem = expect_problem(shop("PUT", "/mailboxes/anna@shop.test/forwarding", {"targets": targets}), status, code)
    assert problem["errors"][0]["field"].startswith("targets")
    assert state_of(office) == before


def test_a_ring_over_several_forwardings_is_refused_when_it_would_close(shop: Api) -> None:
    assert shop("PUT", "/mailboxes/anna@shop.test/forwarding", {"targets": ["ben@shop.test"]}).status_code == 200
    problem = expect_problem(
        shop("PUT", "/mailboxes/ben@shop.test/forwarding", {"targets": ["anna@shop.test"]}), 409, "forward_loop"
    )
    assert "anna@shop.test" in problem["detail"]


# ---- aliases


def test_an_alias_is_made_changed_and_removed(shop: Api) -> None:
    body = {"address": "Sales@shop.test", "targets": ["anna@shop.test", "ben@shop.test"]}
    made = shop("POST", "/aliases", body)
    assert made.status_code == 201
    assert made.json()["targets"] == body["targets"]
    assert shop("PATCH", "/aliases/sales@shop.test", {"targets": ["ben@shop.test"]}).json()["targets"] == [
        "ben@shop.test"
    ]
    expect_problem(shop("POST", "/aliases", body), 409, "address_taken", "address")
    expect_problem(shop("POST", "/mailboxes", {"address": "sales@shop.test"}), 409, "address_taken", "address")
    assert shop("DELETE", "/aliases/sales@shop.test").status_code == 200
    expect_problem(shop("GET", "/aliases/sales@shop.test"), 404, "not_found")


# ---- relayed domains


def test_a_relayed_domain_is_made_and_its_password_never_shown(office: Office, api: Api) -> None:
    made = api(
        "POST", "/domains",
        {"name": "away.test", "next_hop": "mail.away.test", "source": "ldap", "source_password": "hush hush",
         "source_settings": {"url": "ldaps://ldap.away.test", "base": "dc=away"}},
    )  # fmt: skip
    assert made.status_code == 201, made.text
    told = made.json()
    assert (told["kind"], told["next_hop"], told["source"]) == ("relay", "mail.away.test:25", "ldap")
    assert told["source_settings"]["filter"] == "(mail=%s)"
    assert told["has_source_password"] is True
    assert "hush" not in made.text + api("GET", "/audit").text
    with reading(office.engine) as session:
        assert "hush" not in str(vars(session.scalars(select(Domain).where(Domain.name == "away.test")).one()))
    changed = api("PATCH", "/domains/away.test", {"source": "list", "validation": "data", "greylist": True}).json()
    assert (changed["source"], changed["source_settings"], changed["has_source_password"]) == ("list", {}, False)
    assert (changed["validation"], changed["greylist"], changed["dnsbl"]) == ("data", True, True)
    changed = api("PATCH", "/domains/away.test", {"batv": True, "language": "de"}).json()
    assert (changed["batv"], changed["language"], changed["dnsbl"]) == (True, "de", True)
    expect_problem(api("POST", "/mailboxes", {"address": "x@away.test"}), 409, "domain_is_relay", "address")


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"next_hop": "no host"}, 422, "bad_domain", "next_hop"),
        ({"next_hop": "mail.away.test:99999"}, 422, "invalid", "next_hop"),
        ({"next_hop": "127.0.0.1:25"}, 403, "operators_next_hop", None),
        ({"next_hop": "[fd00::1]:25"}, 403, "operators_next_hop", None),
        ({"source": "ldap", "source_settings": {"url": "ldap://x.test", "base": "b"}}, 403, "operators_source", None),
        ({"source": "hook", "source_settings": {"address": "/run/hook"}}, 403, "operators_source", None),
        ({"source": "telepathy"}, 422, "invalid", "source"),
        ({"source_settings": {"url": "x"}}, 422, "invalid", "source_settings"),
        ({"source_password": "x"}, 422, "invalid", "source_password"),
    ],
)
def test_a_customer_cannot_point_a_relay_into_the_providers_network(
    office: Office, change: dict[str, object], status: int, code: str, field: str | None
) -> None:
    mine = office.api(office.tenant("Mine Ltd"))
    assert mine("POST", "/domains", {"name": "away.test", "next_hop": "mail.away.test"}).status_code == 201
    before = state_of(office)
    expect_problem(mine("PATCH", "/domains/away.test", change), status, code, field)
    assert state_of(office) == before


def test_recipients_are_replaced_added_removed_and_listed(office: Office, api: Api) -> None:
    api("POST", "/domains", {"name": "away.test", "next_hop": "mail.away.test", "source": "list"})
    here = "/api/v1/domains/away.test/recipients"

    def send(verb: str, text: str, more: str = "", **headers: str) -> dict[str, object]:
        response = api.client.request(verb, here + more, content=text.encode(), headers=headers)
        assert response.status_code == 200, response.text
        return response.json()

    assert send("PUT", "Anna@away.test\r\nben\n\nBEN@away.test\n") == {"added": 2, "removed": 0, "total": 2}
    assert send("POST", "carl\nanna", **{"Idempotency-Key": "1"}) == {"added": 1, "removed": 0, "total": 3}
    assert send("POST", "carl\nanna", **{"Idempotency-Key": "1"}) == {"added": 1, "removed": 0, "total": 3}
    before = state_of(office)
    assert send("POST", "ben\nnobody", "/remove?dry_run=true") == {
        "added": 0, "removed": 1, "total": 2, "dry_run": {"starts": [], "stops": ["ben@away.test"], "complete": True},
    }  # fmt: skip
    assert state_of(office) == before
    assert send("POST", "ben\nnobody", "/remove") == {"added": 0, "removed": 1, "total": 2}
    assert [item["address"] for item in api("GET", "/domains/away.test/recipients").json()["items"]] == [
        "anna@away.test", "carl@away.test",
    ]  # fmt: skip
    before = state_of(office)
    for text, code in (
        ("x\ny@other.test", "bad_recipients"),
        ("x" * 2000, "bad_recipients"),
        ("two words", "bad_recipients"),
    ):
        expect_problem(api.client.put(here, content=text.encode()), 422, code, "recipients")
    expect_problem(api.client.put(here, content=b"\xff\xfe"), 422, "bad_recipients", "recipients")
    assert state_of(office) == before
    api("POST", "/domains", {"name": "shop.test"})
    expect_problem(api.client.put("/api/v1/domains/shop.test/recipients", content=b"x"), 409, "no_list")


def test_a_hundred_thousand_recipients_fit_into_one_request(api: Api) -> None:
    """More octets than any other request may have; then a list as long again changes only what is different in it."""
    api("POST", "/domains", {"name": "away.test", "next_hop": "mail.away.test", "source": "list"})
    lines = [f"recipient.number.{number}@away.test" for number in range(100_000)]
    here = "/api/v1/domains/away.test/recipients"
    assert api.client.put(here, content="\n".join(lines).encode()).json()["total"] == 100_000
    told = api.client.put(here, content="\n".join(lines[10:]).encode()).json()
    assert told == {"added": 0, "removed": 10, "total": 99_990}


# ---- access rules


@pytest.mark.parametrize("of", ["/domains/shop.test", "/mailboxes/anna@shop.test", ""])
def test_rules_are_added_moved_changed_and_removed(office: Office, shop: Api, of: str) -> None:
    here = f"{of}/rules"
    first = shop("POST", here, {"verb": "deny", "pattern": "192.0.2.77/24", "note": " spam  "})
    assert first.status_code == 201, first.text
    assert first.headers["location"] == f"/api/v1{here}/{first.json()['id']}"
    assert (first.json()["pattern"], first.json()["note"]) == ("192.0.2.0/24", "spam")
    top = shop("POST", here, {"verb": "allow", "pattern": "Friend@Example.COM", "position": 1}).json()
    for pattern in (".bücher.example", "2001:db8::1", "example.org"):
        assert shop("POST", here, {"verb": "deny", "pattern": pattern}).status_code == 201
    assert [(rule["position"], rule["pattern"]) for rule in shop("GET", here).json()["items"]] == [
        (1, "friend@example.com"), (2, "192.0.2.0/24"), (3, ".xn--bcher-kva.example"), (4, "2001:db8::1/128"),
        (5, "example.org"),
    ]  # fmt: skip
    one = f"{here}/{top['id']}"
    tag = shop("GET", one).headers["etag"]
    changed = shop("PATCH", one, {"position": 2, "expires_at": "2100-01-01T00:00:00Z"}, headers={"If-Match": tag})
    assert (changed.json()["position"], changed.json()["expires_at"]) == (2, "2100-01-01T00:00:00Z")
    expect_problem(shop("PATCH", one, {"note": "late"}, headers={"If-Match": tag}), 412, "precondition_failed")
    assert shop("PATCH", one, {"expires_at": None}).json()["expires_at"] is None
    assert shop("DELETE", one).status_code == 204
    assert [rule["position"] for rule in shop("GET", here).json()["items"]] == [1, 2, 3, 4]
    expect_problem(shop("GET", one), 404, "not_found")
    assert "rule.removed" in [entry["action"] for entry in shop("GET", "/audit").json()["items"]]


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({"verb": "maybe", "pattern": "example.com"}, "invalid", "verb"),
        ({"verb": "deny", "pattern": ""}, "bad_pattern", "pattern"),
        ({"verb": "deny", "pattern": "300.1.2.3"}, "bad_pattern", "pattern"),
        ({"verb": "deny", "pattern": "192.0.2.0/33"}, "bad_pattern", "pattern"),
        ({"verb": "deny", "pattern": "two words"}, "bad_pattern", "pattern"),
        ({"verb": "deny", "pattern": "a b@example.com"}, "bad_address", "pattern"),
        ({"verb": "deny", "pattern": "example.com", "position": 0}, "invalid", "position"),
        ({"verb": "deny", "pattern": "example.com", "expires_at": "tomorrow"}, "invalid", "expires_at"),
        ({"verb": "deny", "pattern": "example.com", "note": "x" * 201}, "invalid", "note"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(
    office: Office, shop: Api, body: dict[str, object], code: str, field: str
) -> None:
    before = state_of(office)
    expect_problem(shop("POST", "/domains/shop.test/rules", body), 422, code, field)
    assert state_of(office) == before


@pytest.mark.parametrize(
    ("path", "body"), [("/domains/shop.test/rules", {"verb": "deny", "pattern": "example.com"}), ("/keys", {})]
)
def test_what_would_be_over_already_is_refused(shop: Api, path: str, body: dict[str, object]) -> None:
    response = shop("POST", path, {**body, "expires_at": "2001-01-01T00:00:00Z"})
    expect_problem(response, 409, "bad_moment", "expires_at")


# ---- routes


def test_a_customer_has_a_smarthost_with_a_login(office: Office) -> None:
    """The password is sealed, never shown; a new next hop forgets it, since it would go to another server."""
    mine = office.tenant("Mine Ltd")
    operator, customer = office.api(), office.api(mine)
    operator("POST", "/domains", {"name": "mine.test", "tenant_id": mine})
    body = {"next_hop": "smtp.example.net:587", "tls": "verify", "login": "us", "password": "correct horse"}
    made = customer("PUT", "/routes/@Mine.test", body)
    assert made.status_code == 200, made.text
    expected = {"key": "@mine.test", "next_hop": "smtp.example.net:587", "tls": "verify", "login": "us", "lmtp": False}
    assert {name: made.json()[name] for name in expected} == expected
    assert "horse" not in customer("GET", "/routes").text + operator("GET", "/audit").text
    with reading(office.engine) as session:
        assert "horse" not in (session.scalar(select(Route.sealed_password)) or "horse")
    elsewhere = customer("PUT", "/routes/@mine.test", {"next_hop": "smtp.evil.test"}).json()
    assert (elsewhere["next_hop"], elsewhere["login"]) == ("smtp.evil.test:25", None)
    assert customer("DELETE", "/routes/@mine.test").status_code == 204
    expect_problem(customer("GET", "/routes/@mine.test"), 404, "not_found")
    assert [item["key"] for item in operator("GET", "/routes").json()["items"]] == []


@pytest.mark.parametrize(
    ("key", "body", "status", "code", "field"),
    [
        ("@mine.test", {"tls": "verify", "login": "us", "next_hop": "a.test"}, 409, "half_a_login", "login"),
        ("@mine.test", {"login": "us", "password": "x", "next_hop": "a.test"}, 409, "conflict", "tls"),
        ("@mine.test", {"login": "us", "password": "x", "tls": "verify"}, 409, "conflict", "next_hop"),
        ("@mine.test", {"password": "x"}, 409, "half_a_login", "login"),
        ("@mine.test", {"next_hop": "10.0.0.1:25"}, 403, "operators_next_hop", None),
        ("@mine.test", {"next_hop": "127.0.0.1"}, 403, "operators_next_hop", None),
        ("@mine.test", {"next_hop": "not a host"}, 422, None, "next_hop"),
        ("@mine.test", {"source_address": "192.0.2.1"}, 403, "operators_address", None),
        ("@mine.test", {"source_address": "somewhere"}, 422, "invalid", "source_address"),
        ("@mine.test", {"login": "a\nb"}, 422, "invalid", "login"),
        ("@not a domain", {"tls": "may"}, 422, None, "key"),
        ("@mine.test", {"tls": "perhaps"}, 422, None, "tls"),
    ],
)
def test_a_route_that_makes_no_sense_is_refused(
    office: Office, key: str, body: dict[str, object], status: int, code: str | None, field: str | None
) -> None:
    """And nothing of it is kept."""
    mine = office.tenant("Mine Ltd")
    operator, customer = office.api(), office.api(mine)
    operator("POST", "/domains", {"name": "mine.test", "tenant_id": mine})
    response = customer("PUT", f"/routes/{key}", body)
    expect_problem(response, status, code or response.json()["code"], field)
    assert customer("GET", "/routes").json()["items"] == []


def test_where_mail_of_others_goes_is_the_operators_to_say(office: Office) -> None:
    """Smarthost, partners' domains, addresses of this machine, private next hops; not for mail that stays here."""
    operator = office.api()
    for key, body in (
        ("*", {"next_hop": "10.0.0.1:26", "source_address": "192.0.2.1"}), ("partner.test", {"tls": "dane"}),
    ):  # fmt: skip
        assert operator("PUT", f"/routes/{key}", body).status_code == 200
    expect_problem(operator("PUT", f"/routes/{HOST}", {"tls": "verify"}), 409, "not_relayed", "key")
    assert operator("PUT", f"/routes/@{HOST}", {"source_address": "192.0.2.2"}).status_code == 200
    assert [item["key"] for item in operator("GET", "/routes").json()["items"]] == ["*", f"@{HOST}", "partner.test"]


# ---- certificates


def test_a_certificate_is_installed_listed_replaced_and_removed(office: Office, api: Api) -> None:
    api("POST", "/domains", {"name": "shop.test"})
    offered = make_self_signed("mail.shop.test")
    body = {"chain": offered.chain, "key": offered.key.decode()}
    first = api("POST", "/certificates", body)
    assert first.status_code == 201, first.text
    assert (first.json()["names"], first.json()["origin"]) == (["mail.shop.test"], "uploaded")
    assert "PRIVATE" not in first.text
    second = api("POST", "/certificates", body).json()
    expect_problem(api("GET", f"/certificates/{first.json()['id']}"), 404, "not_found")
    assert [item["id"] for item in api("GET", "/certificates").json()["items"]] == [second["id"]]
    assert "sealed" not in api("GET", f"/certificates/{second['id']}").text
    assert api("DELETE", f"/certificates/{second['id']}").status_code == 204
    assert api("GET", "/certificates").json()["items"] == []


def test_nobody_installs_a_certificate_for_anothers_name(office: Office, api: Api) -> None:
    """Neither for another customer's domain nor for the host itself; in the same words as for a name that nobody has."""
    mine, theirs = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd")
    api("POST", "/domains", {"name": "mine.test", "tenant_id": mine})
    api("POST", "/domains", {"name": "theirs.test", "tenant_id": theirs})
    api("POST", "/domains", {"name": "deep.mine.test", "tenant_id": theirs})
    customer, said = office.api(mine), set()
    for name in ("mail.theirs.test", "nowhere.test", HOST, "mail.deep.mine.test"):
        offered = make_self_signed(name)
        problem = expect_problem(
            customer("POST", "/certificates", {"chain": offered.chain, "key": offered.key.decode()}),
            422,
            "name_not_yours",
        )
        said.add(str(problem["detail"]).replace(name, "X"))
    assert len(said) == 1
    offered = make_self_signed("mail.mine.test")
    assert customer("POST", "/certificates", {"chain": offered.chain, "key": offered.key.decode()}).status_code == 201


@pytest.mark.parametrize(
    ("spoil", "code", "field"),
    [
        (lambda chain, key, other: ("nonsense", key), "bad_chain", "chain"),
        (lambda chain, key, other: (chain, "nonsense"), "bad_key_file", "key"),
        (lambda chain, key, other: (chain, other.key.decode()), "key_mismatch", "key"),
        (lambda chain, key, other: (chain + other.chain, key), "bad_chain", "chain"),
        (lambda chain, key, other: (chain * 11, key), "bad_chain", "chain"),
        (lambda chain, key, other: (chain + "x" * 50_000, key), "bad_chain", "chain"),
        (lambda chain, key, other: ("x" * 70_000, key), "invalid", "chain"),
    ],
)
def test_a_certificate_that_does_not_fit_is_refused(
    office: Office, shop: Api, spoil: Callable[..., tuple[str, str]], code: str, field: str
) -> None:
    offered, other = make_self_signed("mail.shop.test"), make_self_signed("other.shop.test")
    chain, key = spoil(offered.chain, offered.key.decode(), other)
    before = state_of(office)
    response = shop("POST", "/certificates", {"chain": chain, "key": key})
    expect_problem(response, 422, code, field)
    assert "PRIVATE KEY" not in response.text
    assert state_of(office) == before


# ---- names that are taken


def test_a_conflict_names_the_holder_to_those_only_who_may_see_it(office: Office, shop: Api) -> None:
    mine, theirs = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd")
    shop("POST", "/domains", {"name": "theirs.test", "tenant_id": theirs})
    shop("POST", "/aliases", {"address": "sales@shop.test", "targets": ["anna@shop.test"]})
    for body, holder in (
        ({"address": "ANNA@shop.test"}, "/api/v1/mailboxes/ANNA@shop.test"),
        ({"address": "sales@shop.test"}, "/api/v1/aliases/sales@shop.test"),
    ):
        problem = expect_problem(shop("POST", "/mailboxes", body), 409, "address_taken", "address")
        assert problem["holder"] == holder
        assert shop("GET", holder.removeprefix("/api/v1")).status_code == 200
    problem = expect_problem(shop("POST", "/domains", {"name": "theirs.test"}), 409, "domain_taken", "name")
    assert problem["holder"] == "/api/v1/domains/theirs.test"
    stranger = expect_problem(
        office.api(mine)("POST", "/domains", {"name": "theirs.test"}), 409, "domain_taken", "name"
    )
    assert "holder" not in stranger


# ---- versions


OBJECTS = (
    ("/domains/shop.test", {"catch_all": "anna@shop.test"}),
    ("/mailboxes/anna@shop.test", {"quota_bytes": 7}),
    ("/aliases/sales@shop.test", {"targets": ["ben@shop.test"]}),
)


@pytest.mark.parametrize(("path", "change"), OBJECTS, ids=[path for path, _ in OBJECTS])
def test_who_changes_what_somebody_else_has_changed_since_is_told(
    shop: Api, path: str, change: dict[str, object]
) -> None:
    shop("POST", "/aliases", {"address": "sales@shop.test", "targets": ["anna@shop.test"]})
    read = shop("GET", path).headers["etag"]
    changed = shop("PATCH", path, change, headers={"If-Match": read})
    assert changed.status_code == 200
    assert changed.headers["etag"] == shop("GET", path).headers["etag"] != read
    expect_problem(shop("PATCH", path, change, headers={"If-Match": read}), 412, "precondition_failed")
    expect_problem(shop("DELETE", path, headers={"If-Match": read}), 412, "precondition_failed")
    both = f"{read}, {changed.headers['etag']}"
    assert shop("DELETE", path, headers={"If-Match": both}).status_code in (200, 204)
    expect_problem(shop("PATCH", path, change, headers={"If-Match": "*"}), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "method", "change"),
    [
        ("/mailboxes/anna@shop.test/forwarding", "PUT", {"targets": ["ben@shop.test"], "enabled": False}),
        ("/mailboxes/anna@shop.test/sending", "PATCH", {"per_hour": 7}),
        ("/domains/shop.test/sending", "PATCH", {"per_hour": 7}),
    ],
)
def test_what_has_no_version_of_its_own_has_a_tag_too(
    shop: Api, path: str, method: str, change: dict[str, object]
) -> None:
    shop("PUT", "/mailboxes/anna@shop.test/forwarding", {"targets": ["ben@shop.test"]})
    read = shop("GET", path).headers["etag"]
    assert shop("GET", path).headers["etag"] == read
    changed = shop(method, path, change, headers={"If-Match": read})
    assert changed.status_code == 200, changed.text
    assert changed.headers["etag"] == shop("GET", path).headers["etag"] != read
    expect_problem(shop(method, path, change, headers={"If-Match": read}), 412, "precondition_failed")


def test_a_key_is_revoked_only_as_it_was_seen(shop: Api) -> None:
    made = shop("POST", "/keys", {"name": "Billing"})
    here, read = f"/keys/{made.json()['id']}", made.headers["etag"]
    assert shop("GET", here).headers["etag"] == read
    expect_problem(shop("DELETE", here, headers={"If-Match": '"other"'}), 412, "precondition_failed")
    assert shop("DELETE", here, headers={"If-Match": read}).status_code == 204
    expect_problem(shop("DELETE", here, headers={"If-Match": read}), 412, "precondition_failed")


# ---- repeated requests


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/domains", {"name": "new.test"}),
        ("/mailboxes", {"address": "new@shop.test", "password": PASSWORD}),
        ("/aliases", {"address": "new@shop.test", "targets": ["anna@shop.test"]}),
        ("/tenants", {"name": "New Ltd"}),
        ("/domains/shop.test/suspend", None),
    ],
)
def test_a_repeated_request_is_answered_again_and_not_carried_out_again(
    office: Office, shop: Api, path: str, body: dict[str, object] | None
) -> None:
    headers = {"Idempotency-Key": "order 4711"}
    first = shop("POST", path, body, headers=headers)
    assert first.is_success, first.text
    before = state_of(office)
    again = shop("POST", path, body, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers.get("location") == first.headers.get("location")
    assert again.headers["idempotency-replayed"] == "true"
    assert state_of(office) == before
    expect_problem(shop("POST", "/domains", {"name": "other.test"}, headers=headers), 409, "idempotency_key_reused")


def test_a_secret_is_not_kept_for_a_repetition(office: Office, api: Api) -> None:
    headers = {"Idempotency-Key": "key for billing"}
    made = api("POST", "/keys", {"name": "Billing"}, headers=headers).json()
    again = api("POST", "/keys", {"name": "Billing"}, headers=headers).json()
    assert again == {name: value for name, value in made.items() if name != "secret"}
    with reading(office.engine) as session:
        kept = session.scalars(select(GivenAnswer)).one()
        assert made["secret"].rpartition("_")[2] not in str(vars(kept))


def test_an_idempotency_key_belongs_to_who_used_it(office: Office, api: Api) -> None:
    headers = {"Idempotency-Key": "1"}
    assert api("POST", "/domains", {"name": "a.test"}, headers=headers).status_code == 201
    assert office.api()("POST", "/domains", {"name": "b.test"}, headers=headers).status_code == 201


def test_a_refused_request_may_be_mended_under_the_same_key(shop: Api) -> None:
    """Nothing was done, so nothing is remembered."""
    headers = {"Idempotency-Key": "1"}
    expect_problem(shop("POST", "/domains", {"name": "no domain"}, headers=headers), 422, "bad_domain", "name")
    assert shop("POST", "/domains", {"name": "mended.test"}, headers=headers).status_code == 201
    expect_problem(shop("POST", "/domains", {"name": "x.test"}, headers={"Idempotency-Key": ""}), 422, "invalid")
    long = {"Idempotency-Key": "x" * 256}
    expect_problem(shop("POST", "/domains", {"name": "x.test"}, headers=long), 422, "invalid", "Idempotency-Key")


def test_an_answer_is_forgotten_after_a_day(office: Office, api: Api) -> None:
    headers = {"Idempotency-Key": "1"}
    api("POST", "/domains", {"name": "a.test"}, headers=headers)
    with unit_of_work(office.engine) as session:
        session.scalars(select(GivenAnswer)).one().made_at -= 25 * 3600
    assert api("POST", "/domains", {"name": "b.test"}, headers=headers).status_code == 201
    with reading(office.engine) as session:
        assert session.scalar(select(func.count()).select_from(GivenAnswer)) == 1


# ---- lists


def test_lists_come_in_pages_without_gaps_or_repeats(office: Office, api: Api) -> None:
    with unit_of_work(office.engine) as session:
        for number in range(23):
            domains.create(session, f"d{number:02}.test", actor=SYSTEM)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        page = api("GET", "/domains", params={"limit": 5, **({"cursor": cursor} if cursor else {})}).json()
        assert len(page["items"]) <= 5
        seen += [item["name"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 24
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=0", "invalid", "limit"),
        ("limit=501", "invalid", "limit"),
        ("limit=many", "invalid", "limit"),
        ("search=" + "x" * 300, "invalid", "search"),
    ],
)
@pytest.mark.parametrize("noun", ["domains", "mailboxes", "aliases"])
def test_a_bad_page_is_refused(api: Api, noun: str, query: str, code: str, field: str) -> None:
    expect_problem(api("GET", f"/{noun}?{query}"), 422, code, field)


@pytest.mark.parametrize("noun", ["domains", "mailboxes", "aliases", "tenants", "keys", "audit"])
@pytest.mark.parametrize("cursor", ["nonsense", "%00", "W10", "WzFd" * 100])
def test_a_cursor_that_is_none_leads_nowhere(api: Api, noun: str, cursor: str) -> None:
    expect_problem(api("GET", f"/{noun}?cursor={cursor}"), 404, "bad_cursor", "cursor")


@pytest.mark.parametrize(
    "path", ["/mailboxes/no address", "/aliases/@", "/domains/x", "/domains/a..b/sending", "/mailboxes/x/forwarding"]
)
def test_where_no_name_can_be_there_is_nothing(api: Api, path: str) -> None:
    expect_problem(api("GET", path), 404, "not_found")


def test_the_audit_log_has_one_entry_for_each_deed_and_none_for_a_refusal(shop: Api) -> None:
    shop("POST", "/mailboxes", {"address": "anna@shop.test"})
    entries = shop("GET", "/audit", params={"subject": "anna@shop.test"}).json()["items"]
    assert [entry["action"] for entry in entries] == ["mailbox.created"]
    assert entries[0]["actor"].startswith("key:")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entries[0]["at"])


def test_a_dry_run_checks_everything_and_changes_nothing(office: Office, shop: Api) -> None:
    before, pokes = state_of(office), office.compiler.pokes
    assert shop("POST", "/domains?dry_run=true", {"name": "new.test"}).status_code == 201
    assert shop("DELETE", "/mailboxes/anna@shop.test?dry_run=true").status_code == 200
    assert shop("POST", "/keys?dry_run=true", {}).status_code == 201
    expect_problem(shop("POST", "/domains?dry_run=true", {"name": "shop.test"}), 409, "domain_taken", "name")
    assert state_of(office) == before
    assert office.compiler.pokes == pokes


def test_an_answer_of_success_means_committed(office: Office, shop: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that fails (a full disk) must not have been announced as a 201."""
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.orm import Session

    def full(self: Session) -> None:
        raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(Session, "commit", full)
    expect_problem(shop("POST", "/domains", {"name": "new.test"}), 503, "database_unavailable")
    monkeypatch.undo()
    expect_problem(shop("GET", "/domains/new.test"), 404, "not_found")


def test_while_the_database_is_away_the_answer_is_try_later(office: Office, api: Api) -> None:
    office.lose_database()
    response = api("GET", "/domains")
    expect_problem(response, 503, "database_unavailable")
    assert 1 <= int(response.headers["retry-after"]) <= 60


# ---- who may see what


# In whose words a key hears of what is a neighbour's. That no operation is left out is test_authorisation_matrix's business.
OTHERS = (
    ("GET", "/tenants/{theirs}", None),
    ("PATCH", "/tenants/{theirs}", {"name": "Mine"}),
    ("DELETE", "/tenants/{theirs}", None),
    ("POST", "/tenants/{theirs}/suspend", None),
    ("POST", "/tenants/{theirs}/resume", None),
    ("GET", "/domains/theirs.test", None),
    ("PATCH", "/domains/theirs.test", {"catch_all": None}),
    ("DELETE", "/domains/theirs.test", None),
    ("POST", "/domains/theirs.test/suspend", None),
    ("POST", "/domains/theirs.test/resume", None),
    ("GET", "/mailboxes/box@theirs.test", None),
    ("PATCH", "/mailboxes/box@theirs.test", {"quota_bytes": 1}),
    ("DELETE", "/mailboxes/box@theirs.test", None),
    ("PUT", "/mailboxes/box@theirs.test/password", {"password": PASSWORD}),
    ("POST", "/mailboxes/box@theirs.test/suspend", None),
    ("POST", "/mailboxes/box@theirs.test/resume", None),
    ("GET", "/mailboxes/box@theirs.test/forwarding", None),
    ("PUT", "/mailboxes/box@theirs.test/forwarding", {"targets": ["own@theirs.test"]}),
    ("DELETE", "/mailboxes/box@theirs.test/forwarding", None),
    ("GET", "/mailboxes/box@theirs.test/app-passwords", None),
    ("POST", "/mailboxes/box@theirs.test/app-passwords", {"name": "mine"}),
    ("DELETE", "/mailboxes/box@theirs.test/app-passwords/1", None),
    ("GET", "/mailboxes/box@theirs.test/senders", None),
    ("PUT", "/mailboxes/box@theirs.test/senders/box@theirs.test", None),
    ("DELETE", "/mailboxes/box@theirs.test/senders/box@theirs.test", None),
    ("POST", "/mailboxes/box@theirs.test/sending/release", None),
    *(
        (verb, f"{of}/sending", body)
        for of in ("/mailboxes/box@theirs.test", "/domains/theirs.test", "/tenants/{theirs}")
        for verb, body in (("GET", None), ("PATCH", {"per_hour": 7}))
    ),
    ("GET", "/domains/theirs.test/dkim", None),
    ("POST", "/domains/theirs.test/dkim/rotate", None),
    ("POST", "/domains/theirs.test/dkim/finish", None),
    ("GET", "/aliases/alias@theirs.test", None),
    ("PATCH", "/aliases/alias@theirs.test", {"targets": ["own@theirs.test"]}),
    ("DELETE", "/aliases/alias@theirs.test", None),
    ("GET", "/mailboxes?domain=theirs.test", None),
    ("GET", "/aliases?domain=theirs.test", None),
    ("POST", "/mailboxes", {"address": "new@theirs.test"}),
    ("POST", "/aliases", {"address": "new@theirs.test", "targets": ["box@theirs.test"]}),
    ("GET", "/domains/theirs.test/recipients", None),
    ("PUT", "/domains/theirs.test/recipients", None),
    ("POST", "/domains/theirs.test/recipients", None),
    ("POST", "/domains/theirs.test/recipients/remove", None),
    *(
        (verb, f"{of}/rules{one}", body)
        for of in ("/domains/theirs.test", "/mailboxes/box@theirs.test", "")
        for verb, one, body in (
            ("GET", "", None),
            ("POST", "", {"verb": "deny", "pattern": "192.0.2.1"}),
            ("GET", "/1", None),
            ("PATCH", "/1", {"note": "mine"}),
            ("DELETE", "/1", None),
        )
    ),
    ("GET", "/certificates/1", None),
    ("DELETE", "/certificates/1", None),
    *(
        (verb, f"/routes/{key}", body)
        for key in ("@theirs.test", "elsewhere.test", "*")
        for verb, body in (("GET", None), ("PUT", {"tls": "verify"}), ("DELETE", None))
    ),
    ("POST", "/keys", {"tenant_id": 0}),
    ("GET", "/keys/{key}", None),
    ("DELETE", "/keys/{key}", None),
    ("GET", "/domains/theirs.test/dns", None),
    ("POST", "/domains/theirs.test/proof", None),
    ("POST", "/plans", {"name": "Mine", "tenant_id": 0}),
    *((verb, "/plans/1", body) for verb, body in (("GET", None), ("PATCH", {"max_domains": 1}), ("DELETE", None))),
    ("POST", "/appointments", {"holder": "box@theirs.test", "domain": "theirs.test"}),
    *((verb, "/appointments/1", None) for verb in ("GET", "DELETE")),
    ("POST", "/domains", {"name": "new.test", "tenant_id": 0}),
    ("POST", "/tenants", {"name": "Mine", "parent_id": 0}),
)


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Office, Api, int, str]]:
    """Two customers: the stranger's key, and what the other has. Shared, since nothing may change it."""
    with make_office(tmp_path_factory.mktemp("neighbours")) as office:
        mine, theirs = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd")
        operator, stranger = office.api(), office.api(mine)
        operator("POST", "/domains", {"name": "theirs.test", "tenant_id": theirs})
        for name in ("box", "own"):
            operator("POST", "/mailboxes", {"address": f"{name}@theirs.test"})
        operator("POST", "/aliases", {"address": "alias@theirs.test", "targets": ["own@theirs.test"]})
        yield office, stranger, theirs, operator("POST", "/keys", {"tenant_id": theirs}).json()["id"]


@pytest.mark.parametrize(("verb", "path", "body"), OTHERS, ids=lambda value: str(value)[:40])
def test_one_customer_can_neither_see_nor_change_another(
    neighbours: tuple[Office, Api, int, str], verb: str, path: str, body: dict[str, object] | None
) -> None:
    office, stranger, theirs, key = neighbours
    body = {name: theirs if value == 0 else value for name, value in body.items()} if body else body
    before = state_of(office)
    expect_problem(stranger(verb, path.format(theirs=theirs, key=key), body), 404, "not_found")
    assert state_of(office) == before


def test_lists_hold_only_ones_own(office: Office) -> None:
    mine, theirs = office.tenant("Mine Ltd"), office.tenant("Theirs Ltd")
    operator, stranger = office.api(), office.api(mine)
    operator("POST", "/domains", {"name": "mine.test", "tenant_id": mine})
    operator("POST", "/domains", {"name": "theirs.test", "tenant_id": theirs})
    for domain in ("mine", "theirs"):
        operator("POST", "/mailboxes", {"address": f"box@{domain}.test"})
        operator("POST", "/aliases", {"address": f"alias@{domain}.test", "targets": [f"box@{domain}.test"]})
        operator("PUT", f"/routes/@{domain}.test", {"tls": "verify"})
    operator("PUT", "/routes/theirs-partner.test", {"tls": "verify"})
    for noun in ("tenants", "domains", "mailboxes", "aliases", "routes", "certificates", "keys", "audit"):
        text = stranger("GET", f"/{noun}").text
        assert "theirs" not in text.lower(), noun
        assert "Theirs" not in text, noun
    assert [item["name"] for item in stranger("GET", "/domains").json()["items"]] == ["mine.test"]


def test_what_the_operator_suspended_the_customer_cannot_resume(office: Office) -> None:
    mine = office.tenant("Mine Ltd")
    operator, customer = office.api(), office.api(mine)
    operator("POST", "/domains", {"name": "mine.test", "tenant_id": mine})
    operator("POST", "/domains/mine.test/suspend")
    expect_problem(customer("POST", "/domains/mine.test/resume"), 403, "suspended_above")
    with reading(office.engine) as session:
        assert session.scalar(select(Domain.suspended).where(Domain.name == "mine.test")) is True


# ---- the document


def test_the_document_is_openapi_3_1_and_names_every_refusal(api: Api) -> None:
    document = api("GET", "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "/api/v1/mailboxes/{address}/forwarding" in document["paths"]
    for path, verbs in document["paths"].items():
        for verb, operation in verbs.items():
            assert operation["summary"], (verb, path)
            assert "401" in operation["responses"], (verb, path)
            assert operation["security"] == [{"key": []}], (verb, path)


def test_the_documentation_shows_every_operation(api: Api) -> None:
    """All on its first page, in brief; and each on its noun's, with all that is to be said of it."""
    index = api.client.get("/api/v1/docs").text
    document = api("GET", "/openapi.json").json()
    nouns = re.findall(r'href="(\?about=[^"]+)"', index)
    pages = "".join(api.client.get(f"/api/v1/docs{noun}").text for noun in nouns)
    for path, verbs in document["paths"].items():
        assert f"<code>{path}</code>" in pages
        assert all(f"<code>{verb.upper()} {path}</code>" in index for verb in verbs)
    assert pages.count('class="operation"') == sum(len(verbs) for verbs in document["paths"].values())


def test_the_services_are_those_that_were_tested(office: Office) -> None:
    """What is made over the API is what services, panel and command line see."""
    office.api()("POST", "/domains", {"name": "shop.test"})
    office.api()("POST", "/mailboxes", {"address": "Anna@shop.test"})
    with reading(office.engine) as session:
        assert addresses.show(mailboxes.get(session, "anna@shop.test", actor=SYSTEM).address) == "Anna@shop.test"
