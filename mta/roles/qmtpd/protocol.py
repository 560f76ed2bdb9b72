"""The two quick protocols without any I/O: octets in, whole messages out; answers to octets.

A reader would otherwise get wrong: a client that said the length of something is let finish saying it, however long: closing
on it would take our answer with it. What is too large is counted and thrown away, and its message answered with D.

    QMTP   message, sender, recipients (a netstring of netstrings); one answer for each recipient
    QMQP   one netstring of message, sender and recipients; one answer for all

    reader = Reader(Protocol.QMTP, room)
    for message in reader.read(octets): ...        as many as are whole now; each gives its room back when it is done with
"""

import enum
from collections.abc import Callable, Generator
from typing import Final

from mta.record import dataclass

MAX_LENGTH_DIGITS: Final = 10  # of a netstring of a client: ten gigabytes, which is more than is ever taken
MAX_ADDRESS: Final = 1000  # octets: an address has 254 (RFC 5321 4.5.3.1.3), and what is longer is refused by name
MAX_RECIPIENTS: Final = 10_000  # of one message, as the enqueuer has it
PIECE: Final = 64 * 1024  # octets of content that are taken at once

_ZERO, _COLON, _COMMA = b"0", b":", b","
_LINE_ENDS: Final = {b"\n": b"\n", b"\r": b"\r\n"}  # how QMTP's first octet says that a message's lines end


class Protocol(enum.Enum):
    """Which of the two, by the name of its service."""

    QMTP = b"qmtp"
    QMQP = b"qmqp"


class Lack(enum.Enum):
    """Why a message's content was not kept."""

    SIZE = "size"  # larger than any that is taken
    ROOM = "room"  # too much is on its way at the moment
    FORM = "form"  # QMTP: its first octet does not say how lines end


class ProtocolError(Exception):
    """The client speaks something else. There is no way to tell it; hang up."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a client hands over; *lack* says why it came without content."""

    content: bytes  # with CRLF
    sender: bytes
    recipients: tuple[bytes, ...]
    lack: Lack | None = None


Room = Callable[[int], Lack | None]  # May a message of so many octets be kept? Who may gives the room back himself.
_Wanted = tuple[int, int] | Message  # at least and at most so many octets; or here is a message
_Steps = Generator[_Wanted, bytes, None]


class Reader:
    """One client's octets, with memory for one message."""

    def __init__(self, protocol: Protocol, room: Room) -> None:
        self._protocol, self._room = protocol, room
        self._rest = bytearray()
        self._taken = 0
        self._steps = self._messages()
        self._wanted: _Wanted = next(self._steps)

    def read(self, octets: bytes) -> list[Message]:
        """The messages that are whole now.

        Raises:
            ProtocolError: see there. Nothing more can be read.
        """
        found: list[Message] = []
        self._rest += octets
        while True:
            if isinstance(self._wanted, Message):
                found.append(self._wanted)
                self._wanted = self._steps.send(b"")
                continue
            least, most = self._wanted
            if len(self._rest) < least:
                return found
            piece = bytes(self._rest[:most])
            del self._rest[:most]
            self._taken += len(piece)
            self._wanted = self._steps.send(piece)

    # --- what is wanted next

    def _messages(self) -> _Steps:
        while True:
            yield from self._message()

    def _message(self) -> _Steps:
        end = 0
        if self._protocol is Protocol.QMQP:
            end = yield from self._length()
            end += self._taken
        content, lack = yield from self._content()
        sender = yield from self._address()
        if self._protocol is Protocol.QMTP:
            end = yield from self._length()
            end += self._taken
        recipients: list[bytes] = []
        while self._taken < end:
            if len(recipients) >= MAX_RECIPIENTS:
                raise ProtocolError("too many recipients")
            recipient = yield from self._address()
            recipients.append(recipient)
        if self._taken != end or not recipients:
            raise ProtocolError("recipients that do not end where their length says")
        yield from self._expect(_COMMA)
        yield Message(content, sender, tuple(recipients), lack)

    def _content(self) -> Generator[_Wanted, bytes, tuple[bytes, Lack | None]]:
        length = yield from self._length()
        lack = self._room(length)
        line_end = b"\n"
        if self._protocol is Protocol.QMTP:
            if not length:
                raise ProtocolError("a message without its first octet")
            first = yield 1, 1
            length -= 1
            line_end = _LINE_ENDS.get(first, b"")
            lack = lack or (None if line_end else Lack.FORM)
        pieces = []
        while length:
            piece = yield 1, min(length, PIECE)
            length -= len(piece)
            if lack is None:
                pieces.append(piece)
        yield from self._expect(_COMMA)
        content = b"".join(pieces)
        return (content.replace(b"\n", b"\r\n") if line_end == b"\n" else content), lack

    def _address(self) -> Generator[_Wanted, bytes, bytes]:
        length = yield from self._length()
        if length > MAX_ADDRESS:
            raise ProtocolError("an address that is none")
        address = (yield length, length) if length else b""
        yield from self._expect(_COMMA)
        return address

    def _length(self) -> Generator[_Wanted, bytes, int]:
        digits = b""
        while True:
            octet = yield 1, 1
            if octet == _COLON and digits:
                return int(digits)
            if not octet.isdigit() or digits == _ZERO or len(digits) >= MAX_LENGTH_DIGITS:
                raise ProtocolError("a netstring does not begin with its length")
            digits += octet

    def _expect(self, octet: bytes) -> _Steps:
        said = yield 1, 1
        if said != octet:
            raise ProtocolError("a netstring does not end where its length says")


def answer(letter: bytes, words: bytes) -> bytes:
    """One answer: *letter* is K (taken), Z (come back) or D (never), *words* for a person."""
    said = letter + words
    return b"%d:%b," % (len(said), said)
