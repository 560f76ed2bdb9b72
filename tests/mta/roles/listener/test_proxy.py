"""PROXY headers, as HAProxy writes them and as nobody should."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.listener.proxy import (
    FIXED_OCTETS,
    MAX_BODY,
    MAX_LINE,
    SIGNATURE,
    HeaderReader,
    Origin,
    ProxyError,
    crc32c,
)


def binary(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


def tcp4(*values: bytes) -> bytes:
    packed = ipaddress.ip_address("192.0.2.9").packed + ipaddress.ip_address("198.51.100.1").packed
    return binary(0x21, 0x11, packed + struct.pack("!HH", 40_000, 25) + b"".join(values))


def tcp6(source: str = "2001:db8::9") -> bytes:
    packed = ipaddress.ip_address(source).packed + ipaddress.ip_address("2001:db8::1").packed
    return binary(0x21, 0x21, packed + struct.pack("!HH", 40_001, 25))


def value(kind: int, octets: bytes) -> bytes:
    return struct.pack("!BH", kind, len(octets)) + octets


def with_checksum(header: bytes, place: int) -> bytes:
    """The checksum over the header with zeros in its place."""
    return header[:place] + crc32c(header).to_bytes(4, "big") + header[place + 4 :]


def read(octets: bytes) -> Origin | None:
    """All at once, with the client's first octets behind."""
    reader = HeaderReader()
    assert reader.feed(octets + b"EHLO behind\r\n") == len(octets)
    return reader.done


def feed_slowly(reader: HeaderReader, octets: bytes) -> None:
    """One octet at a time."""
    for place in range(len(octets)):
        reader.feed(octets[place : place + 1])


GOOD = [
    (b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 25\r\n", Origin("192.0.2.9", 40_000)),
    (b"PROXY TCP6 2001:db8::9 2001:db8::1 40001 25\r\n", Origin("2001:db8::9", 40_001)),
    (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 40001 25\r\n", Origin("192.0.2.9", 40_001)),
    (b"PROXY UNKNOWN\r\n", Origin()),
    (b"PROXY UNKNOWN ffff:f...f:ffff 65535 65535\r\n", Origin()),
    (tcp4(), Origin("192.0.2.9", 40_000)),
    (tcp4(value(0x04, b"nothing"), value(0x20, b"tls" * 99), value(0xE0, b"")), Origin("192.0.2.9", 40_000)),
    (tcp6(), Origin("2001:db8::9", 40_001)),
    (tcp6("::ffff:192.0.2.9"), Origin("192.0.2.9", 40_001)),
    (binary(0x20, 0x00, b""), Origin()),
    (binary(0x20, 0xFF, b"whatever"), Origin()),
    (binary(0x21, 0x00, b""), Origin()),
    (binary(0x21, 0x12, bytes(12)), Origin()),
    (binary(0x21, 0x31, bytes(216)), Origin()),
    (with_checksum(tcp4(value(0x03, bytes(4)), value(0x04, b"")), FIXED_OCTETS + 15), Origin("192.0.2.9", 40_000)),
]
BAD = [
    b"EHLO client.test\r\n",
    b"PROXY TCP4 192.0.2.9 198.51.100.1 40000\r\n",
    b"PROXY TCP4 192.0.2.9 198.51.100.1 40000 25\n",
    b"PROXY TCP4  192.0.2.9 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 192.0.2.9 198.51.100.1 040000 25\r\n",
    b"PROXY TCP4 192.0.2.9 198.51.100.1 65536 25\r\n",
    b"PROXY TCP4 192.0.2.09 198.51.100.1 40000 25\r\n",
    b"PROXY TCP4 2001:db8::9 2001:db8::1 40000 25\r\n",
    b"PROXY TCP6 192.0.2.9 198.51.100.1 40000 25\r\n",
    b"PROXY UNKNOWNED\r\n",
    b"proxy UNKNOWN\r\n",
    b"PROXY " + b"x" * MAX_LINE,
    SIGNATURE[:-1] + b"\r",
    binary(0x11, 0x11, bytes(12)),
    binary(0x22, 0x11, bytes(12)),
    binary(0x21, 0x13, bytes(12)),
    binary(0x21, 0x41, bytes(36)),
    binary(0x21, 0x11, bytes(11)),
    binary(0x21, 0x21, bytes(35)),
    binary(0x21, 0x11, bytes(MAX_BODY + 1)),
    tcp4(b"\x04\x00"),
    tcp4(b"\x04\x00\x05four"),
    tcp4(value(0x03, b"\x00\x00\x00\x01")),
    tcp4(value(0x03, b"\x00")),
]


@pytest.mark.parametrize(("octets", "origin"), GOOD)
def test_a_header_is_read_and_nothing_behind_it(octets: bytes, origin: Origin) -> None:
    """Whole, octet by octet, and with the client's first command already behind it."""
    assert read(octets) == origin
    reader = HeaderReader()
    for place in range(len(octets)):
        assert reader.done is None
        assert reader.feed(octets[place : place + 1]) == 1
    assert reader.done == origin


@pytest.mark.parametrize("octets", BAD)
def test_what_is_no_header_is_refused(octets: bytes) -> None:
    """Also when it comes in small pieces, and never later than its last octet."""
    with pytest.raises(ProxyError):
        read(octets)
    with pytest.raises(ProxyError):
        feed_slowly(HeaderReader(), octets)


def test_the_checksum_is_castagnolis() -> None:
    """RFC 9260 appendix A, by the value that everybody checks it with."""
    assert crc32c(b"123456789") == 0xE3069283


@given(st.lists(st.integers(1, 60), max_size=30), st.sampled_from([octets for octets, _ in GOOD]))
def test_pieces_make_no_difference(sizes: list[int], octets: bytes) -> None:
    """However the network cuts it: the same octets belong to the header."""
    stream, reader, taken = octets + b"EHLO behind\r\n", HeaderReader(), 0
    for size in [*sizes, len(stream)]:
        if reader.done is None:
            taken += reader.feed(stream[taken : taken + size])
    while reader.done is None:
        taken += reader.feed(stream[taken:])
    assert taken == len(octets)


@given(
    st.one_of(
        st.binary(max_size=300), st.binary(max_size=300).map(SIGNATURE.__add__), st.binary().map(b"PROXY ".__add__)
    )
)
def test_no_octets_break_it(octets: bytes) -> None:
    """A header, part of one, or a ProxyError; never more than there is."""
    reader = HeaderReader()
    try:
        assert 0 <= reader.feed(octets) <= len(octets)
    except ProxyError:
        assert reader.done is None
