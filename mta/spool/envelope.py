"""The envelope file: who sent a message to whom, and how long its content is. Immutable once it is whole.

A reader would otherwise get wrong: *whole* and *readable* are two questions. Every version of the format begins with
`postern-envelope <version>` and ends with a checksum over all before, so a torn file is told from one that a newer Postern
wrote. The first is nobody's mail; the second is accepted mail, and must never be removed by somebody who cannot read it.
"""

import enum
import hashlib
from collections.abc import Callable, Mapping

from mta.record import dataclass
from mta.wire.netstring import WireError, pack, unpack

VERSION = 2
MAX_RECIPIENTS = 10_000  # RFC 5321 4.5.3.1.8 wants 100 at least; the most that a setting may ask for.
MAX_ENVELOPE = 16 << 20  # Octets; more than MAX_RECIPIENTS with the longest paths and options (RFC 3461 5.4) take.

_MAGIC = b"postern-envelope "
_CHECKSUM_OCTETS = 8
_CHECKSUM_FIELD = len(b"8:,") + _CHECKSUM_OCTETS
_IDENTITY = b"IDENTITY="  # among the options, in hexadecimal: which mailbox submitted it; no client can declare that
PASSED = b"PASSED="  # among the options: from the client's side marks, in an envelope the numbers of recipients (`Envelope.passed`)
_FIXED_FIELDS = 8  # before the recipients
_RECIPIENT_FIELDS = 3


class NotWholeError(Exception):
    """The file is not what an enqueuer finished: nobody was told 250 for it."""


class UnknownVersionError(Exception):
    """The file is whole, but a Postern wrote it that we are older (or much younger) than. Keep it."""


class Generation(enum.IntEnum):
    """How far a message is from what a person wrote."""

    ORDINARY = 0
    BOUNCE = 1  # null reverse-path: its failure tells the host's postmaster
    DOUBLE_BOUNCE = 2  # tells the host's postmaster already: its failure is counted, and that is all


@dataclass(frozen=True, slots=True)
class Recipient:
    """One forward-path as given, the mailbox whose quota it counts against (or nothing), and what RCPT declared."""

    forward_path: bytes
    counted: bytes = b""
    options: bytes = b""  # space-separated KEY=value (RFC 3461 4); version 1 had none

    def option(self, name: bytes) -> bytes:
        """The value of the RCPT option *name*, or nothing."""
        return _option(self.options, name)


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the enqueuer promises about one message."""

    arrival: int  # seconds since 1970
    size: int  # octets of the content file, so that one that lost its end to a crash is known without reading it
    reverse_path: bytes
    options: bytes  # what MAIL declared, and who submitted it: space-separated KEY=value
    session: bytes
    client: bytes
    generation: Generation
    recipients: tuple[Recipient, ...]

    def option(self, name: bytes) -> bytes:
        """The value of the MAIL option *name*, or nothing."""
        return _option(self.options, name)

    @property
    def identity(self) -> bytes:
        """The address key of the mailbox that submitted it, or nothing."""
        try:
            return bytes.fromhex(self.option(_IDENTITY[:-1]).decode())
        except ValueError:
            return b""

    @property
    def mail_options(self) -> bytes:
        """What MAIL declared, and no more."""
        own = without_identity(self.options).split()
        return b" ".join(option for option in own if not option.startswith(PASSED))

    @property
    def passed(self) -> frozenset[int]:
        """Of which recipients the message bears our mark: it was here for them before, and came back."""
        return frozenset(
            int(number) for number in self.option(PASSED[:-1]).split(b",") if number.isdigit() and len(number) < 6
        )

    def declares(self, name: bytes) -> bool:
        """Did MAIL have the option *name*, with a value or without?"""
        return any(option.partition(b"=")[0].upper() == name for option in self.options.split())


def without_identity(options: bytes) -> bytes:
    """*options* without what only the enqueuer may write there."""
    return b" ".join(option for option in options.split() if not option.upper().startswith(_IDENTITY))


def with_identity(options: bytes, identity: bytes) -> bytes:
    """*options* and the mailbox that submitted the message; empty: nobody logged in."""
    own = without_identity(options)
    return (own + b" " + _IDENTITY + identity.hex().encode()).strip() if identity else own


Reader = Callable[[list[bytes]], Envelope]


def render(envelope: Envelope) -> bytes:
    """The octets of the envelope file.

    Raises:
        WireError: more than MAX_ENVELOPE octets.
    """
    fields = [
        b"%b%d" % (_MAGIC, VERSION),
        b"%d" % envelope.arrival,
        b"%d" % envelope.size,
        envelope.reverse_path,
        envelope.options,
        envelope.session,
        envelope.client,
        b"%d" % envelope.generation,
    ]
    for recipient in envelope.recipients:
        fields += (recipient.forward_path, recipient.counted, recipient.options)
    return seal(fields)


def seal(fields: list[bytes]) -> bytes:
    """*fields* as netstrings with the checksum behind them: how every version of the format ends.

    Raises:
        WireError: more than MAX_ENVELOPE octets.
    """
    body = pack(fields, MAX_ENVELOPE - _CHECKSUM_FIELD)
    return body + pack([_checksum(body)])


def whole(octets: bytes) -> bool:
    """Did an enqueuer of any version finish writing this?"""
    body, end = octets[:-_CHECKSUM_FIELD], octets[-_CHECKSUM_FIELD:]
    return _MAGIC in octets[:24] and end == pack([_checksum(body)])


def holds(octets: bytes, name: bytes) -> bool:
    """May the envelope in *octets* have the lower-case *name* in a path, or as who logged in? To parse takes ten times as long."""
    return name in octets.lower() or name.hex().encode() in octets


def parse(octets: bytes, readers: Mapping[int, Reader] | None = None) -> Envelope:
    """The envelope in *octets*. An upgrade reads what the version before it wrote: it has both in *readers*.

    Raises:
        NotWholeError: torn, or never an envelope.
        UnknownVersionError: whole, but not for us to understand.
    """
    if not whole(octets):
        raise NotWholeError("the checksum does not match")
    # The checksum matched, so whatever does not parse from here on was written so on purpose, by another version.
    try:
        fields = unpack(octets[:-_CHECKSUM_FIELD], _FIXED_FIELDS + _RECIPIENT_FIELDS * MAX_RECIPIENTS)
        version = int(fields[0].removeprefix(_MAGIC))
        read = (READERS if readers is None else readers).get(version)
        if read is None:
            raise UnknownVersionError(f"version {version}")
        return read(fields)
    except (WireError, ValueError, IndexError) as error:
        raise UnknownVersionError(f"not in our format: {error}") from error


def read_version_2(fields: list[bytes]) -> Envelope:
    """The envelope in the fields of a version 2 file.

    Raises:
        ValueError: a number is none, or a recipient lacks a part.
    """
    return _read(fields, _RECIPIENT_FIELDS)


def read_version_1(fields: list[bytes]) -> Envelope:
    """The envelope in the fields of a version 1 file: its recipients have no options.

    Raises:
        ValueError: a number is none, or a recipient lacks its half.
    """
    return _read(fields, 2)


def _read(fields: list[bytes], width: int) -> Envelope:
    _, arrival, size, reverse_path, options, session, client, generation, *rest = fields
    recipients = tuple(map(Recipient, *(rest[part::width] for part in range(width))))
    if len(rest) % width or not recipients:
        raise ValueError(f"a recipient is {width} fields")
    return Envelope(
        int(arrival), int(size), reverse_path, options, session, client, Generation(int(generation)), recipients
    )


READERS: Mapping[int, Reader] = {1: read_version_1, 2: read_version_2}  # This version, and the one before it.


def _option(options: bytes, name: bytes) -> bytes:
    for option in options.split():
        key, _, value = option.partition(b"=")
        if key.upper() == name:
            return value
    return b""


def _checksum(body: bytes) -> bytes:
    return hashlib.blake2b(body, digest_size=_CHECKSUM_OCTETS).digest()
