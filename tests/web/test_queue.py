"""The queue in the API: what waits, shown and changed as far as it concerns whoever asks."""

import dataclasses

import pytest

from appliance.peers import SchedulerAway
from tests.fakes.queue import FakeQueue
from tests.fixtures.panel import Api, Office
from tests.mta.roles.scheduler._rig import envelope_of, queue_id_of

LATER = (b"delayed", b"4.2.2")


def name(number: int) -> str:
    return queue_id_of(number).decode()


@pytest.fixture
def queue(office: Office) -> FakeQueue:
    """1: a stranger to mine. 2: mine to elsewhere. 3: a stranger to theirs and mine. 4: theirs to mine. 5: a stranger to theirs."""
    queue = FakeQueue()
    office.app.state.wiring = dataclasses.replace(office.app.state.wiring, scheduler=queue)
    rig = queue.rig
    rig.outcomes = dict.fromkeys((b"joe@mine.test", b"ann@else.test", b"eve@theirs.test"), LATER)
    rig.accept(1, envelope_of(b"joe@mine.test"))
    rig.accept(2, envelope_of(b"ann@else.test", identity=b"joe@mine.test"))
    rig.accept(3, envelope_of(b"eve@theirs.test", b"joe@mine.test"))
    rig.accept(4, envelope_of(b"joe@mine.test", identity=b"eve@theirs.test"))
    rig.accept(5, envelope_of(b"eve@theirs.test"))
    rig.run()
    return queue


@pytest.fixture
def api(office: Office, queue: FakeQueue) -> Api:
    return office.api()


@pytest.fixture
def mine(office: Office, api: Api) -> Api:
    """The key of a customer who has mine.test; theirs.test is another's."""
    tenants = {word: office.tenant(f"{word} Ltd") for word in ("mine", "theirs")}
    for word, tenant in tenants.items():
        assert api("POST", "/domains", {"name": f"{word}.test", "tenant_id": tenant}).status_code == 201
    return office.api(tenants["mine"])


def listed(api: Api, **query: object) -> list[str]:
    answer = api("GET", "/queue", params=query)
    assert answer.status_code == 200, answer.text
    return [one["queue_id"] for one in answer.json()["items"]]


def test_the_operator_sees_everything_page_by_page(api: Api) -> None:
    assert listed(api) == [name(number) for number in range(1, 6)]
    first = api("GET", "/queue", params={"limit": 2}).json()
    second = api("GET", "/queue", params={"limit": 10, "cursor": first["next"]}).json()
    assert [one["queue_id"] for one in first["items"] + second["items"]] == [name(number) for number in range(1, 6)]
    assert second["next"] is None
    one = first["items"][1]
    assert (one["state"], one["identity"], one["forward_path"], one["recipients"]) == (
        "waiting",
        "joe@mine.test",
        "ann@else.test",
        1,
    )
    assert (one["status"], one["diagnostic_code"]) == ("4.2.2", "said so")
    assert listed(api, domain="theirs.test") == [name(number) for number in (3, 4, 5)]
    assert listed(api, sender="a@client.test") == [name(number) for number in range(1, 6)]


def test_a_message_is_shown_with_what_each_recipient_met(api: Api) -> None:
    shown = api("GET", f"/queue/{name(3)}").json()
    assert [(one["forward_path"], one["action"], one["status"]) for one in shown["of_recipients"]] == [
        ("eve@theirs.test", "delayed", "4.2.2"), ("joe@mine.test", "delayed", "4.2.2"),
    ]  # fmt: skip
    for unknown in ("nonsense", name(9), "x" * 41, "%2e%2e"):
        assert api("GET", f"/queue/{unknown}").status_code in (404, 422)


def test_a_customer_sees_what_his_domains_send_and_are_sent(mine: Api) -> None:
    """Of a message to several his own recipients, and of the others not even how many they are."""
    assert listed(mine) == [name(number) for number in (1, 2, 3, 4)]
    shared = mine("GET", f"/queue/{name(3)}")
    assert "theirs" not in shared.text
    assert (shared.json()["recipients"], shared.json()["forward_path"]) == (1, "joe@mine.test")
    in_list = next(one for one in mine("GET", "/queue").json()["items"] if one["queue_id"] == name(3))
    assert (in_list["recipients"], in_list["forward_path"], in_list["diagnostic_code"]) == (1, "joe@mine.test", "")
    assert mine("GET", f"/queue/{name(5)}").status_code == 404
    assert mine("GET", "/queue", params={"domain": "theirs.test"}).status_code == 404
    assert listed(mine, sender="eve@theirs.test") == [name(4)], "it is for him"
    assert listed(mine, sender="joe@mine.test") == [name(2)]


def test_only_what_is_all_his_is_his_to_change(mine: Api, queue: FakeQueue) -> None:
    """What another sent, or what is for others too, he sees and leaves alone."""
    for number, status in ((1, 200), (2, 200), (3, 403), (4, 403), (5, 404)):
        for deed in ("hold", "release", "retry"):
            assert mine("POST", f"/queue/{name(number)}/{deed}").status_code == status
    for number, status in ((1, 204), (2, 204), (3, 403), (4, 403), (5, 404)):
        assert mine("DELETE", f"/queue/{name(number)}").status_code == status
    assert listed(mine) == [name(3), name(4)]
    assert len(queue.rig.queue.owed()) == 3


def test_many_are_changed_at_once_each_as_far_as_it_is_his(mine: Api, api: Api) -> None:
    assert mine("POST", "/queue/hold", {"domain": "mine.test"}).json() == {"messages": 2}
    states = {one["queue_id"]: one["state"] for one in api("GET", "/queue").json()["items"]}
    assert [states[name(number)] for number in range(1, 6)] == ["held", "held", "waiting", "waiting", "waiting"]
    assert mine("POST", "/queue/release", {"sender": "joe@mine.test"}).json() == {"messages": 1}
    assert mine("POST", "/queue/remove", {"all": True}).status_code == 403
    assert mine("POST", "/queue/remove", {"domain": "theirs.test"}).status_code == 404
    assert mine("POST", "/queue/remove", {"sender": "eve@theirs.test"}).json() == {"messages": 0}
    assert api("POST", "/queue/hold?dry_run=true", {"all": True}).json()["messages"] == 5
    assert api("POST", "/queue/hold", {"all": True}).json() == {"messages": 4}
    assert api("POST", "/queue/remove", {"all": True}).json() == {"messages": 5}
    assert listed(api) == []


@pytest.mark.parametrize(
    "body", [{}, {"domain": "mine.test", "all": True}, {"domain": "mine.test", "sender": "a@b.test"}]
)
def test_exactly_one_of_the_three_is_named(api: Api, body: dict[str, object]) -> None:
    assert api("POST", "/queue/hold", body).status_code == 422


def test_what_is_done_stands_in_the_audit_log_and_is_done_once(api: Api, queue: FakeQueue) -> None:
    for _ in range(2):
        again = api("POST", f"/queue/{name(1)}/hold", headers={"Idempotency-Key": "1"})
        assert again.json() == {"messages": 1}
    assert [what for what, _ in queue.orders].count("hold") == 1
    assert api("POST", f"/queue/{name(1)}/release?dry_run=true").json()["messages"] == 1
    api("DELETE", f"/queue/{name(2)}?dry_run=true")
    assert {what for what, _ in queue.orders} == {"show", "hold"}
    api("DELETE", f"/queue/{name(2)}")
    told = api("GET", "/audit", params={"action": "queue."}).json()["items"]
    assert [(one["action"], one["subject"]) for one in told] == [
        ("queue.removed", f"message {name(2)}"), ("queue.held", f"message {name(1)}"),
    ]  # fmt: skip
    assert told[0]["after"] == {"sender": "joe@mine.test", "messages": 1}


def test_who_has_more_domains_than_fit_names_one(office: Office, mine: Api, api: Api, queue: FakeQueue) -> None:
    tenant = mine("GET", "/me").json()["tenant_id"]
    for number in range(20):
        api("POST", "/domains", {"name": f"{'x' * 60}{number}.test", "tenant_id": tenant})
    assert mine("GET", "/queue").json()["code"] == "domain_needed"
    assert listed(mine, domain="mine.test") == [name(number) for number in (1, 2, 3, 4)]


def test_nobody_knows_while_the_scheduler_is_away(office: Office, api: Api) -> None:
    class Away:
        def order(self, *_: object) -> list[dict[str, str]]:
            raise SchedulerAway("not now")

    office.app.state.wiring = dataclasses.replace(office.app.state.wiring, scheduler=Away())
    answer = api("GET", "/queue")
    assert (answer.status_code, answer.json()["code"]) == (503, "scheduler_away")
    assert answer.headers["retry-after"]
