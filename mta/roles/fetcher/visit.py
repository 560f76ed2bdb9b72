"""One visit to a web server: GET /.well-known/mta-sts.txt over HTTPS, and what came of it.

A reader would otherwise get wrong: redirections are not followed (RFC 8461 3.3), and the certificate is for the name
mta-sts.<domain> or the visit has failed; anything else would let one who holds some other page of the domain set its policy.
"""

import ssl
from collections.abc import Callable
from typing import Final

import h11

from mta.security.reporting import Result
from mta.security.sts import MAX_TEXT
from mta.streams.secure import Secured
from mta.wire.loop import Loop

SECONDS: Final = 60.0  # for one address, all in all (RFC 8461 3.3)
HTTPS_PORT: Final = 443
PATH: Final = b"/.well-known/mta-sts.txt"
MAX_HEADER: Final = 16 * 1024  # octets of status line and header fields
_AGENT: Final = b"Postern"

# The text, or what went wrong; and why, for the operator.
Hear = Callable[[bytes | Result, str], None]


class Visit:
    """To *name* at *address*; *hear* is told once, from the loop."""

    def __init__(
        self, loop: Loop, authorities: ssl.SSLContext, name: str, address: str, hear: Hear, *, port: int = HTTPS_PORT
    ) -> None:  # fmt: skip
        self._name, self._hear = name, hear
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEADER)
        self._text = bytearray()
        self._is_over = False

        def make(incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
            return authorities.wrap_bio(incoming, outgoing, server_hostname=name)

        self._stream = Secured(loop, (address, port), self, make)
        loop.call_later(SECONDS, lambda: self._end(Result.FETCH_ERROR, f"no answer within {SECONDS:.0f} seconds"))

    def opened(self) -> None:
        """The certificate held: ask."""
        headers = [
            (b"Host", self._name.encode()), (b"User-Agent", _AGENT), (b"Accept", b"text/plain"), (b"Connection", b"close"),
        ]  # fmt: skip
        request = h11.Request(method=b"GET", target=PATH, headers=headers)
        self._stream.send((self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b""))

    def received(self, octets: bytes) -> None:
        """Part of the answer."""
        if self._is_over:
            return
        try:
            self._http.receive_data(octets)
            self._advance()
        except h11.RemoteProtocolError as error:
            self._end(Result.FETCH_ERROR, f"not HTTP: {error}")

    def closed(self, why: str) -> None:
        """It is over; for an answer that says nothing of its length that is its end."""
        if self._is_over:
            return
        if "CERTIFICATE_VERIFY_FAILED" in why:
            self._end(Result.WEBPKI_INVALID, "its certificate does not hold")
            return
        if self._stream.is_ended:  # RFC 9112 9.8: else a policy could be made shorter than it is
            try:
                self._http.receive_data(b"")
                self._advance()
            except h11.RemoteProtocolError:
                self._end(Result.FETCH_ERROR, why)
        self._end(Result.FETCH_ERROR, why)

    def _advance(self) -> None:
        """Read what there is of the answer."""
        while not self._is_over:
            event = self._http.next_event()
            if event is h11.NEED_DATA or event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                return
            if isinstance(event, h11.Response):
                self._judge(event)
            elif isinstance(event, h11.Data):
                self._text += event.data
                if len(self._text) > MAX_TEXT:
                    self._end(Result.POLICY_INVALID, f"longer than {MAX_TEXT} octets")
            elif isinstance(event, h11.EndOfMessage):
                self._end(bytes(self._text), "")

    def _judge(self, response: h11.Response) -> None:
        if response.status_code != 200:
            self._end(Result.FETCH_ERROR, f"it answered with status {response.status_code}")
            return
        kind = next((value for name, value in response.headers if name == b"content-type"), b"")
        # RFC 8461 3.2: whoever can put pages of any kind there should not be able to set a policy.
        if kind.partition(b";")[0].strip().lower() != b"text/plain":
            self._end(Result.POLICY_INVALID, "not text/plain")

    def _end(self, found: bytes | Result, why: str) -> None:
        if not self._is_over:
            self._is_over = True
            self._stream.close()
            self._hear(found, why)
