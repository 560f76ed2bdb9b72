"""One message while it comes in: header apart, body hashed and kept, line ends looked at.

A reader would otherwise get wrong: submissiond has refused half line ends already, and they are looked for all the same. A
From field behind a lone LF is none for us and one for whoever reads the mailbox; so this is part of checking authors.
"""

from collections import deque
from collections.abc import Iterator

from mta.message.dkim.canonical import BodyHash
from mta.roles.submitter.draft import MAX_HEADER, NotSubmittable

BLOCK = 60 * 1024  # octets of content in one packet
SMALL = 4 * 1024  # octets; pieces below it are kept together

_EMPTY_LINE = b"\r\n\r\n"  # and the line end before it


class Holding:
    """Content that arrives in pieces; `octets` are held."""

    def __init__(self, most: int) -> None:
        """*most*: octets that a message may have."""
        self.octets = 0
        self.header = b""  # with the line end of its last field; known once the body has begun
        self._most = most
        self._begun = False  # the body has
        self._head = bytearray()  # what came before that
        self._hash = BodyHash()
        self._body: deque[bytes] = deque()
        self._small = (
            bytearray()
        )  # behind them, pieces that are yet to become one: each alone would cost more than it holds
        self._half = False  # a CR was last
        self._last = b""  # the last two octets of all

    def take(self, piece: bytes) -> None:
        """The next piece of the content.

        Raises:
            NotSubmittable: it is too large, or no content of a message.
        """
        self.octets += len(piece)
        if self.octets > self._most:
            raise NotSubmittable(552, b"5.3.4", "Message too large")
        self._look_at_line_ends(piece)
        self._last = (self._last + piece)[-2:]
        if self._begun:
            self._take_body(piece)
        else:
            self._take_header(piece)

    def finish(self) -> bytes:
        """That was all; the hash of the body. A last line without an end has got one.

        Raises:
            NotSubmittable: it is no content of a message.
        """
        if self._half:
            raise _half_a_line_end()
        if self._last != b"\r\n":
            # Sent on in the ordinary way (RFC 5321 4.1.1.4) it would get one, and that must not break what we sign.
            self.take(b"\r\n")
        if not self._begun:
            self.header = bytes(self._head)
        return self._hash.digest()

    def blocks(self, fields: bytes) -> Iterator[bytes]:
        """The content with *fields* as its header section, in blocks; what was taken is held no more."""
        first = fields + b"\r\n"
        for start in range(0, len(first), BLOCK):
            yield first[start : start + BLOCK]
        self._gather()
        while self._body:
            block = self._body.popleft()
            self.octets -= len(block)
            yield block

    def _take_header(self, piece: bytes) -> None:
        looked = max(0, len(self._head) - len(_EMPTY_LINE) + 1)
        self._head += piece
        if self._head.startswith(b"\r\n"):
            end = behind = 0  # There is none.
        else:
            end = self._head.find(_EMPTY_LINE, looked)
            behind = end + len(b"\r\n")
        header = bytes(self._head[:behind]) if end >= 0 else b""
        if len(header or self._head) > MAX_HEADER:
            raise NotSubmittable(552, b"5.3.4", f"The header is longer than {MAX_HEADER >> 10} KiB")
        if end >= 0:
            self.header, body = header, bytes(self._head[behind + len(b"\r\n") :])
            self._head.clear()
            self._begun = True
            self._take_body(body)

    def _take_body(self, piece: bytes) -> None:
        self._hash.update(piece)
        if len(self._small) + len(piece) > BLOCK:
            self._gather()
        if len(piece) >= SMALL:
            self._gather()
            self._body.append(piece)
        else:
            self._small += piece

    def _gather(self) -> None:
        if self._small:
            self._body.append(bytes(self._small))
            self._small.clear()

    def _look_at_line_ends(self, piece: bytes) -> None:
        """RFC 5321 2.3.8: CR and LF come together or not at all. And no NUL (RFC 5322 4)."""
        octets = b"\r" + piece if self._half else piece
        self._half = octets.endswith(b"\r")
        whole = octets.count(b"\r\n")
        if octets.count(b"\n") != whole or octets.count(b"\r") - self._half != whole or b"\0" in piece:
            raise _half_a_line_end()


def _half_a_line_end() -> NotSubmittable:
    return NotSubmittable(550, b"5.6.0", "The message has a bare CR, a bare LF or a NUL in it")
