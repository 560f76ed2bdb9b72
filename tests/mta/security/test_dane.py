"""TLSA records against chains: what RFC 7672 lets pass, and every kind of certificate that it does not."""

import datetime as dt
import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mta.security import dane
from mta.security.dane import MAX_CHAIN, Tlsa, holds, read_records
from tests.fixtures.authorities import NOW, Authority, self_signed

HOST, NAMES = "mx.remote.test", ("mx.remote.test", "remote.test")
ROOT = Authority()
MIDDLE = Authority("Below", ROOT)
GOOD = MIDDLE.give(HOST)


def record(usage: int, selector: int, matching_type: int, data: bytes) -> Tlsa:
    """As the zone would have it."""
    digest = {0: bytes, 1: lambda each: hashlib.sha256(each).digest(), 2: lambda each: hashlib.sha512(each).digest()}
    made = read_records([b"%d %d %d %b" % (usage, selector, matching_type, digest[matching_type](data).hex().encode())])
    assert len(made) == 1
    return made[0]


@pytest.mark.parametrize("matching_type", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
def test_usage_3_is_the_servers_own_certificate_or_key(selector: int, matching_type: int) -> None:
    """In every form; and another server's, signed by the same authority, is refused."""
    wanted = record(3, selector, matching_type, (GOOD.leaf, GOOD.public_key)[selector])
    assert holds([wanted], GOOD.chain, NAMES, NOW) == ""
    assert "none of its TLSA records" in holds([wanted], MIDDLE.give(HOST).chain, NAMES, NOW)


@pytest.mark.parametrize(
    "server",
    [self_signed("another.test"), self_signed(HOST, first=NOW - dt.timedelta(9), last=NOW - dt.timedelta(3))],
    ids=["another name", "expired"],
)
def test_with_usage_3_neither_names_nor_dates_count(server) -> None:
    """RFC 7672 3.1.1: the record itself binds the key to the name, for as long as it stands."""
    assert holds([record(3, 1, 1, server.public_key)], server.chain, NAMES, NOW) == ""


@pytest.mark.parametrize("matching_type", [0, 1, 2])
@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("authority", [ROOT, MIDDLE], ids=["root", "below"])
def test_usage_2_is_an_authority_behind_it(authority: Authority, selector: int, matching_type: int) -> None:
    """At any place of the chain, in every form."""
    wanted = record(2, selector, matching_type, (authority.der, authority.public_key)[selector])
    assert holds([wanted], GOOD.chain, NAMES, NOW) == ""


@pytest.mark.parametrize("selector", [0, 1])
def test_an_authority_told_whole_need_not_be_shown(selector: int) -> None:
    """RFC 7671 5.2.2: certificate or key stand in the record; of a digest alone there is nothing to check by."""
    bare = ROOT.give(HOST, shown=0)
    data = (ROOT.der, ROOT.public_key)[selector]
    assert holds([record(2, selector, 0, data)], bare.chain, NAMES, NOW) == ""
    assert "no authority" in holds([record(2, selector, 1, data)], bare.chain, NAMES, NOW)


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (MIDDLE.give("another.test"), "not for mx.remote.test"),
        (MIDDLE.expired(HOST), "expired"),
        (self_signed(HOST), "no authority"),
        (Authority("Below", Authority()).give(HOST), "no authority"),
        (MIDDLE.give(HOST, first=NOW + dt.timedelta(2), last=NOW + dt.timedelta(3)), "tomorrow"),
    ],
    ids=["wrong name", "expired", "self-signed", "wrong chain", "not yet"],
)
def test_with_usage_2_everything_counts(server, why: str) -> None:
    """Signature by signature, every date, and the name."""
    assert why in holds([record(2, 1, 1, ROOT.public_key)], server.chain, NAMES, NOW)


@pytest.mark.parametrize("name", ["remote.test", "MX.Remote.Test", "*.remote.test"])
def test_with_usage_2_the_domain_itself_or_a_wildcard_will_do(name: str) -> None:
    """RFC 7672 3.2.2."""
    assert holds([record(2, 0, 1, ROOT.der)], MIDDLE.give(name).chain, NAMES, NOW) == ""


def test_who_is_no_authority_signs_for_nobody() -> None:
    """A server's own certificate, shown behind one that its key signed, is no authority whatever the record says."""
    forger = Authority("Forger")
    forger.certificate, forger.key, forger._name = GOOD.certificates[0], GOOD.key, GOOD.certificates[0].subject
    forger._chain = (GOOD.certificates[0],)
    forged = forger.give("victim.test")
    assert holds([record(2, 0, 1, GOOD.leaf)], forged.chain, ("victim.test",), NOW) != ""


def test_a_chain_without_an_end_is_not_followed_for_ever() -> None:
    """More certificates than anybody needs, none of them an anchor."""
    chain = [GOOD.leaf, *[ROOT.der] * 500]
    assert holds([record(2, 0, 1, Authority().der)], chain, NAMES, NOW) != ""
    assert len(dane._parsed(chain)) == MAX_CHAIN


@pytest.mark.parametrize("chain", [[], [b""], [b"\x30\x82"], [b"x" * 70_000]])
def test_what_is_no_certificate_proves_nothing(chain: list[bytes]) -> None:
    """An empty chain, junk, more octets than a certificate has."""
    assert holds([record(3, 1, 1, GOOD.public_key)], chain, NAMES, NOW) != ""


@pytest.mark.parametrize(
    "text",
    [
        b"0 1 1 " + b"ab" * 32, b"1 1 1 " + b"ab" * 32, b"255 1 1 " + b"ab" * 32, b"3 2 1 " + b"ab" * 32,
        b"3 1 3 " + b"ab" * 32, b"3 1 1 " + b"ab" * 31, b"3 1 2 " + b"ab" * 32, b"3 1 1 zz", b"3 1 0 ", b"3 1 1", b"",
        b"-3 1 1 " + b"ab" * 32, b"3 1 1 " + b"ab" * 32 + b" x", b"\xff", b"3 1 1 \xff",
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_left_out(text: bytes) -> None:
    """RFC 7672 3.1.3 for usages 0 and 1; kinds that nobody knows; digests of the wrong length; junk."""
    assert read_records([text]) == ()


def test_of_digests_only_the_strongest_counts() -> None:
    """RFC 7671 9; but the whole certificate is no digest, and another usage has its own."""
    weak, strong, whole = (b"3 1 1 " + b"aa" * 32, b"3 1 2 " + b"bb" * 64, b"3 1 0 " + b"cc" * 10)
    other = b"2 1 1 " + b"dd" * 32
    assert [(each.usage, each.matching_type) for each in read_records([weak, strong, whole, other])] == [
        (3, 2), (3, 0), (2, 1),
    ]  # fmt: skip


@given(st.lists(st.binary(max_size=80), max_size=6), st.lists(st.binary(max_size=200), max_size=3))
def test_no_octets_raise(texts: list[bytes], chain: list[bytes]) -> None:
    """Whatever a zone and a server say: used, or not."""
    holds(read_records(texts), chain, NAMES, NOW)


@example([(13, 1)])  # its version
@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=5))
def test_a_spoilt_certificate_is_refused_and_raises_nothing(changes: list[tuple[int, int]]) -> None:
    """A true one with octets changed is not the true one."""
    spoilt = bytearray(GOOD.leaf)
    for place, octet in changes:
        spoilt[place % len(spoilt)] ^= octet or 1
    records = [record(3, 0, 1, GOOD.leaf), record(2, 1, 0, ROOT.public_key)]
    assert (holds(records, [bytes(spoilt)], NAMES, NOW) == "") == (bytes(spoilt) == GOOD.leaf)


_LATE = """
import datetime as dt, sys
from mta.security import dane, handshake
from tests.fixtures.authorities import Authority
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
authority = Authority()
server, bare, now = authority.give("mx.test"), authority.give("mx.test", shown=0), dt.datetime.now(dt.UTC)
key = rsa.generate_private_key(65537, 2048).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
before = set(sys.modules)
for data, chain in ((authority.public_key, bare.chain), (authority.der, server.chain), (key, bare.chain)):
    for selector in (0, 1):
        dane.holds([dane.Tlsa(2, selector, 0, data)], chain, ("mx.test",), now)
dane.holds([dane.Tlsa(3, 1, 1, b"x" * 32)], server.chain, ("mx.test",), now)
print(*sorted(set(sys.modules) - before))
"""


def test_nothing_is_loaded_when_a_chain_is_judged() -> None:
    """Inside its walls a remote has no file to load a module from, and would end in the middle of a handshake."""
    tree = Path(__file__).resolve().parents[3]
    run = subprocess.run([sys.executable, "-c", _LATE], capture_output=True, text=True, check=True, cwd=tree)
    assert run.stdout.split() == []
