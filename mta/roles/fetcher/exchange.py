"""One request to a web server over HTTPS, and its answer, as far as everybody who asks web servers has it in common.

A reader would otherwise get wrong: nobody can leave the certificate out. It is for the name that was asked for, an authority of
this machine stands behind it, or not one octet of the request is sent. And a redirection is an answer like any other: who asked
was told to ask this server.
"""

import ssl
from abc import ABC, abstractmethod
from typing import Final

import h11

from mta.record import dataclass
from mta.streams.secure import Secured
from mta.wire.loop import Loop

MAX_HEADER: Final = 16 * 1024  # octets of status line and header fields
AGENT: Final = b"Postern"
_NOT_HELD: Final = "CERTIFICATE_VERIFY_FAILED"


@dataclass(frozen=True, slots=True)
class Place:
    """A web server: its name, and where it is."""

    name: str
    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. The fields that every request has are added."""

    method: bytes
    target: bytes
    fields: tuple[tuple[bytes, bytes], ...] = ()
    body: bytes = b""


class Exchange(ABC):
    """*request* to *place*, in *seconds* at most. What becomes of it is heard by who is one, from the loop."""

    def __init__(self, loop: Loop, authorities: ssl.SSLContext, place: Place, request: Request, seconds: float) -> None:
        self._request, self._place = request, place
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER)
        self._is_over = False
        self.is_sent = False

        def make(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
            return authorities.wrap_bio(incoming, outgoing, server_hostname=place.name)

        self._stream = Secured(loop, (place.address, place.port), self, make)
        loop.call_later(seconds, lambda: self._fail(f"no answer within {seconds:.0f} seconds"))

    # --- what the other side says, for who is one

    @abstractmethod
    def judge(self, response: h11.Response) -> None:
        """The answer begins."""

    @abstractmethod
    def take(self, octets: bytes) -> None:
        """Part of its body."""

    @abstractmethod
    def finish(self) -> None:
        """It is whole."""

    @abstractmethod
    def fail(self, why: str, *, is_doubted: bool = False) -> None:
        """There will be none; *is_doubted*: the certificate does not hold."""

    def end(self) -> None:
        """Hang up; nothing more is heard."""
        self._is_over = True
        self._stream.close()

    # --- the stream

    def opened(self) -> None:
        """The certificate held: ask."""
        try:
            octets = self._octets()
        except h11.LocalProtocolError as error:
            self._fail(f"it cannot be asked: {error}")
            return
        self.is_sent = True
        self._stream.send(octets)

    def received(self, octets: bytes) -> None:
        """Part of the answer."""
        if self._is_over:
            return
        try:
            self._http.receive_data(octets)
            self._advance()
        except h11.RemoteProtocolError as error:
            self._fail(f"not HTTP: {error}")

    def closed(self, why: str) -> None:
        """It is over; for an answer that says nothing of its length that is its end."""
        if self._is_over:
            return
        if _NOT_HELD in why:
            self._fail("its certificate does not hold", is_doubted=True)
            return
        if self._stream.is_ended:  # RFC 9112 9.8: else an answer could be made shorter than it is
            try:
                self._http.receive_data(b"")
                self._advance()
            except h11.RemoteProtocolError:
                self._fail(why)
        self._fail(why)

    def _octets(self) -> bytes:
        request, name = self._request, self._place.name
        host = f"[{name}]" if ":" in name else name
        port = "" if self._place.port == 443 else f":{self._place.port}"
        length = ((b"Content-Length", b"%d" % len(request.body)),) if request.method != b"GET" else ()
        fields = [
            (b"Host", f"{host}{port}".encode()), (b"User-Agent", AGENT), *request.fields, *length, (b"Connection", b"close"),
        ]  # fmt: skip
        head = h11.Request(method=request.method, target=request.target, headers=fields)
        body = self._http.send(head), self._http.send(h11.Data(data=request.body)), self._http.send(h11.EndOfMessage())
        return b"".join(part or b"" for part in body)

    def _advance(self) -> None:
        """Read what there is of the answer."""
        while not self._is_over:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Response):
                self.judge(event)
            elif isinstance(event, h11.Data):
                self.take(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self.finish()
                self.end()

    def _fail(self, why: str, *, is_doubted: bool = False) -> None:
        if not self._is_over:
            self.end()
            self.fail(why, is_doubted=is_doubted)
