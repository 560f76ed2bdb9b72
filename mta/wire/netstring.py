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
    # Every packet of the house comes through here, so a length of one digit (half of all) does without a search.
    fields: list[bytes] = []
    append, position, end = fields.append, 0, len(packet)
    try:
        while position < end:
            if packet[position + 1] == _COLON:
                length = packet[position] - _ZERO
                start = position + 2
                if not 0 <= length <= 9:
                    raise WireError("a field does not begin with its length")
            else:
                colon = packet.find(b":", position, position + _MAX_DIGITS + 1)
                if colon < 0:
                    raise WireError("a field does not begin with its length")
                short = _SHORT.get(packet[position:colon])
                length = _long(packet[position:colon]) if short is None else short
                start = colon + 1
            position = start + length
            if packet[position] != _COMMA:
                raise WireError("a field does not end where its length says")
            append(packet[start:position])
            position += 1
    except IndexError:
        raise WireError("truncated") from None
    if len(fields) > max_fields:
        raise WireError("too many fields")
    return fields


_COMMA, _COLON, _ZERO = ord(","), ord(":"), ord("0")
_SHORT = {b"%d" % length: length for length in range(256)}  # Nearly every length, looked up in the time of one check.


def _long(digits: bytes) -> int:
    if not digits.isdigit() or (digits[0] == 0x30 and len(digits) > 1):
        raise WireError("a field does not begin with its length")
    return int(digits)
