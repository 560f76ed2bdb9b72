"""TLS over a stream, for servers that speak it from the start.

A reader would otherwise get wrong: whether the certificate is checked is the affair of whoever makes the TLS object. Who asks
a directory or fetches a policy checks it, against the machine's own list of authorities and the name in the URL, and has no
setting to leave that out: what anybody may play decides where mail goes, and what is refused.
"""

import ssl
from collections.abc import Callable

from mta.streams import BLOCK, Address, Stream, User
from mta.wire.loop import Loop

MakeTls = Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]


class Secured:
    """A stream to *address* whose octets go through TLS."""

    def __init__(self, loop: Loop, address: Address, user: User, make: MakeTls) -> None:
        """*make*: the client's side of TLS over what comes in and what goes out."""
        self._user = user
        self.is_ended = (
            False  # the other side said, under TLS, that there is no more; else somebody on the way may have cut it
        )
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = make(self._incoming, self._outgoing)
        self._is_open = self._is_over = False
        self._unsent: list[bytes] = []
        self._stream = Stream(loop, address, self)

    def send(self, octets: bytes) -> None:
        """As `Stream.send`."""
        if not self._is_open:
            self._unsent.append(octets)
            return
        view = memoryview(octets)
        try:
            while view and not self._is_over:
                view = view[self._tls.write(view) :]  # a record at a time
        except ssl.SSLError as error:  # also: it wants to hear first, since the server began to negotiate anew
            self._break(error.reason or "TLS failed")
            return
        self._stream.send(self._outgoing.read())

    def close(self) -> None:
        """As `Stream.close`."""
        self._is_over = True
        self._stream.close()

    def opened(self) -> None:
        """Begin TLS."""
        self._shake_hands()

    def received(self, octets: bytes) -> None:
        """Octets of TLS."""
        self._incoming.write(octets)
        if not self._is_open:
            self._shake_hands()
        if self._is_open:
            self._read()

    def closed(self, why: str) -> None:
        """Pass it on."""
        self._is_over = True
        self._user.closed(why)

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._stream.send(self._outgoing.read())
            return
        except ssl.SSLError as error:
            self._stream.send(self._outgoing.read())
            self._break(error.reason or "TLS failed")
            return
        self._is_open = True
        waiting, self._unsent = self._unsent, []
        self._stream.send(self._outgoing.read())
        for octets in waiting:
            self.send(octets)
        if not self._is_over:
            self._user.opened()

    def _read(self) -> None:
        while not self._is_over:
            try:
                octets = self._tls.read(BLOCK)
            except ssl.SSLWantReadError:
                self._stream.send(self._outgoing.read())
                return
            except ssl.SSLError as error:
                self._break(error.reason or "TLS failed")
                return
            if not octets:
                self.is_ended = True
                self._break("it hung up")
                return
            self._user.received(octets)

    def _break(self, why: str) -> None:
        if not self._is_over:
            self.close()
            self._user.closed(why)
