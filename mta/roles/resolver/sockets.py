"""Questions on sockets: each datagram from a socket of its own, so from a port of its own, connected to its server.

A reader would otherwise get wrong: `connect` on a datagram socket sends nothing. It lets the kernel drop what comes from
anybody else, tell us when nobody listens there, and choose the port at random (RFC 5452 9.2).
"""

import contextlib
import errno
import os
import socket

from mta.roles.resolver.desk import Heard, Hush, NameServer
from mta.roles.resolver.query import MAX_MESSAGE
from mta.wire.loop import Loop

BURST = 16  # datagrams taken from one socket before the others get their turn
LENGTH_OCTETS = 2  # before a message on a stream (RFC 1035 4.2.2)


class Sockets:
    """The network, as `desk` wants it."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop

    def datagram(self, server: NameServer, octets: bytes, heard: Heard) -> Hush | None:
        """See `desk.Network`."""
        sock = _socket(server, socket.SOCK_DGRAM)
        if sock is None:
            return None
        try:
            sock.connect((server.host, server.port))
            sock.send(octets)
        except OSError:  # No route, or nobody there: the same as an answer that does not come.
            sock.close()
            return None
        self._loop.add_reader(sock.fileno(), lambda: self._receive(sock, heard))
        return lambda: self._close(sock)

    def stream(self, server: NameServer, octets: bytes, heard: Heard) -> Hush | None:
        """See `desk.Network`."""
        sock = _socket(server, socket.SOCK_STREAM)
        if sock is None:
            return None
        if sock.connect_ex((server.host, server.port)) not in (0, errno.EINPROGRESS):
            sock.close()
            return None
        self._loop.add_writer(sock.fileno(), lambda: self._ask(sock, octets, heard))
        return lambda: self._close(sock)

    def _receive(self, sock: socket.socket, heard: Heard) -> None:
        for _ in range(BURST):
            if sock.fileno() < 0:
                return  # What we heard was what we wanted.
            try:
                octets = sock.recv(MAX_MESSAGE)
            except BlockingIOError:
                return
            except OSError:
                heard(None)  # ECONNREFUSED: the server's machine says that nobody listens.
                return
            heard(octets)

    def _ask(self, sock: socket.socket, octets: bytes, heard: Heard) -> None:
        """The connection stands, or could not be made."""
        self._loop.remove_reader(sock.fileno())
        if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            heard(None)
            return
        received = bytearray()
        try:
            sock.send(len(octets).to_bytes(LENGTH_OCTETS, "big") + octets, socket.MSG_NOSIGNAL)
        except OSError:
            heard(None)
            return
        self._loop.add_reader(sock.fileno(), lambda: self._collect(sock, received, heard))

    def _collect(self, sock: socket.socket, received: bytearray, heard: Heard) -> None:
        try:
            block = sock.recv(LENGTH_OCTETS + MAX_MESSAGE - len(received))
        except BlockingIOError:
            return
        except OSError:
            block = b""
        received += block
        length = int.from_bytes(received[:LENGTH_OCTETS], "big")
        if len(received) >= LENGTH_OCTETS and len(received) - LENGTH_OCTETS >= length:
            heard(bytes(received[LENGTH_OCTETS : LENGTH_OCTETS + length]))
        elif not block:
            heard(None)

    def _close(self, sock: socket.socket) -> None:
        if sock.fileno() >= 0:
            self._loop.remove_reader(sock.fileno())
            sock.close()


def _socket(server: NameServer, kind: int) -> socket.socket | None:
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    with contextlib.suppress(OSError):  # No more descriptors, or no such family on this machine.
        return socket.socket(family, kind | socket.SOCK_NONBLOCK | os.O_CLOEXEC)
    return None
