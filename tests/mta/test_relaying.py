"""Who may send to others' domains without a login."""

import ipaddress

import pytest

from mta import relaying


@pytest.mark.parametrize("uid", [0, 1, 1000, 4_294_967_294])
def test_a_local_user_has_an_address_that_leads_back_to_him(uid: int) -> None:
    client = relaying.client_of(uid)
    assert relaying.user_of(client.encode()) == uid
    assert ipaddress.ip_address(client) in relaying.networks({})[0]


@pytest.mark.parametrize("client", [b"127.0.0.1", b"::1", b"::", b"2001:db8::1", b"", b"fe80::1%eth0", b"x"])
def test_nobody_else_is_taken_for_one(client: bytes) -> None:
    assert relaying.user_of(client) is None


def test_listed_networks_may_whatever_they_speak() -> None:
    settings = {"smtpd.relay_clients": b"192.0.2.0/24 2001:db8::/32", "smtpd.qmqp_clients": b"198.51.100.7/32"}
    assert [str(each) for each in relaying.networks(settings)[1:]] == [
        "192.0.2.0/24",
        "2001:db8::/32",
        "198.51.100.7/32",
    ]
