"""The resolver and an unbound that validates: zones that are signed, signed wrongly, and not signed at all."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import dns.dnssec
import dns.dnssectypes
import dns.name
import dns.rdata
import dns.rdataset
import dns.rdatatype
import dns.zone
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mta import roster
from mta.wire import messages as m
from mta.wire.channel import Channel
from tests.fixtures.lone_role import receive
from tests.fixtures.unbound import PROGRAM, Unbound

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="needs unbound, see tools/system-packages")

TLSA = "3 1 1 " + "ab" * 32
TEXT = """
@ 300 IN SOA ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 90
@ 300 IN NS ns.{zone}.
@ 300 IN MX 10 mx.{zone}.
ns 300 IN A 127.0.0.1
mx 300 IN A 192.0.2.25
mail 300 IN CNAME mx.{zone}.
_25._tcp.mx 300 IN TLSA {tlsa}
"""


def zone_of(name: str) -> dns.zone.Zone:
    return dns.zone.from_text(TEXT.format(zone=name, tlsa=TLSA), origin=f"{name}.", relativize=False)


def signed(name: str) -> tuple[dns.zone.Zone, str]:
    """The zone with signatures by a key of its own, and that key as a trust anchor."""
    zone, key, now = zone_of(name), ec.generate_private_key(ec.SECP256R1()), int(time.time())
    dnskey = dns.dnssec.make_dnskey(key.public_key(), dns.dnssectypes.Algorithm.ECDSAP256SHA256, flags=257)
    with zone.writer() as transaction:
        dns.dnssec.sign_zone(
            zone, transaction, keys=[(key, dnskey)], dnskey_ttl=300, inception=now - 3600, expiration=now + 86_400
        )  # fmt: skip
    return zone, f"{name}. 300 IN DNSKEY {dnskey.to_text()}"


def spoil(zone: dns.zone.Zone, name: str) -> None:
    """Another address than the one that was signed."""
    node = zone.nodes[dns.name.from_text(name)]
    node.replace_rdataset(dns.rdataset.from_text("IN", "A", 300, "192.0.2.66"))


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    folder = tmp_path_factory.mktemp("unbound")
    (good, anchor), (bad, other) = signed("signed.example"), signed("spoilt.example")
    spoil(bad, "mx.spoilt.example")
    zones = {"signed.example": good, "spoilt.example": bad, "plain.example": zone_of("plain.example")}
    for name, zone in zones.items():
        zone.to_file(str(folder / name), relativize=False)
    (folder / "anchors").write_text(f"{anchor}\n{other}\n")
    with Unbound(
        folder, (), (), validates=folder / "anchors", zones_from={name: folder / name for name in zones}
    ) as made:
        yield made.address, folder


@pytest.fixture
def channel(asking: tuple[str, Path], lone_role, state) -> Channel:
    settings = {"dns.servers": asking[0].encode()}
    return lone_role(roster.RESOLVER, state, root=os.geteuid() == 0, settings=settings).as_client("remote")


def look_up(channel: Channel, name: str, kind: str) -> tuple[bytes, bool, tuple[bytes, ...]]:
    channel.send(m.LookUp(1, name.encode(), kind.encode()))
    found, _ = receive(channel)
    assert isinstance(found, m.Found)
    return found.outcome, found.secure, found.records


def test_what_a_signed_zone_says_is_secure(channel: Channel) -> None:
    """MX, addresses, aliases and TLSA; also that something is not there."""
    tlsa = TLSA.encode()
    assert look_up(channel, "signed.example", "MX") == (b"answer", True, (b"10 mx.signed.example",))
    assert look_up(channel, "mx.signed.example", "A") == (b"answer", True, (b"192.0.2.25",))
    assert look_up(channel, "mail.signed.example", "CNAME") == (b"answer", True, (b"mx.signed.example",))
    assert look_up(channel, "mail.signed.example", "A") == (b"answer", True, (b"192.0.2.25",))
    assert look_up(channel, "_25._tcp.mx.signed.example", "TLSA") == (b"answer", True, (tlsa,))
    assert look_up(channel, "mx.signed.example", "CNAME") == (b"none", True, ())
    assert look_up(channel, "_26._tcp.mx.signed.example", "TLSA") == (b"nxdomain", True, ())


def test_what_was_forged_is_no_answer_at_all(channel: Channel) -> None:
    """Neither the false address nor "there is none": whoever asks must wait. What else the zone says still holds."""
    assert look_up(channel, "mx.spoilt.example", "A") == (b"failed", False, ())
    assert look_up(channel, "_25._tcp.mx.spoilt.example", "TLSA")[:2] == (b"answer", True)


def test_what_nobody_signed_is_an_answer_that_proves_nothing(channel: Channel) -> None:
    """Mail goes there as ever; its TLSA records count for nothing."""
    assert look_up(channel, "plain.example", "MX") == (b"answer", False, (b"10 mx.plain.example",))
    assert look_up(channel, "_25._tcp.mx.plain.example", "TLSA")[:2] == (b"answer", False)
