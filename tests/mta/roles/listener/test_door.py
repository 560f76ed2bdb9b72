"""Who may come in, after how long a wait, and how often."""

import pytest

from mta.relaying import client_of
from mta.roles.listener.buckets import Buckets
from mta.roles.listener.door import KNOWN_SECONDS, MAX_KNOWN, SERVICE_OF_PROGRAMS, Door
from mta.roles.listener.networks import Networks, who_is
from mta.roles.listener.refusals import DENIED, TOO_OFTEN, TOO_OFTEN_OF_NETWORK

STRANGER, NEIGHBOUR, LOOPBACK = who_is("192.0.2.1"), who_is("192.0.2.200"), who_is("127.0.0.1")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def door(clock: Clock, **settings: str) -> Door:
    named = {name.replace("__", "."): value.encode() for name, value in settings.items()}
    return Door({"smtpd.allow_clients": b"127.0.0.0/8 ::1/128"} | named, clock)


def test_networks_hold_what_lies_in_them() -> None:
    """Both families, several lengths; an IPv4 address in IPv6 clothes is an IPv4 address."""
    networks = Networks("192.0.2.0/24 203.0.113.7/32 2001:db8::/32 0.0.0.0/32")
    for address in ("192.0.2.0", "192.0.2.255", "203.0.113.7", "2001:db8::1", "2001:db8:ffff::1", "::ffff:192.0.2.9"):
        assert who_is(address).packed in networks
    for address in ("192.0.3.0", "203.0.113.8", "2001:db9::1", "::", "::1"):
        assert who_is(address).packed not in networks
    assert who_is("10.1.2.3").packed in Networks("0.0.0.0/0")
    assert who_is("2001:db8::1").packed not in Networks("0.0.0.0/0")
    assert not Networks("")


def test_a_client_has_a_network_around_it() -> None:
    """IPv4 /32 and /24, IPv6 /64 and /48; zone names do not make another client."""
    assert who_is("192.0.2.1").client != who_is("192.0.2.2").client
    assert who_is("192.0.2.1").network == who_is("192.0.2.2").network != who_is("192.0.3.1").network
    assert who_is("2001:db8:1:2::1").client == who_is("2001:db8:1:2:ffff::9").client
    assert who_is("2001:db8:1:2::1").client != who_is("2001:db8:1:3::1").client
    assert who_is("2001:db8:1:2::1").network == who_is("2001:db8:1:3::1").network != who_is("2001:db8:2::1").network
    assert who_is("fe80::1%eth0").client == who_is("fe80::2%eth1").client


def test_who_is_denied_is_told_unless_allowed() -> None:
    """554 5.7.1; allow makes holes in deny."""
    judged = door(Clock(), smtpd__deny_clients="192.0.2.0/24 127.0.0.0/8", smtpd__allow_clients="192.0.2.1/32")
    assert judged.refusal(STRANGER) is None
    assert judged.refusal(NEIGHBOUR) is DENIED
    assert judged.refusal(LOOPBACK) is DENIED
    assert judged.refusal(who_is("198.51.100.1")) is None


@pytest.mark.parametrize("service", [b"smtp", b"submission", b"submissions", b"qmtp", b"qmqp"])
def test_an_address_of_this_machines_programs_comes_over_no_network(service: bytes) -> None:
    """Who has a router's place, or a load balancer's word, could otherwise send to everybody as one of them."""
    judged = door(Clock(), smtpd__allow_clients="::/0", smtpd__qmtp_clients="::/0", smtpd__qmqp_clients="::/0")
    program = who_is(client_of(1000))
    assert judged.refusal(program, service) is DENIED
    assert judged.refusal(program, SERVICE_OF_PROGRAMS) is None


def test_a_client_and_its_network_have_a_rate() -> None:
    """As many at once as in a minute; then one for each part of a minute that passes."""
    clock = Clock()
    judged = door(clock, limits__connections_per_minute_per_client="3", limits__connections_per_minute_per_network="5")
    assert [judged.refusal(STRANGER) for _ in range(4)] == [None, None, None, TOO_OFTEN]
    assert [judged.refusal(NEIGHBOUR) for _ in range(3)] == [None, None, TOO_OFTEN_OF_NETWORK]
    assert [judged.refusal(LOOPBACK) for _ in range(20)] == [None] * 20
    clock.now += 20.0
    assert [judged.refusal(STRANGER) for _ in range(2)] == [None, TOO_OFTEN]


def test_a_changed_rate_holds_at_once() -> None:
    """And what was counted is kept: a reload is no way out."""
    judged = door(Clock(), limits__connections_per_minute_per_client="2")
    for _ in range(2):
        judged.refusal(STRANGER)
    judged.heed({"limits.connections_per_minute_per_client": b"3"})
    assert judged.refusal(STRANGER) is TOO_OFTEN
    judged.heed({"limits.connections_per_minute_per_client": b"0"})
    assert judged.refusal(STRANGER) is None


def test_buckets_are_few_and_the_one_unseen_longest_goes_first() -> None:
    """However many addresses come."""
    buckets = Buckets(1, Clock(), most=100)
    assert buckets.take(b"first")
    for number in range(1000):
        buckets.take(b"%d" % number)
        assert not buckets.take(b"first"), "it was seen a moment ago"
    assert len(buckets) == 100


def test_strangers_wait_once_a_day() -> None:
    """Not those of the house, not who relays, not where TLS comes first, not who waited lately."""
    clock = Clock()
    judged = door(clock, limits__greeting_delay_seconds="2", smtpd__relay_clients="198.51.100.0/24")
    assert judged.delay(STRANGER, b"smtp") == 2
    assert judged.delay(LOOPBACK, b"smtp") == 0
    assert judged.delay(who_is("198.51.100.9"), b"smtp") == 0
    assert judged.delay(STRANGER, b"submissions") == 0
    judged.passed(STRANGER)
    assert (judged.delay(STRANGER, b"smtp"), judged.delay(NEIGHBOUR, b"smtp")) == (0, 2)
    clock.now += KNOWN_SECONDS + 1
    assert judged.delay(STRANGER, b"smtp") == 2


def test_the_memory_of_who_waited_has_a_bound() -> None:
    """The oldest is forgotten, and waits again."""
    judged = door(Clock(), limits__greeting_delay_seconds="2")
    judged.passed(STRANGER)
    for number in range(MAX_KNOWN):
        judged.passed(who_is(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"))
    assert judged.delay(STRANGER, b"smtp") == 2
    assert judged.delay(who_is("10.0.0.0"), b"smtp") == 0


@pytest.mark.parametrize("text", ["192.0.2.1/24", "nonsense", "2001:db8::/129"])
def test_what_is_no_network_ends_the_start(text: str) -> None:
    """The settings were checked before; here it is an error of ours."""
    with pytest.raises(ValueError):
        Networks(text)
