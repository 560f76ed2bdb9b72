"""Several operations in one request: a result for each, and all or nothing as a choice."""

import json
import secrets
import time

import pytest
from argon2 import PasswordHasher
from sqlalchemy import func, select

from appliance.database.session import reading, unit_of_work
from appliance.models import AuditEntry, Change, GivenAnswer, Mailbox, StoreTask
from appliance.services import tenants
from tests.fixtures.panel import PASSWORD, SYSTEM, Api, Office

HASH = PasswordHasher(time_cost=1, memory_cost=8192).hash("hashed elsewhere")


@pytest.fixture
def shop(office: Office) -> Api:
    api = office.api()
    assert api("POST", "/domains", {"name": "shop.test"}).status_code == 201
    return api


def post(path: str, **body: object) -> dict[str, object]:
    return {"method": "POST", "path": path, "body": body}


def batch(api: Api, *operations: dict[str, object], status: int = 200, **more: object) -> dict[str, object]:
    query = "?dry_run=true" if more.pop("dry_run", False) else ""
    headers = more.pop("headers", {})
    response = api("POST", f"/batch{query}", {"operations": list(operations), **more}, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


def statuses(answer: dict[str, object]) -> list[int]:
    return [result["status"] for result in answer["results"]]


def rows(office: Office) -> tuple[int, int, int, int]:
    with reading(office.engine) as session:
        return tuple(
            session.scalar(select(func.count()).select_from(model))
            for model in (Mailbox, Change, AuditEntry, StoreTask)
        )


def test_each_operation_has_a_result_like_its_own_answer(office: Office, shop: Api) -> None:
    answer = batch(
        shop,
        post("/domains", name="two.test"),
        post("/mailboxes", address="anna@two.test", password_hash=HASH, quota_bytes=7),
        post("/mailboxes", address="ANNA@two.test"),
        post("/mailboxes", address="ben@two.test", password=PASSWORD),
        post("/mailboxes", address="no address"),
        post("/mailboxes", address="x@two.test", colour="red"),
        post("/mailboxes", address="x@two.test", quota_bytes=-1),
        post("/mailboxes", address="x@elsewhere.test"),
        {"method": "PUT", "path": "/mailboxes/anna@two.test/forwarding", "body": {"targets": ["ben@two.test"]}},
        {"method": "GET", "path": "/api/v1/mailboxes?domain=two.test&limit=1"},
        {"method": "PATCH", "path": "/mailboxes/ben@two.test", "body": {"display_name": "B"}, "if_match": '"9"'},
        {"method": "DELETE", "path": "/mailboxes/ben@two.test"},
        {"method": "GET", "path": "/nothing"},
    )
    assert statuses(answer) == [201, 201, 409, 201, 422, 422, 422, 404, 200, 200, 412, 200, 404]
    told = [result["body"] for result in answer["results"]]
    assert (told[1]["address"], told[1]["quota_bytes"], told[1]["has_password"]) == ("anna@two.test", 7, True)
    assert shop("GET", "/mailboxes/anna@two.test").json() == {**told[1], "version": 2}  # it forwards since
    assert (told[2]["code"], told[2]["holder"]) == ("address_taken", "/api/v1/mailboxes/ANNA@two.test")
    assert told[4]["code"] == "bad_address"
    assert told[5]["errors"][0]["field"] == "colour"
    assert told[9]["items"][0]["address"] == "anna@two.test"
    assert office.authenticator.verify_password("mailbox", "anna@two.test", "hashed elsewhere")


def test_mailboxes_made_together_are_like_those_made_alone(office: Office, shop: Api) -> None:
    """The same rows, audit entries and announcements."""
    before = rows(office)
    shop("POST", "/mailboxes", {"address": "Alone@shop.test", "password_hash": HASH})
    alone = rows(office)
    batch(shop, *(post("/mailboxes", address=f"Name{number}@shop.test", password_hash=HASH) for number in range(3)))
    together = rows(office)
    assert [b - a for a, b in zip(alone, together, strict=True)] == [
        3 * (b - a) for a, b in zip(before, alone, strict=True)
    ]
    with reading(office.engine) as session:
        last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(4)).all()
    assert [(entry.action, entry.subject) for entry in last] == [
        ("mailbox.created", "name2@shop.test"), ("mailbox.created", "name1@shop.test"),
        ("mailbox.created", "name0@shop.test"), ("mailbox.created", "alone@shop.test"),
    ]  # fmt: skip
    assert len({str(entry.after) for entry in last}) == 1


def test_an_atomic_batch_is_carried_out_whole_or_not_at_all(office: Office, shop: Api) -> None:
    good = [post("/mailboxes", address="anna@shop.test"), post("/domains", name="two.test")]
    before = rows(office)
    answer = batch(
        shop, *good, post("/domains", name="no domain"), post("/domains", name="three.test"), atomic=True, status=409
    )
    assert (answer["code"], answer["committed"]) == ("batch_refused", False)
    assert statuses(answer) == [424, 424, 422, 424]
    assert rows(office) == before
    pokes = office.compiler.pokes
    assert statuses(batch(shop, *good, atomic=True)) == [201, 201]
    assert office.compiler.pokes == pokes + 1


def test_limits_hold_within_a_batch(office: Office, shop: Api) -> None:
    tenant = office.tenant("Small Ltd")
    shop("POST", "/domains", {"name": "small.test", "tenant_id": tenant})
    with unit_of_work(office.engine) as session:
        tenants.update(session, tenant, actor=SYSTEM, max_mailboxes=2)
    api = office.api(tenant)
    wanted = [post("/mailboxes", address=f"m{number}@small.test") for number in range(4)]
    assert statuses(batch(api, wanted[0], *wanted)) == [201, 409, 201, 409, 409]
    assert batch(api, wanted[3])["results"][0]["body"]["code"] == "limit_mailboxes"


def test_a_batch_has_no_more_rights_than_its_key(office: Office, shop: Api) -> None:
    api = office.api(office.tenant("Mine Ltd"))
    answer = batch(
        api, post("/mailboxes", address="mine@shop.test"), {"method": "GET", "path": "/domains/shop.test"},
        {"method": "DELETE", "path": "/domains/shop.test"}, {"method": "GET", "path": "/domains"},
    )  # fmt: skip
    assert statuses(answer) == [404, 404, 404, 200]
    assert answer["results"][3]["body"]["items"] == []


def test_a_repeated_batch_is_not_carried_out_again_and_keeps_no_secret(office: Office, shop: Api) -> None:
    operations = [post("/mailboxes", address="anna@shop.test", password=PASSWORD), post("/keys", name="Billing")]
    headers = {"Idempotency-Key": "order 1"}
    first = batch(shop, *operations, headers=headers)
    before = rows(office)
    again = batch(shop, *operations, headers=headers)
    secret = first["results"][1]["body"].pop("secret")
    assert again == first
    assert rows(office) == before
    with reading(office.engine) as session:
        kept = str(vars(session.scalars(select(GivenAnswer)).one()))
    assert secret.rpartition("_")[2] not in kept
    assert PASSWORD not in kept


def test_a_dry_run_shows_all_of_it_and_changes_nothing(office: Office, shop: Api) -> None:
    before = rows(office)
    answer = batch(
        shop, post("/mailboxes", address="anna@shop.test"), post("/mailboxes", address="ben@shop.test"),
        {"method": "DELETE", "path": "/mailboxes/ben@shop.test"}, dry_run=True,
    )  # fmt: skip
    assert statuses(answer) == [201, 201, 200]
    assert answer["dry_run"]["starts"] == ["anna@shop.test"]
    assert answer["committed"] is False
    assert rows(office) == before


@pytest.mark.parametrize(
    "path",
    ["/docs", "/batch", "/apply", "/jobs/1", "/domains/away.test/recipients", "/%62atch", "/api/v1/batch?dry_run=true"],
)
def test_what_is_no_single_thing_is_not_for_batches(shop: Api, path: str) -> None:
    answer = batch(shop, {"method": "POST", "path": path, "body": {"operations": []}})
    assert answer["results"][0]["body"]["code"] == "not_in_a_batch"


@pytest.mark.parametrize(
    "body",
    [
        {}, {"operations": []}, {"operations": [{"method": "TRACE", "path": "/me"}]},
        {"operations": [{"method": "GET", "path": "me"}]}, {"operations": [{"method": "GET"}]},
        {"operations": [{"method": "GET", "path": "/me", "headers": {}}]},
        {"operations": [{"method": "GET", "path": "/me"}], "atomic": "yes"},
        {"operations": [{"method": "GET", "path": "/me"}] * 10_001},
    ],
)  # fmt: skip
def test_a_bad_batch_is_refused(shop: Api, body: object) -> None:
    response = shop("POST", "/batch", body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    "text", ["\udc00", "\x00", "/\udfff", "/mailboxes/\ud800@shop.test", "/domains/%00", "/me?\x00=1"]
)
def test_odd_code_points_are_refused_or_not_found(shop: Api, text: str) -> None:
    """Never a trouble of ours."""
    content = json.dumps({"operations": [{"method": "GET", "path": "/x" + text}]}).encode()
    response = shop.client.post("/api/v1/batch", content=content, headers={"Content-Type": "application/json"})
    found = [result["status"] for result in response.json().get("results", [])]
    assert response.status_code in (200, 422), response.text
    assert all(status in (404, 422) for status in found)


@pytest.mark.parametrize("depth", [17, 300, 480, 900, 20_000])
@pytest.mark.parametrize("brackets", ['{"a":*}', "[*]"])
def test_a_body_that_is_nested_deeply_is_refused(shop: Api, depth: int, brackets: str) -> None:
    """Nobody's stack ends in it."""
    opening, closing = brackets.split("*")
    nested = opening * depth + "1" + closing * depth
    content = '{"operations": [{"method": "POST", "path": "/domains", "body": {"name": %s}}]}'.replace("%s", nested)
    for path, text in (("/batch", content), ("/domains", nested), ("/apply", f'{{"domains": [{nested}]}}')):
        verb = "PUT" if path == "/apply" else "POST"
        headers = {"Content-Type": "application/json", "Idempotency-Key": "1"}
        response = shop.client.request(verb, f"/api/v1{path}", content=text, headers=headers)
        assert response.status_code in (400, 422), (path, response.text[:200])


def test_the_database_away_in_the_middle_loses_all_of_it(
    office: Office, shop: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from appliance.errors import DatabaseUnavailable
    from appliance.services import aliases

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("the disk is full")

    before = rows(office)
    monkeypatch.setattr(aliases, "create", away)
    answer = batch(
        shop, post("/mailboxes", address="anna@shop.test"), post("/aliases", address="x@shop.test", targets=["y"]),
        status=503,
    )  # fmt: skip
    assert answer["code"] == "database_unavailable"
    assert rows(office) == before


@pytest.mark.alone
def test_a_thousand_mailboxes_a_batch(shop: Api, figure: object) -> None:
    """The promise is 1,500 a second on a quiet machine; here it must not be ten times slower."""
    name = secrets.token_hex(4)
    operations = [
        post("/mailboxes", address=f"{name}.{number}@shop.test", password_hash=HASH) for number in range(1000)
    ]
    started = time.perf_counter()
    assert set(statuses(batch(shop, *operations))) == {201}
    seconds = time.perf_counter() - started
    figure("batch: mailboxes a second", round(1000 / seconds))
    assert seconds < 6
