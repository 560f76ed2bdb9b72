"""One visit to a web server: GET /.well-known/mta-sts.txt over HTTPS, and what came of it.

A reader would otherwise get wrong: redirections are not followed (RFC 8461 3.3), and the certificate is for the name
mta-sts.<domain> or the visit has failed; anything else would let one who holds some other page of the domain set its policy.
"""

import ssl
from collections.abc import Callable
from typing import Final

import h11

from mta.roles.fetcher.exchange import Exchange, Place, Request
from mta.security.reporting import Result
from mta.security.sts import MAX_TEXT
from mta.wire.loop import Loop

SECONDS: Final = 60.0  # for one address, all in all (RFC 8461 3.3)
HTTPS_PORT: Final = 443
PATH: Final = b"/.well-known/mta-sts.txt"

# The text, or what went wrong; and why, for the operator.
Hear = Callable[[bytes | Result, str], None]


class Visit(Exchange):
    """To *name* at *address*; *hear* is told once, from the loop."""

    def __init__(
        self, loop: Loop, authorities: ssl.SSLContext, name: str, address: str, hear: Hear, *, port: int = HTTPS_PORT
    ) -> None:  # fmt: skip
        self._hear = hear
        self._text = bytearray()
        request = Request(b"GET", PATH, ((b"Accept", b"text/plain"),))
        super().__init__(loop, authorities, Place(name, address, port), request, SECONDS)

    def judge(self, response: h11.Response) -> None:
        """As `Exchange.judge`."""
        if response.status_code != 200:
            self._refuse(Result.FETCH_ERROR, f"it answered with status {response.status_code}")
            return
        kind = next((value for name, value in response.headers if name == b"content-type"), b"")
        # RFC 8461 3.2: whoever can put pages of any kind there should not be able to set a policy.
        if kind.partition(b";")[0].strip().lower() != b"text/plain":
            self._refuse(Result.POLICY_INVALID, "not text/plain")

    def take(self, octets: bytes) -> None:
        """As `Exchange.take`."""
        self._text += octets
        if len(self._text) > MAX_TEXT:
            self._refuse(Result.POLICY_INVALID, f"longer than {MAX_TEXT} octets")

    def finish(self) -> None:
        """As `Exchange.finish`."""
        self._hear(bytes(self._text), "")

    def fail(self, why: str, *, is_doubted: bool = False) -> None:
        """As `Exchange.fail`."""
        self._hear(Result.WEBPKI_INVALID if is_doubted else Result.FETCH_ERROR, why)

    def _refuse(self, found: Result, why: str) -> None:
        self.end()
        self._hear(found, why)
