"""Clients that are not in yet: a PROXY header is awaited, silence is awaited, or last words are on their way out.

A reader would otherwise get wrong: nothing of what a client says to smtpd is taken here. A header is peeked at and taken to
its last octet, silence is only looked at; only whoever was turned away is read from, into nothing, because closing a socket
with unread octets resets the connection and takes our reply with it.
"""

import contextlib
import socket
from collections.abc import Callable

from mta.roles.listener.proxy import MAX_PEEK, HeaderReader, Origin, ProxyError
from mta.wire.loop import Loop

HEADER_SECONDS = 5.0  # a load balancer sends it in its first packet; the protocol asks for 3 seconds at least
LINGER_SECONDS = 2.0
MAX_LINGERING = 500  # at once; beyond, who was turned away may lose our last words
LINGER_OCTETS = 64 * 1024  # and from one
_BLOCK = 4096


class Foyer:
    """Everybody who waits; each wait ends by itself."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._lingering = 0
        self.awaiting_headers = 0

    def await_header(
        self, sock: socket.socket, arrived: Callable[[Origin], None], failed: Callable[[str], None]
    ) -> None:
        """Tell *arrived* whose connection it is, or *failed* why nobody knows. Either owns the socket then."""
        reader, wait = HeaderReader(), _Wait(self._loop, sock)
        self.awaiting_headers += 1

        def end(tell: Callable[[], None]) -> None:
            self.awaiting_headers -= 1
            tell()

        def look() -> None:
            try:
                peeked = sock.recv(MAX_PEEK, socket.MSG_PEEK | socket.MSG_DONTWAIT)
                used = reader.feed(peeked)
                if used:
                    sock.recv(used, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except (OSError, ProxyError) as error:
                why = str(error)
                wait.end(lambda: end(lambda: failed(why)))
                return
            if reader.done is not None:
                origin = reader.done
                wait.end(lambda: end(lambda: arrived(origin)))
            elif not peeked:
                wait.end(lambda: end(lambda: failed("the connection ended")))

        wait.begin(look, HEADER_SECONDS, lambda: end(lambda: failed("it did not come in time")))

    def await_silence(
        self, sock: socket.socket, seconds: float, *,
        kept: Callable[[], None], broken: Callable[[], None], left: Callable[[], None],
    ) -> None:  # fmt: skip
        """Tell *kept* when the client said nothing for *seconds*, *broken* when it did, *left* when it went away."""
        wait = _Wait(self._loop, sock)

        def look() -> None:
            try:
                said = sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                said = b""
            wait.end(broken if said else left)

        wait.begin(look, seconds, kept)

    def turn_away(self, sock: socket.socket, reply: bytes, *, talks: bool) -> None:
        """Say *reply* and close. *talks*: the client has said something, which must be read away first."""
        # A fresh socket's buffer takes one line; a client whose does not is gone already.
        with contextlib.suppress(OSError):
            sock.send(reply, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if not talks or self._lingering >= MAX_LINGERING:
            sock.close()
            return
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        self._linger(sock)

    def _linger(self, sock: socket.socket) -> None:
        wait, left = _Wait(self._loop, sock), LINGER_OCTETS
        self._lingering += 1

        def close() -> None:
            self._lingering -= 1
            sock.close()

        def look() -> None:
            nonlocal left
            try:
                read = len(sock.recv(_BLOCK, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return
            except OSError:
                read = 0
            left -= read
            if not read or left <= 0:
                wait.end(close)

        wait.begin(look, LINGER_SECONDS, close)


class _Wait:
    """A socket that is watched for a while: what is due at its end happens once."""

    def __init__(self, loop: Loop, sock: socket.socket) -> None:
        self._loop, self._sock = loop, sock
        self._over = False

    def begin(self, look: Callable[[], None], seconds: float, late: Callable[[], None]) -> None:
        """Call *look* when there is something to read, and *late* if nothing ended the wait within *seconds*."""
        self._loop.add_reader(self._sock.fileno(), look)
        self._loop.call_later(seconds, lambda: self.end(late))

    def end(self, then: Callable[[], None]) -> None:
        """It is over, and *then* follows."""
        if not self._over:
            self._over = True
            self._loop.remove_reader(self._sock.fileno())
            then()
