"""The operator's hook: a program of his own that knows the recipients, asked over a socket. docs/recipient-hook.md.

A reader would otherwise get wrong: the protocol is not ours. It is the socketmap protocol that other mail servers speak
too, so a program written for them can be used as it is.
"""

from collections import deque
from collections.abc import Callable

from mta.streams import Address, Stream
from mta.vocabulary import Word
from mta.wire.loop import Loop
from mta.wire.netstring import pack

MAP = b"recipients"  # the name of the table we ask in
MAX_REPLY = 1000  # octets
MAX_WAITING = 500  # questions sent or to be sent; one that comes then is told to try later
PATIENCE_SECONDS = 5.0  # from a question to its reply
_MAX_DIGITS = len(str(MAX_REPLY))
_WORDS = {b"OK": Word.ACCEPT, b"NOTFOUND": Word.UNKNOWN}  # TEMP, TIMEOUT, PERM and whatever else: cannot tell

Hear = Callable[[Word], None]
Locate = Callable[[Callable[[Address | None], None]], None]


class Hook:
    """One connection to the program, made when it is needed; replies come in the order of the questions."""

    def __init__(self, loop: Loop, locate: Locate) -> None:
        """*locate* finds out where the program listens."""
        self._loop, self._locate = loop, locate
        self._stream: Stream | None = None
        self._is_locating = False
        self._asked: deque[tuple[bytes, Hear]] = deque()
        self._received = b""
        self.trouble = ""
        self._number = 0  # of the question at the head of the queue

    def ask(self, address: bytes, hear: Hear) -> None:
        """Does it know *address* (an address key)?"""
        if len(self._asked) >= MAX_WAITING:
            hear(Word.TRY_LATER)
            return
        self._asked.append((address, hear))
        if len(self._asked) == 1:
            self._be_patient()
        if self._stream is not None:
            self._stream.send(_request(address))
        elif not self._is_locating:
            self._is_locating = True
            self._locate(self._located)

    def close(self) -> None:
        """Nobody asks any more."""
        self._hang_up()

    def opened(self) -> None:
        """The questions were sent already."""

    def received(self, octets: bytes) -> None:
        """Replies: netstrings of a word, a space, and what we do not need."""
        self._received += octets
        while self._received:
            reply = self._next_reply()
            if reply is None:
                return
            if not reply or not self._asked:
                self._hang_up()  # No netstring, or an answer to nothing.
                return
            _, hear = self._asked.popleft()
            self._be_patient()
            hear(_WORDS.get(reply.partition(b" ")[0], Word.TRY_LATER))

    def closed(self, why: str) -> None:
        """It hung up, or is not there. Who asked is told so; the next question calls again."""
        self._stream, self.trouble = None, why
        self._fail()

    def _located(self, address: Address | None) -> None:
        self._is_locating = False
        if address is None:
            self.trouble = "its host has no address, or the socket does not lie below hooks/"
            self._fail()
        elif self._asked:
            self._received = b""
            self._stream = Stream(self._loop, address, self)
            for asked, _ in self._asked:
                self._stream.send(_request(asked))

    def _next_reply(self) -> bytes | None:
        """The first whole reply, taken away; None: more is to come; empty: it is none."""
        digits, colon, _ = self._received[: _MAX_DIGITS + 1].partition(b":")
        if not colon:
            return None if len(self._received) <= _MAX_DIGITS and self._received.isdigit() else b""
        if not digits.isdigit() or int(digits) > MAX_REPLY:
            return b""
        end = len(digits) + 1 + int(digits)
        if len(self._received) <= end:
            return None
        if self._received[end : end + 1] != b",":
            return b""
        reply, self._received = self._received[len(digits) + 1 : end], self._received[end + 1 :]
        return reply or b" "

    def _be_patient(self) -> None:
        self._number += 1
        number = self._number
        self._loop.call_later(PATIENCE_SECONDS, lambda: self._too_late(number))

    def _too_late(self, number: int) -> None:
        if number == self._number and self._asked:
            self._hang_up()

    def _hang_up(self) -> None:
        self.trouble = "it does not answer, or not as docs/recipient-hook.md says"
        if self._stream is not None:
            self._stream.close()
            self._stream = None
        self._fail()

    def _fail(self) -> None:
        self._received = b""
        asked, self._asked = self._asked, deque()
        for _, hear in asked:
            hear(Word.TRY_LATER)


def _request(address: bytes) -> bytes:
    return pack([MAP + b" " + address])
