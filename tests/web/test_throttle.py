"""Guessing passwords gets slow, without giving strangers the means to lock an owner out."""

import pytest

from web.throttle import MAX_TRACKED, Bucket, LoginThrottle, network_of


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def wrong_until_refused(throttle: LoginThrottle, name: str, client: str) -> int:
    for count in range(10_000):
        if throttle.wait_seconds(name, client):
            return count
        throttle.wrong(name, client)
    raise AssertionError("nobody is ever refused")


def test_a_name_is_guessed_at_five_times_and_then_slowly() -> None:
    clock = Clock()
    throttle = LoginThrottle(40, clock)
    assert wrong_until_refused(throttle, "anna@example.test", "192.0.2.1") == 5
    clock.now += throttle.wait_seconds("anna@example.test", "192.0.2.1") + 0.01
    assert wrong_until_refused(throttle, "Anna@Example.Test ", "192.0.2.1") == 1


def test_a_stranger_elsewhere_cannot_lock_the_owner_out() -> None:
    throttle = LoginThrottle(40, Clock())
    wrong_until_refused(throttle, "anna@example.test", "198.51.100.7")
    assert throttle.wait_seconds("anna@example.test", "192.0.2.1") == 0


def test_one_network_cannot_try_one_password_on_every_name() -> None:
    throttle = LoginThrottle(40, Clock())
    tries = 0
    while not throttle.wait_seconds(f"name{tries}", "192.0.2.1"):
        throttle.wrong(f"name{tries}", "192.0.2.1")
        tries += 1
    assert tries == 40


def test_a_whole_ipv6_network_counts_as_one() -> None:
    throttle = LoginThrottle(40, Clock())
    for host in range(5):
        throttle.wrong("anna", f"2001:db8::{host:x}")
    assert throttle.wait_seconds("anna", "2001:db8::ffff") > 0
    assert throttle.wait_seconds("anna", "2001:db8:0:1::1") == 0


def test_a_right_password_forgives_the_mistyped_ones() -> None:
    throttle = LoginThrottle(40, Clock())
    for _ in range(4):
        throttle.wrong("anna", "192.0.2.1")
    throttle.right("anna", "192.0.2.1")
    assert wrong_until_refused(throttle, "anna", "192.0.2.1") == 5


def test_what_is_remembered_has_a_bound() -> None:
    """Otherwise a guesser with many addresses fills the memory."""
    bucket = Bucket(1, 60.0, Clock())
    for number in range(MAX_TRACKED + 100):
        bucket.charge(str(number))
    assert len(bucket._due) == MAX_TRACKED
    assert bucket.wait_seconds("0") == 0
    assert bucket.wait_seconds(str(MAX_TRACKED + 99)) > 0


@pytest.mark.parametrize(
    ("client", "network"), [("192.0.2.1", "192.0.2.1"), ("2001:db8::1", "2001:db8::/64"), ("testclient", "testclient")]
)
def test_a_client_is_counted_as_its_network(client: str, network: str) -> None:
    assert network_of(client) == network
