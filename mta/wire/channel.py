"""A UNIX packet socket that carries messages, and descriptors beside them. Hangs up on nonsense.

A reader would otherwise get wrong: `send` never blocks. What the kernel does not take waits here, up to MAX_BACKLOG, and
`flush` sends it when the loop says the socket is writable; two roles that wait for each other would otherwise stand still.
"""

import _socket
import array
import collections
import functools
import os
import socket
from collections.abc import Callable, Iterator, Sequence

from mta.wire.messages import Message, read_message
from mta.wire.netstring import MAX_MESSAGE, WireError, unpack

MAX_BACKLOG = 10_000  # Packets waiting for a peer that does not read. More means it is stuck: hang up.
MAX_DESCRIPTORS = 16  # Beside one packet; all but one of ours have one at most.
BURST = 64  # Packets taken from one channel before the others get their turn.
# As plain numbers: an operation on an enum costs as much as a small packet (1 of 4 us).
_TRUNCATED = int(socket.MSG_CTRUNC)
_UNIX, _SEQPACKET = int(socket.AF_UNIX), int(socket.SOCK_SEQPACKET)
_NO_SIGNAL = int(socket.MSG_NOSIGNAL)
_ANCILLARY = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)

Packet = tuple[Message, tuple[int, ...]]


class ChannelClosed(Exception):
    """The peer is gone (it ended, or one of us hung up). The supervisor will hand a new channel."""


class Channel:
    """One end. `permitted` is what the other side may send (see permits)."""

    __slots__ = (
        "_backlog", "_permitted", "_sock", "_with_descriptors", "closed", "instance", "peer", "session", "wants_write",
    )  # fmt: skip

    def __init__(
        self,
        sock: socket.SocketType,
        peer: str,
        permitted: frozenset[type[Message]],
        instance: int = 0,
    ) -> None:
        self.peer = peer
        self.instance = instance
        self.session = b""  # the only conversation that may be spoken of; empty: any
        self.closed = False
        self.wants_write: Callable[[Channel, bool], None] | None = (
            None  # told when `flush` becomes due, or no longer is
        )
        self._sock = sock
        self._permitted = permitted
        self._with_descriptors = _with_descriptors(permitted)
        self._backlog: collections.deque[tuple[bytes, tuple[int, ...]]] = collections.deque()
        sock.setblocking(False)

    def fileno(self) -> int:
        """The socket's descriptor, -1 when closed."""
        return self._sock.fileno()

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send now, or as soon as the peer reads. *descriptors* are duplicated when they must wait: the caller closes its own.

        Raises:
            ChannelClosed: the peer is gone, or so far behind that we hung up.
        """
        if self.closed:
            raise ChannelClosed(self.peer)
        packet = message.encode()
        if not self._backlog and self._send_now(packet, descriptors):
            return
        if len(self._backlog) >= MAX_BACKLOG:
            self.close()
            raise ChannelClosed(f"{self.peer} does not read")
        self._backlog.append((packet, tuple(os.dup(fd) for fd in descriptors)))
        if len(self._backlog) == 1 and self.wants_write is not None:
            self.wants_write(self, True)

    def flush(self) -> None:
        """Send what waits, as far as the kernel takes it.

        Raises:
            ChannelClosed: the peer is gone.
        """
        while self._backlog:
            packet, descriptors = self._backlog[0]
            if not self._send_now(packet, descriptors):
                return
            self._backlog.popleft()
            _close_all(descriptors)
        if self.wants_write is not None:
            self.wants_write(self, False)

    @property
    def backlog(self) -> int:
        """Packets that wait for the peer."""
        return len(self._backlog)

    def receive(self) -> Iterator[Packet]:
        """What has arrived, at most BURST packets. The receiver owns the descriptors.

        Raises:
            ChannelClosed: the peer is gone, or sent what it may not, and we hung up.
        """
        for _ in range(BURST):
            packet = self.receive_one()
            if packet is None:
                return
            yield packet

    def wait(self) -> Packet:
        """Block until the next message; for a role's first steps, before it has a loop.

        Raises:
            ChannelClosed: as `receive`.
        """
        self._sock.setblocking(True)
        try:
            packet = self.receive_one()
        finally:
            if not self.closed:
                self._sock.setblocking(False)
        if packet is None:
            raise ChannelClosed(self.peer)
        return packet

    def close(self) -> None:
        """Hang up; a second time does nothing."""
        if not self.closed:
            self.closed = True
            if self.wants_write is not None:
                self.wants_write(self, False)
            self._sock.close()
            for _, descriptors in self._backlog:
                _close_all(descriptors)
            self._backlog.clear()

    def _send_now(self, packet: bytes, descriptors: Sequence[int]) -> bool:
        try:
            if descriptors:
                rights = (
                    socket.SOL_SOCKET,
                    socket.SCM_RIGHTS,
                    array.array("i", descriptors),
                )
                self._sock.sendmsg([packet], [rights], _NO_SIGNAL)
            else:
                self._sock.send(packet, _NO_SIGNAL)
        except BlockingIOError:
            return False
        except OSError as error:
            self.close()
            raise ChannelClosed(self.peer) from error
        return True

    def take_socket(self, descriptor: int) -> socket.socket | None:
        """The socket that came as *descriptor*. None: it is none, so who hands us that was taken over, and we hung up."""
        bare = self.take_bare_socket(descriptor)
        return None if bare is None else socket.socket(fileno=bare.detach())

    def take_bare_socket(self, descriptor: int) -> socket.SocketType | None:
        """The same without what Python's `socket` puts around the kernel's, for those that come with every conversation."""
        try:
            return socket.SocketType(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            self.close()
            return None

    def receive_one(self) -> Packet | None:
        """One packet; None when there is none now.

        Raises:
            ChannelClosed: as `receive`.
        """
        descriptors: tuple[int, ...] = ()
        try:
            if self._with_descriptors:
                packet, descriptors = self._receive_with_descriptors()
            else:
                # Without an ancillary buffer the kernel closes any descriptor that a peer tries to smuggle in, and says so.
                packet, _, flags, _ = self._sock.recvmsg(MAX_MESSAGE + 1)
                if flags & _TRUNCATED:
                    packet = b""
        except BlockingIOError:
            return None
        except OSError as error:
            self.close()
            raise ChannelClosed(self.peer) from error
        if not packet:
            _close_all(descriptors)
            self.close()
            raise ChannelClosed(f"{self.peer}: end of file")
        try:
            if len(packet) > MAX_MESSAGE:
                raise WireError("too long")
            message = read_message(unpack(packet), self._permitted)
            if len(descriptors) != message.carries:
                raise WireError("more or fewer descriptors than the message carries")
        except WireError as error:
            _close_all(descriptors)
            self.close()
            raise ChannelClosed(f"{self.peer}: {error}") from error
        return message, descriptors

    def _receive_with_descriptors(self) -> tuple[bytes, tuple[int, ...]]:
        packet, ancillary, flags, _ = self._sock.recvmsg(MAX_MESSAGE + 1, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
        found = array.array("i")
        for level, kind, body in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                found.frombytes(body[: len(body) - len(body) % found.itemsize])
        if flags & _TRUNCATED:
            _close_all(found)
            return b"", ()
        return packet, tuple(found)


@functools.cache
def _with_descriptors(permitted: frozenset[type[Message]]) -> bool:
    """Does any of them carry some?"""
    return any(kind.descriptors for kind in permitted)


def _close_all(descriptors: Sequence[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def pair() -> tuple[socket.socket, socket.socket]:
    """The two ends of a new channel."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def bare_pair() -> tuple[socket.SocketType, socket.SocketType]:
    """The same without what Python's `socket` puts around the kernel's, which costs a spawner ten times as much."""
    return _socket.socketpair(_UNIX, _SEQPACKET)
