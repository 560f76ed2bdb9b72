"""What is done in the background: as a job that survives the process that began it."""

import time
from collections.abc import Iterator

import pytest
from argon2 import PasswordHasher
from sqlalchemy import select

from appliance.database.session import reading, unit_of_work
from appliance.models import Job
from appliance.services import many_mailboxes
from tests.fixtures.panel import PASSWORD, Api, Office
from web import working_off
from web.worker import Worker

HASH = PasswordHasher(time_cost=1, memory_cost=8192).hash("hashed elsewhere")
LATER = {"Prefer": "respond-async"}


@pytest.fixture
def shop(office: Office) -> Api:
    api = office.api()
    assert api("POST", "/domains", {"name": "shop.test"}).status_code == 201
    return api


@pytest.fixture
def worker(office: Office) -> Worker:
    return Worker(office.app, office.app.state.wiring)


def mailbox(name: str, **more: object) -> dict[str, object]:
    return {"method": "POST", "path": "/mailboxes", "body": {"address": f"{name}@shop.test", **more}}


def ask(api: Api, *operations: dict[str, object], **more: object) -> str:
    """The path of the job that does them."""
    response = api("POST", "/batch", {"operations": list(operations), **more}, headers=LATER)
    assert response.status_code == 202, response.text
    assert response.json()["state"] == "waiting"
    return response.headers["location"].removeprefix("/api/v1")


def all_of(worker: Worker) -> int:
    pieces = 0
    while worker.work():
        pieces += 1
    return pieces


def test_a_job_is_worked_off_and_tells_how_far_it_is(office: Office, shop: Api, worker: Worker) -> None:
    where = ask(
        shop, mailbox("anna", password_hash=HASH), mailbox("anna"), {"method": "POST", "path": "/keys", "body": {}}
    )
    assert office.app.state.wiring.work.is_set()
    assert shop("GET", where).json()["done"] == 0
    assert all_of(worker) == 1
    job = shop("GET", where).json()
    assert {name: job[name] for name in ("state", "total", "done", "failed", "failure")} == {
        "state": "done", "total": 3, "done": 3, "failed": 1, "failure": None,
    }  # fmt: skip
    told = shop("GET", f"{where}/results").json()["items"]
    assert [(one["position"], one["status"]) for one in told] == [(0, 201), (1, 409), (2, 201)]
    assert "secret" not in told[2]["body"]
    assert office.authenticator.verify_password("mailbox", "anna@shop.test", "hashed elsewhere")
    page = shop("GET", f"{where}/results?limit=1").json()
    assert shop("GET", f"{where}/results", params={"limit": 1, "cursor": page["next"]}).json()["items"] == [told[1]]
    assert shop("GET", "/jobs").json()["items"] == [job]


def test_nothing_that_waits_holds_a_secret(office: Office, shop: Api, worker: Worker) -> None:
    ask(shop, mailbox("anna", password_hash=HASH))
    with reading(office.engine) as session:
        assert HASH not in str(session.scalars(select(Job)).one().request)
    all_of(worker)
    with reading(office.engine) as session:
        assert session.scalars(select(Job)).one().request is None
    for operation in (
        mailbox("ben", password=PASSWORD),
        {"method": "PUT", "path": "/mailboxes/anna@shop.test/password", "body": {"password_hash": HASH}},
        {"method": "PUT", "path": "/routes/*", "body": {"next_hop": "a.test", "password": "x"}},
    ):
        refused = shop("POST", "/batch", {"operations": [operation]}, headers=LATER)
        assert (refused.status_code, refused.json()["code"]) == (422, "secret_in_job")


@pytest.mark.parametrize("dies_after", [0, 1, 2])
def test_a_job_goes_on_where_a_process_that_died_left_it(
    office: Office, shop: Api, worker: Worker, monkeypatch: pytest.MonkeyPatch, dies_after: int
) -> None:
    """Nothing is done twice, nothing is left out."""
    monkeypatch.setattr("web.worker.PIECE_COST", 2)
    where = ask(shop, *(mailbox(f"name{number}") for number in range(6)))
    for _ in range(dies_after):
        worker.work()

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("web.worker.jobs.note", kill)  # done, and not yet written down
        with pytest.raises(Killed):
            worker.work()
    assert shop("GET", where).json()["done"] == 2 * dies_after
    assert all_of(Worker(office.app, office.app.state.wiring)) == 3 - dies_after
    assert [one["status"] for one in shop("GET", f"{where}/results").json()["items"]] == [201] * 6
    assert len(shop("GET", "/mailboxes?domain=shop.test").json()["items"]) == 6


def test_an_atomic_job_is_done_whole_or_not_at_all(shop: Api, worker: Worker) -> None:
    where = ask(shop, mailbox("anna"), mailbox("anna"), mailbox("ben"), atomic=True)
    all_of(worker)
    job = shop("GET", where).json()
    assert (job["state"], job["failed"]) == ("failed", 3)
    assert [one["status"] for one in shop("GET", f"{where}/results").json()["items"]] == [424, 409, 424]
    assert shop("GET", "/mailboxes?domain=shop.test").json()["items"] == []
    where = ask(shop, mailbox("anna"), mailbox("ben"), atomic=True)
    all_of(worker)
    assert shop("GET", where).json()["state"] == "done"


def test_a_revoked_key_ends_its_jobs(shop: Api, worker: Worker) -> None:
    where = ask(shop, mailbox("anna"))
    number = shop("GET", "/me").json()["name"].removeprefix("key:")
    made = shop("POST", "/keys", {}).json()
    shop("DELETE", f"/keys/{number}")
    all_of(worker)
    shop.client.headers["Authorization"] = f"Bearer {made['secret']}"
    assert shop("GET", where).json()["state"] == "failed"
    assert shop("GET", "/mailboxes?domain=shop.test").json()["items"] == []


def test_a_job_can_be_ended_early(shop: Api, worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.worker.PIECE_COST", 1)
    where = ask(shop, mailbox("anna"), mailbox("ben"))
    worker.work()
    tag = shop("GET", where).headers["etag"]
    assert shop("DELETE", where, headers={"If-Match": '"0"'}).status_code == 412
    assert shop("DELETE", where, headers={"If-Match": tag}).status_code == 204
    assert all_of(worker) == 0
    assert shop("GET", where).json()["done"] == 1
    assert len(shop("GET", "/mailboxes?domain=shop.test").json()["items"]) == 1


def test_a_job_is_its_tenants(office: Office, shop: Api) -> None:
    where = ask(shop, mailbox("anna"))
    stranger = office.api(office.tenant("Mine Ltd"))
    assert stranger("GET", where).status_code == stranger("GET", f"{where}/results").status_code == 404
    assert stranger("DELETE", where).status_code == 404
    assert stranger("GET", "/jobs").json()["items"] == []


def test_a_repeated_request_makes_one_job(shop: Api) -> None:
    body, headers = {"operations": [mailbox("anna")]}, {**LATER, "Idempotency-Key": "1"}
    first, again = shop("POST", "/batch", body, headers=headers), shop("POST", "/batch", body, headers=headers)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    assert len(shop("GET", "/jobs").json()["items"]) == 1


def test_what_takes_long_becomes_a_job_by_itself(shop: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(working_off, "MAX_COST", 3)
    assert shop("POST", "/batch", {"operations": [mailbox("a"), mailbox("b")]}).status_code == 200
    assert shop("POST", "/batch", {"operations": [mailbox(name) for name in "cdef"]}).status_code == 202


def test_a_trouble_of_ours_ends_the_job_and_not_the_worker(
    shop: Api, worker: Worker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a mistake of ours")

    where = ask(shop, mailbox("anna"))
    with monkeypatch.context() as patch:
        patch.setattr(many_mailboxes, "create_each", broken)
        all_of(worker)
    job = shop("GET", where).json()
    assert job["state"] == "failed"
    assert "mistake" not in job["failure"]
    assert "a mistake of ours" in caplog.text


def test_ended_jobs_are_forgotten_after_a_week(office: Office, shop: Api, worker: Worker) -> None:
    where = ask(shop, mailbox("anna"))
    all_of(worker)
    with unit_of_work(office.engine) as session:
        session.scalars(select(Job)).one().ended_at -= 8 * 24 * 3600
    ask(shop, mailbox("ben"))
    assert shop("GET", where).status_code == 404


@pytest.fixture
def running(worker: Worker) -> Iterator[Worker]:
    worker.start()
    yield worker
    worker.stop()


def test_the_worker_is_woken_by_a_job(shop: Api, running: Worker) -> None:
    where = ask(shop, mailbox("anna"))
    until = time.monotonic() + 4.0  # sooner than it looks by itself
    while shop("GET", where).json()["state"] != "done":
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def large(office: Office, shop: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """A domain of three mailboxes, where two are much."""
    monkeypatch.setattr("web.api.background.REMOVED_AT_ONCE", 2)
    for name in ("anna", "ben", "carl"):
        assert shop("POST", "/mailboxes", {"address": f"{name}@shop.test"}).status_code == 201
    return shop


def test_a_large_domain_is_removed_in_the_background_and_asked_twice_once(large: Api, worker: Worker) -> None:
    tag = large("GET", "/domains/shop.test").headers["etag"]
    assert large("DELETE", "/domains/shop.test", headers={"If-Match": '"0"'}).status_code == 412
    first = large("DELETE", "/domains/shop.test", headers={"If-Match": tag})
    assert (first.status_code, first.json()["state"], first.json()["kind"]) == (202, "waiting", "bulk")
    again = large("DELETE", "/domains/shop.test")
    assert (again.status_code, again.headers["location"]) == (202, first.headers["location"])
    where = first.headers["location"].removeprefix("/api/v1")
    assert large("GET", where).headers["etag"] == first.headers["etag"]
    assert large("GET", "/mailboxes/anna@shop.test").status_code == 200
    assert all_of(worker) == 1
    assert large("GET", where).json()["state"] == "done"
    assert large("DELETE", "/domains/shop.test").status_code == 404
    [result] = large("GET", f"{where}/results").json()["items"]
    removal = large("GET", f"/removals/{result['body']['id']}").json()
    assert (removal["name"], removal["mailboxes"]) == ("shop.test", 3)
    assert large("POST", f"/removals/{removal['id']}/undo").status_code == 200
    assert len(large("GET", "/mailboxes?domain=shop.test").json()["items"]) == 3


def test_a_small_domain_is_removed_at_once_unless_somebody_prefers(shop: Api, worker: Worker) -> None:
    assert shop("POST", "/domains", {"name": "two.test"}).status_code == 201
    assert shop("DELETE", "/domains/two.test").json()["removal"]["name"] == "two.test"
    assert shop("DELETE", "/domains/shop.test", headers=LATER).status_code == 202
    assert all_of(worker) == 1
    assert shop("GET", "/domains/shop.test").status_code == 404


def test_what_cannot_be_removed_is_refused_before_there_is_a_job(large: Api) -> None:
    assert large("POST", "/domains", {"name": "other.test", "alias_of": "shop.test"}).status_code == 201
    refused = large("DELETE", "/domains/shop.test")
    assert (refused.status_code, refused.json()["code"]) == (409, "domain_has_aliases")
    assert large("DELETE", "/domains/nobody.test").status_code == 404
    assert large("GET", "/jobs").json()["items"] == []


def test_a_large_domain_is_tried_and_batched_as_before(large: Api) -> None:
    tried = large("DELETE", "/domains/shop.test?dry_run=true")
    assert (tried.status_code, tried.json()["removal"]["mailboxes"]) == (200, 3)
    batch = large("POST", "/batch", {"operations": [{"method": "DELETE", "path": "/domains/shop.test"}]}).json()
    assert [one["status"] for one in batch["results"]] == [200]
    assert large("GET", "/jobs").json()["items"] == []
