"""The resolver and a real recursive server (unbound) with a zone of its own, so that ours does not only agree with itself."""

import os
import time
from collections.abc import Iterator

import pytest

from mta import roster
from mta.wire import messages as m
from mta.wire.channel import Channel
from tests.fixtures.house import free_port
from tests.fixtures.lone_role import receive
from tests.fixtures.unbound import PROGRAM, Unbound

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs unbound, see tools/system-packages")

RECORDS = (
    "zone.test. 300 IN SOA ns.zone.test. hostmaster.zone.test. 1 3600 600 86400 90",
    "mail.zone.test. 300 IN A 192.0.2.25",
    "mail.zone.test. 300 IN AAAA 2001:db8::25",
    "zone.test. 300 IN MX 10 mail.zone.test.",
    'text.zone.test. 300 IN TXT "v=spf1 " "-all"',
    "7.2.0.192.bl.zone.test. 60 IN A 127.0.0.2",
    "25.2.0.192.in-addr.arpa. 300 IN PTR mail.zone.test.",
    *(f"many.zone.test. 300 IN A 198.51.100.{number}" for number in range(1, 91)),
)


@pytest.fixture(scope="module")
def unbound(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Unbound(tmp_path_factory.mktemp("unbound"), ("zone.test", "2.0.192.in-addr.arpa"), RECORDS) as made:
        yield made.address


@pytest.fixture
def asking(unbound: str, lone_role, state) -> Channel:
    settings = {"dns.servers": unbound.encode()}
    return lone_role(roster.RESOLVER, state, root=os.geteuid() == 0, settings=settings).as_client("directory")


def look_up(channel: Channel, name: bytes, kind: bytes) -> m.Found:
    channel.send(m.LookUp(1, name, kind))
    message, _ = receive(channel)
    assert isinstance(message, m.Found)
    return message


@pytest.mark.parametrize(
    ("name", "kind", "outcome", "records"),
    [
        (b"Mail.Zone.Test", b"A", b"answer", (b"192.0.2.25",)),
        (b"mail.zone.test.", b"AAAA", b"answer", (b"2001:db8::25",)),
        (b"zone.test", b"MX", b"answer", (b"10 mail.zone.test",)),
        (b"text.zone.test", b"TXT", b"answer", (b"v=spf1 -all",)),
        (b"25.2.0.192.in-addr.arpa", b"PTR", b"answer", (b"mail.zone.test",)),
        (b"7.2.0.192.bl.zone.test", b"A", b"answer", (b"127.0.0.2",)),
        (b"8.2.0.192.bl.zone.test", b"A", b"nxdomain", ()),
        (b"mail.zone.test", b"MX", b"none", ()),
    ],
)
def test_it_says_what_the_zone_says(
    asking: Channel, name: bytes, kind: bytes, outcome: bytes, records: tuple[bytes, ...]
) -> None:
    """Each kind, a DNS list's yes and no, and a name without such records."""
    found = look_up(asking, name, kind)
    assert (found.outcome, found.records) == (outcome, records)


def test_an_answer_too_long_for_a_datagram_comes_over_tcp(asking: Channel) -> None:
    """Ninety addresses are more than 1232 octets; unbound cuts the datagram, and TCP brings them all."""
    assert len(look_up(asking, b"many.zone.test", b"A").records) == 90


def test_a_server_that_was_away_is_asked_again(lone_role, state, unbound: str) -> None:
    """The first of two servers does not exist: the answer comes from the second, and soon."""
    settings = {"dns.servers": f"127.0.0.1:{free_port()} {unbound}".encode()}
    channel = lone_role(roster.RESOLVER, state, root=os.geteuid() == 0, settings=settings).as_client("directory")
    assert look_up(channel, b"no..name", b"A").outcome == b"failed", "it serves now; starting is not measured"
    took = []
    for kind in (b"TXT", b"MX", b"AAAA", b"A"):  # a question of its own each, whatever is known of the others
        start = time.monotonic()
        last = look_up(channel, b"mail.zone.test", kind)
        took.append(time.monotonic() - start)
    assert last.outcome == b"answer"
    assert min(took) < 1.5
