"""A connection outwards on the role's loop: begun without waiting, bounded both ways, and closed exactly once.

A reader would otherwise get wrong: `closed` is told once, whoever ended it - the other side, our `close`, or a connection
that never stood. After that nothing more comes.

`Dialled` is what all connections outwards have in common, also of who bounds and sends in a way of his own.
"""

import errno
import os
import select
import socket
from abc import ABC, abstractmethod
from typing import Protocol

from mta.wire.loop import Loop

BLOCK = 16 * 1024
_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; Python names it from 3.12 on
MAX_UNSENT = 256 * 1024  # octets that wait for a peer that does not read: it is stuck


class User(Protocol):
    """Who speaks over a stream."""

    def opened(self) -> None:
        """It stands."""

    def received(self, octets: bytes) -> None:
        """*octets* came."""

    def closed(self, why: str) -> None:
        """It is over."""


Address = tuple[str, int] | str  # IP address and port, or the path of a UNIX socket


class Dialled(ABC):
    """A socket that is connected without waiting. Whoever is one says what follows: `_stood`, `_fell`, `_flush`, `_receive`."""

    def __init__(self, loop: Loop) -> None:
        self.is_over = False
        self._loop = loop
        self._is_open = False
        self._socket: socket.socket | None = None

    def _dial(self, address: Address, source: str = "") -> None:
        """Begin to connect, from the IP address *source* of this machine where one is given.

        Raises:
            OSError: it failed at once.
        """
        self._socket = _connect(address, source)
        self._loop.watch(self._socket.fileno(), select.EPOLLOUT, self._happened)

    def _happened(self, events: int) -> None:
        if not self._is_open:
            self._answered()
            return
        if events & select.EPOLLOUT:
            self._flush()
        if events & ~select.EPOLLOUT and not self.is_over:
            self._receive()

    def _answered(self) -> None:
        assert self._socket is not None
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._fell(error)
            return
        self._is_open = True
        self._stood()

    @abstractmethod
    def _stood(self) -> None:
        """The connection stands."""

    @abstractmethod
    def _fell(self, error: int) -> None:
        """It will not, for this reason (errno)."""

    @abstractmethod
    def _flush(self) -> None:
        """More can be sent."""

    @abstractmethod
    def _receive(self) -> None:
        """Something can be read, if only the end."""


class Stream(Dialled):
    """One connection to *address*."""

    def __init__(self, loop: Loop, address: Address, user: User) -> None:
        """Begin to connect. What goes wrong is told to *user* from the loop, never from here."""
        super().__init__(loop)
        self._user = user
        self._unsent = b""
        try:
            self._dial(address)
        except OSError:  # No more descriptors, no such family here, or nobody there.
            loop.call_later(0.0, lambda: self._end("no connection"))

    def send(self, octets: bytes) -> None:
        """Send *octets*, now or as soon as they go; before `opened` too."""
        if self.is_over or not octets:
            return
        self._unsent += octets
        if len(self._unsent) > MAX_UNSENT:
            self._loop.call_later(0.0, lambda: self._end("it does not read"))
        elif self._is_open:
            self._flush()

    def close(self) -> None:
        """Hang up; *user* hears nothing more, not even of this."""
        self._give_back()

    def _fell(self, error: int) -> None:
        self._end(os.strerror(error))

    def _stood(self) -> None:
        self._flush()
        if not self.is_over:
            self._user.opened()

    def _flush(self) -> None:
        assert self._socket is not None
        try:
            while self._unsent:
                sent = self._socket.send(self._unsent[:BLOCK], socket.MSG_NOSIGNAL)
                self._unsent = self._unsent[sent:]
        except BlockingIOError:
            pass  # The loop tells when it goes on.
        except OSError as error:
            self._end(error.strerror or "it was lost")
            return
        wanted = select.EPOLLIN | (select.EPOLLOUT if self._unsent else 0)
        self._loop.watch(self._socket.fileno(), wanted, self._happened)

    def _receive(self) -> None:
        assert self._socket is not None
        try:
            octets = self._socket.recv(BLOCK)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(error.strerror or "it was lost")
            return
        if octets:
            self._user.received(octets)
        else:
            self._end("it hung up")

    def _end(self, why: str) -> None:
        if not self.is_over:
            self._give_back()
            self._user.closed(why)

    def _give_back(self) -> None:
        if self.is_over:
            return
        self.is_over, self._unsent = True, b""
        if self._socket is not None:
            self._loop.watch(self._socket.fileno(), 0, self._happened)
            self._socket.close()


def _connect(address: Address, source: str) -> socket.socket:
    """Begin.

    Raises:
        OSError: it failed at once.
    """
    if isinstance(address, str):
        family: int = socket.AF_UNIX
    else:
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if source:
            # The port is chosen with the connection, and so is free again for another host.
            sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((source, 0))
        error = sock.connect_ex(address)
        # A UNIX socket whose queue is full says EAGAIN, and will never be ready: it is busy, not on its way.
        if error not in (0, errno.EINPROGRESS):
            raise OSError(error, os.strerror(error))
    except OSError:
        sock.close()
        raise
    return sock
