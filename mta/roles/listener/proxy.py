"""The PROXY protocol, versions 1 and 2: a load balancer's word on whose connection it passes on. No sockets here.

A reader would otherwise get wrong: not one octet behind the header may be taken, since it is the client's. So the reader is
shown what *could* be taken (peeked at) and answers how much of it is header. That is also why it is fed until it says `done`:
what is not yet a whole header belongs to it for certain.

Standards: the PROXY protocol (HAProxy, 2020-03), sections 2.1, 2.2.
"""

import ipaddress
import re
import struct
from typing import Final

from mta.record import dataclass

MAX_LINE: Final = 107  # 2.1: the longest header of version 1, with its CRLF
SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"  # 2.2
FIXED_OCTETS: Final = 16  # signature, version and command, family and transport, length
MAX_BODY: Final = 4096  # 2.2 allows 65,535; addresses take 36, the rest are values that we do not need
MAX_PEEK: Final = FIXED_OCTETS + MAX_BODY

_LINE: Final = re.compile(
    rb"PROXY TCP([46]) ([0-9a-fA-F.:]{2,39}) ([0-9a-fA-F.:]{2,39}) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4})\r\n\Z"
)
_UNKNOWN: Final = b"PROXY UNKNOWN"
_LOCAL, _PROXY = 0x20, 0x21  # version and command
_TCP4, _TCP6 = 0x11, 0x21  # family and transport
# The others that exist: unspecified, datagrams, UNIX sockets. They name no client that SMTP could have.
_NAMELESS: Final = frozenset({0x00, 0x12, 0x22, 0x31, 0x32})
_ADDRESS_OCTETS: Final = {0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
_TYPE_CRC32C: Final = 0x03  # 2.2.3
_CRC_OCTETS: Final = 4
_MAX_PORT: Final = 65_535


class ProxyError(ValueError):
    """Not a header; whoever sent it is no load balancer of ours, or broken."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose connection it is. No address: the load balancer's own (it looks whether we are well)."""

    address: str = ""
    port: int = 0


class HeaderReader:
    """Takes one header, in as many pieces as it comes in."""

    __slots__ = ("_taken", "done")

    def __init__(self) -> None:
        self._taken = b""
        self.done: Origin | None = None

    def feed(self, peeked: bytes) -> int:
        """How many of the octets *peeked* (not taken yet, behind those fed before) belong to the header.

        Raises:
            ProxyError: there is no header here.
        """
        octets = self._taken + peeked
        end = self._end(octets)
        taken = len(octets) if end is None else min(end, len(octets))
        used = taken - len(self._taken)
        self._taken = octets[:taken]
        if end is not None and taken == end:
            self.done = read_header(self._taken)
        return used

    @staticmethod
    def _end(octets: bytes) -> int | None:
        """How long the header is that begins with *octets*; None when they do not say yet."""
        if SIGNATURE.startswith(octets[: len(SIGNATURE)]):
            if len(octets) < FIXED_OCTETS:
                return None
            length = int.from_bytes(octets[14:16], "big")
            if length > MAX_BODY:
                raise ProxyError("longer than we read")
            return FIXED_OCTETS + length
        if not octets.startswith(b"PROXY "[: len(octets)]):
            raise ProxyError("no signature")
        found = octets.find(b"\n", 0, MAX_LINE)
        if found < 0 and len(octets) >= MAX_LINE:
            raise ProxyError("no end of line")
        return None if found < 0 else found + 1


def read_header(octets: bytes) -> Origin:
    """Whose connection a whole header is about.

    Raises:
        ProxyError: it is not a header, or its checksum is wrong.
    """
    return _read_binary(octets) if octets.startswith(SIGNATURE) else _read_line(octets)


def _read_line(line: bytes) -> Origin:
    if line.startswith((_UNKNOWN + b" ", _UNKNOWN + b"\r\n")) and line.endswith(b"\r\n"):
        return Origin()  # 2.1: what follows must be ignored.
    match = _LINE.match(line)
    if match is None:
        raise ProxyError("not a line of version 1")
    version, source, destination, *ports = match.groups()
    try:
        addresses = [ipaddress.ip_address(each.decode()) for each in (source, destination)]
    except ValueError as error:
        raise ProxyError("not an address") from error
    if any(each.version != int(version) for each in addresses) or any(int(port) > _MAX_PORT for port in ports):
        raise ProxyError("an address of another family, or no port")
    return Origin(_text(addresses[0]), int(ports[0]))


def _read_binary(octets: bytes) -> Origin:
    command, family, length = struct.unpack_from("!BBH", octets, len(SIGNATURE))
    if command not in (_LOCAL, _PROXY) or len(octets) != FIXED_OCTETS + length:
        raise ProxyError("another version, another command, or another length")
    if command == _LOCAL:
        return Origin()  # 2.2: whatever else it says must be ignored.
    if family not in _ADDRESS_OCTETS or length < _ADDRESS_OCTETS[family]:
        raise ProxyError("another family, or too short for its addresses")
    _check_values(octets, FIXED_OCTETS + _ADDRESS_OCTETS[family])
    if family in _NAMELESS:
        return Origin()
    packed, at = (octets[16:20], 24) if family == _TCP4 else (octets[16:32], 48)
    return Origin(_text(ipaddress.ip_address(packed)), int.from_bytes(octets[at : at + 2], "big"))


def _text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """The address as everybody in the house will see it: an IPv4 client in IPv6 clothes is an IPv4 client."""
    return str(getattr(address, "ipv4_mapped", None) or address)


def _check_values(octets: bytes, start: int) -> None:
    """Skip over the type-length-values from *start*; a checksum among them must be right (2.2.3)."""
    while start < len(octets):
        if start + 3 > len(octets):
            raise ProxyError("a value without length")
        kind, length = struct.unpack_from("!BH", octets, start)
        value = start + 3
        start = value + length
        if start > len(octets):
            raise ProxyError("a value that is longer than the header")
        if kind == _TYPE_CRC32C:
            summed = octets[:value] + bytes(_CRC_OCTETS) + octets[start:]
            if length != _CRC_OCTETS or crc32c(summed) != int.from_bytes(octets[value:start], "big"):
                raise ProxyError("a wrong checksum")


def crc32c(octets: bytes) -> int:
    """CRC-32 with Castagnoli's polynomial (RFC 9260 appendix A); zlib's is another."""
    value = 0xFFFFFFFF
    for octet in octets:
        value = _TABLE[(value ^ octet) & 0xFF] ^ value >> 8
    return value ^ 0xFFFFFFFF


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - shifted in place, eight times
        table.append(value)
    return tuple(table)


_TABLE: Final = _table()
