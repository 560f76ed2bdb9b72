"""How many requests a key may make, and how it is told."""

import re

from appliance.services.actor import Actor
from tests.fixtures.panel import Office
from web.allowance import MAX_TRACKED, Allowance

CUSTOMER, OTHER, OPERATOR = (
    Actor("customer", "key:1", tenant_id=2),
    Actor("customer", "key:2"),
    Actor("operator", "key:3"),
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_quota_may_be_used_at_once_and_comes_back_evenly() -> None:
    clock = Clock()
    allowance = Allowance(60, clock)
    told = [allowance.take(CUSTOMER) for _ in range(60)]
    assert [standing.remaining for standing in told] == list(range(59, -1, -1))
    assert not any(standing.wait_seconds for standing in told)
    refused = allowance.take(CUSTOMER)
    assert 0.9 < refused.wait_seconds <= 1.0
    assert refused.full_seconds == 60
    clock.now += 1.0
    assert allowance.take(CUSTOMER).wait_seconds == 0
    assert allowance.take(CUSTOMER).wait_seconds > 0
    clock.now += 120.0
    assert allowance.take(CUSTOMER).remaining == 59


def test_a_refused_request_costs_nothing() -> None:
    clock = Clock()
    allowance = Allowance(1, clock)
    allowance.take(CUSTOMER)
    for _ in range(100):
        assert allowance.take(CUSTOMER).wait_seconds == 60.0
    clock.now += 60.0
    assert allowance.take(CUSTOMER).wait_seconds == 0


def test_each_key_has_its_own_and_an_operators_ten_times_as_much() -> None:
    allowance = Allowance(1, Clock())
    assert allowance.take(CUSTOMER).wait_seconds == 0
    assert allowance.take(OTHER).wait_seconds == 0
    assert [allowance.take(OPERATOR).wait_seconds for _ in range(10)] == [0.0] * 10
    assert allowance.take(OPERATOR).wait_seconds > 0


def test_without_a_limit_nothing_is_counted() -> None:
    assert Allowance(0, Clock()).take(CUSTOMER) is None


def test_what_is_remembered_has_a_bound() -> None:
    allowance = Allowance(1, Clock())
    for number in range(MAX_TRACKED + 10):
        allowance.take(Actor("customer", f"key:{number}"))
    assert len(allowance._due) == MAX_TRACKED


def test_every_answer_tells_it_and_what_is_too_much_gets_429(office: Office) -> None:
    wiring = office.app.state.wiring
    api = office.api(office.tenant("Mine Ltd"))
    object.__setattr__(wiring, "allowance", Allowance(3, Clock()))
    good, refused = api("GET", "/me"), api("GET", "/domains/nowhere.test")
    assert (good.status_code, refused.status_code) == (200, 404)
    assert good.headers["ratelimit-policy"] == '"key";q=3;w=60'
    assert good.headers["ratelimit"] == '"key";r=2;t=20'
    assert refused.headers["ratelimit"] == '"key";r=1;t=40'
    api("GET", "/me")
    late = api("POST", "/domains", {"name": "late.test"})
    assert (late.status_code, late.json()["code"]) == (429, "too_many_requests")
    assert late.headers["retry-after"] == "20"
    assert re.fullmatch(r'"key";r=0;t=60', late.headers["ratelimit"])
    assert office.api()("GET", "/domains/late.test").status_code == 404
