"""Netstrings: length, colon, bytes, comma. Ignorant of meaning, strict, bounded.

A reader would otherwise get wrong: there is exactly one spelling of every value. A length with a leading zero, a sign or a
space is refused, so two processes can never read the same bytes differently.
"""

from collections.abc import Iterable

MAX_MESSAGE = 64 * 1024  # One packet between roles; larger content travels in several, or as a descriptor.
MAX_FIELDS = 256  # More fields than any message of ours has.
_MAX_DIGITS = len(str(MAX_MESSAGE))


class WireError(Exception):
    """The bytes are not what a peer that follows the protocol sends. The only answer is to hang up."""


def pack(fields: Iterable[bytes], max_octets: int = MAX_MESSAGE) -> bytes:
    """Encode *fields* one after the other. A file may be longer than a packet, so its writer gives its own *max_octets*.

    Raises:
        WireError: the packet would exceed *max_octets*.
    """
    packet = b"".join([b"%d:%b," % (len(field), field) for field in fields])
    if len(packet) > max_octets:
        raise WireError(f"a packet of {len(packet)} octets is over the bound of {max_octets}")
    return packet


def unpack(packet: bytes, max_fields: int = MAX_FIELDS) -> list[bytes]:
    """Decode a whole packet into its fields; nothing may be left over.

    Raises:
        WireError: not netstrings, too many of them, or truncated.
    """
    fields: list[bytes] = []
    position, end = 0, len(packet)
    while position < end:
        colon = packet.find(b":", position, position + _MAX_DIGITS + 1)
        if colon < 0:
            raise WireError("a field does not begin with its length")
        length = _SHORT.get(packet[position:colon])
        start = colon + 1
        position = start + (_long(packet[position:colon]) if length is None else length)
        if position >= end or packet[position] != _COMMA:
            raise WireError("a field does not end where its length says")
        fields.append(packet[start:position])
        position += 1
        if len(fields) > max_fields:
            raise WireError("too many fields")
    return fields


_COMMA = ord(",")
_SHORT = {b"%d" % length: length for length in range(256)}  # Nearly every length, looked up in the time of one check.


def _long(digits: bytes) -> int:
    if not digits.isdigit() or (digits[0] == 0x30 and len(digits) > 1):
        raise WireError("a field does not begin with its length")
    return int(digits)
