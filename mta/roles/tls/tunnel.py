"""The server's side of one TLS connection without I/O: octets of the client in, plaintext out, and the other way round.

A reader would otherwise get wrong: the end of the client's input is told to the pump, never to OpenSSL. For that an end
without close_notify is an error after which nothing may be said any more; for SMTP it is a client that has said all it
wanted and still listens. What was cut off is not taken for whole: every SMTP command and message has an end of its own.
"""

import contextlib
import ssl
from collections.abc import Callable
from typing import Final

from mta.roles.tls.openssl import server_context

_MOST: Final = 64 * 1024  # octets read at once; a record holds 16 KiB
_MAX_NAME: Final = 253  # RFC 1035 2.3.4, as text

Choose = Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]


class Broken(Exception):
    """The client does not speak TLS as we do. What remains to be sent (an alert) should be sent; then hang up."""


class Conversing(ssl.SSLObject):
    """One end of a TLS connection; knows what it was asked for."""

    server_name: bytes = b""


def first_context(choose: Choose, *, tickets: bool = True) -> ssl.SSLContext:
    """The context with which conversations begin: it has no certificate, and *choose* gives them another that has.

    An exception in *choose* would be printed by the interpreter and otherwise vanish, so there must be none.
    """
    context = server_context(tickets=tickets)
    context.sslobject_class = Conversing
    context.sni_callback = choose
    return context


def asked_name(conversing: ssl.SSLObject, name: str | None) -> bytes:
    """The name that the client asks for, in the form of our keys; empty for none, or one that is none."""
    asked = (name or "").encode("ascii", "replace").lower().rstrip(b".")
    if len(asked) > _MAX_NAME:
        return b""
    if isinstance(conversing, Conversing):
        conversing.server_name = asked
    return asked


class Tunnel:
    """One connection under *context*."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self.secured = False  # the handshake is done
        self.ended = False  # the client said that it will say no more

    def receive(self, octets: bytes) -> bytes:
        """The client sent *octets*; answers the plaintext in them.

        Raises:
            Broken: there will be nothing any more.
        """
        self._received.write(octets)
        try:
            if not self.secured:
                self._tls.do_handshake()
                self.secured = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise Broken(error.reason or "TLS_ERROR") from error

    def send(self, plaintext: bytes) -> None:
        """Put *plaintext* into what is to be sent.

        Raises:
            Broken: as `receive`.
        """
        view = memoryview(plaintext)
        try:
            while view:
                view = view[self._tls.write(view) :]  # a record at a time
        except ssl.SSLError as error:
            raise Broken(error.reason or "TLS_ERROR") from error

    def close(self) -> None:
        """We will say no more: put a close_notify into what is to be sent (RFC 8446 6.1)."""
        with contextlib.suppress(ssl.SSLError):  # It waits for the client's own, which we do not need.
            self._tls.unwrap()

    def take(self) -> bytes:
        """What is to be sent to the client."""
        return self._to_send.read()

    @property
    def protection(self) -> bytes:
        """Protocol version and cipher suite, as a Received field says it."""
        cipher = self._tls.cipher()
        return f"{self._tls.version()} {cipher[0] if cipher else ''}".encode()

    @property
    def server_name(self) -> bytes:
        """What the client asked for; empty when it did not."""
        return self._tls.server_name if isinstance(self._tls, Conversing) else b""

    def _read(self) -> bytes:
        parts = []
        try:
            while self._received.pending or self._tls.pending():
                part = self._tls.read(_MOST)
                if not part:
                    self.ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass  # The rest of a record is still to come.
        except ssl.SSLZeroReturnError:
            self.ended = True
        return b"".join(parts)
