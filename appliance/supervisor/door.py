"""The socket at which operators' commands ask for something of the queue: what comes in goes on to scheduler, and back.

A reader would otherwise get wrong: nothing is understood here. A packet is a `QueueOrder` or the asker is hung up on; what it
orders, and whether that makes sense, is scheduler's to judge. Who may ask is whoever may enter run/: root, or who started us.
"""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

NAME = "orders"
MAX_ASKERS = 16

_AWAY = (b"refused", b"the scheduler is being restarted; try again")


class Door:
    """Everybody who asks, and what of it was not answered yet."""

    def __init__(self, run: Path, loop: Loop, order: Callable[[m.QueueOrder], bool]) -> None:
        """*order* tells scheduler; False: it is away.

        Raises:
            OSError: the socket cannot be made in *run*.
        """
        self._loop, self._order = loop, order
        self._askers: set[Channel] = set()
        self._asked: dict[int, tuple[Channel, int]] = {}  # our tag: who asked, and under which of his
        self._tag = 0
        self._listening = _listen(run)
        loop.add_reader(self._listening.fileno(), self._accept)

    def told(self, message: m.QueueTold) -> None:
        """Scheduler said something."""
        asker, tag = self._asked.get(message.tag, (None, 0))
        if asker is None:
            return
        if message.last:
            del self._asked[message.tag]
        with contextlib.suppress(ChannelClosed):  # Nobody waits any more.
            asker.send(message.but(tag=tag))

    def away(self) -> None:
        """Scheduler ended, with whatever it was asked."""
        for tag in list(self._asked):
            self.told(m.QueueTold(tag, last=True, pairs=_AWAY))

    def close(self) -> None:
        """Nobody is let in any more."""
        self._loop.remove_reader(self._listening.fileno())
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # Who asked may be gone again.
            asking, _ = self._listening.accept()
            if len(self._askers) >= MAX_ASKERS:
                asking.close()
                return
            channel = Channel(asking, "operator", permits.FROM_OPERATOR)
            self._askers.add(channel)
            self._loop.add_channel(channel, self._heed, self._lost)

    def _heed(self, channel: Channel, packet: Packet) -> None:
        message = packet[0]
        assert isinstance(message, m.QueueOrder)
        self._tag += 1
        self._asked[self._tag] = (channel, message.tag)
        if not self._order(message.but(tag=self._tag)):
            self.told(m.QueueTold(self._tag, last=True, pairs=_AWAY))

    def _lost(self, channel: Channel) -> None:
        self._askers.discard(channel)
        self._asked = {tag: asked for tag, asked in self._asked.items() if asked[0] is not channel}


def _listen(run: Path) -> socket.socket:
    """A socket in the folder *run*, in place of one that a predecessor left."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    folder = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(NAME, dir_fd=folder)
        # By the descriptor: the path of a socket may have 107 octets, and a state folder's is longer than that somewhere.
        listening.bind(f"/proc/self/fd/{folder}/{NAME}")
        os.chmod(NAME, 0o600, dir_fd=folder)
    finally:
        os.close(folder)
    listening.listen()
    listening.setblocking(False)
    return listening
