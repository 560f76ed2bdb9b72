"""The nursery: forks a remote when it is told to, tells when it ended, and knows nothing else.

A reader would otherwise get wrong: this is no part of remotespawn's process but its first child, under a uid of its own.
Only it may fork and change uids; and since remotes are copies of *it*, what remotespawn holds is in none of them.
"""

import gc
import importlib
import os
import socket
from collections.abc import Callable
from typing import Any

from mta import roster, sandbox
from mta.offspring import Offspring, Uids, uids_of
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Start
from mta.wire.loop import Loop

# Remotes inherit it. A flood of them that call hosts in vain then takes no time from mail that comes in; where nobody else wants
# the processor, it means nothing.
NICE = 10

Live = Callable[[int, int], int]  # uid, and the channel's descriptor; answers the exit status


def begin(start: Start, other: socket.socket, ours: socket.socket) -> None:
    """Be the nursery: fork, in which *other*, remotespawn's end, is closed; in remotespawn *ours* is.

    Raises:
        OSError: there is no process to be had.
    """
    if os.fork():
        ours.close()
        return
    other.close()
    os._exit(serve(start, ours))


def serve(start: Start, sock: socket.socket) -> int:
    """Fork remotes until remotespawn hangs up. Answers the exit status."""
    role = roster.NURSERY
    os.nice(NICE)
    # A remote is a fork of us and loads nothing after it. Roles do not import each other; which program it is stands there.
    remote: Any = importlib.import_module(f"{roster.REMOTE.module}.__main__")
    contexts = remote.Contexts(start.settings.get("outbound.authorities", b"").decode())
    rehearsal: Any = importlib.import_module(f"{roster.REMOTE.module}.rehearsal")
    rehearsal.rehearse(contexts)
    channel = Channel(sock, "remotespawn", permits.readable_by_server("remotespawn", "nursery"))
    loop = Loop()
    offspring = Offspring(loop)
    kept = (sock.fileno(), loop.fileno(), *offspring.descriptors)
    sandbox.enter(role, Start(channel, dict(start.settings)), keep=kept, ports=None)
    walls = sandbox.CellWalls(roster.REMOTE, ports=None)

    def live(uid: int, descriptor: int) -> int:
        walls.enter(uid, (descriptor,))
        status: int = remote.serve(socket.socket(fileno=descriptor), contexts)
        return status

    nurse = Nurse(channel, offspring, uids_of(role, start), live)
    loop.add_channel(channel, nurse.heed, lambda _channel: loop.stop())
    gc.freeze()  # Remotes share what is there now; a collection in one would write to every page of it.
    loop.run()
    return 0


class Nurse:
    """Forks."""

    def __init__(self, channel: Channel, offspring: Offspring, uids: Uids, live: Live) -> None:
        self._channel, self._offspring, self._uids, self._live = channel, offspring, uids, live

    def heed(self, _channel: Channel, packet: Packet) -> None:
        """A `Hatch`."""
        hatch, (descriptor,) = packet
        assert isinstance(hatch, m.Hatch)
        try:
            self._hatch(hatch.number, descriptor)
        finally:
            os.close(descriptor)

    def _hatch(self, number: int, descriptor: int) -> None:
        uid = self._uids.take()
        if uid is None:
            self._tell(number, "no uid is free")
            return
        try:
            self._offspring.fork(
                lambda: self._live(uid, descriptor), lambda status: self._ended(number, uid, status)
            )  # fmt: skip
        except OSError as error:
            self._uids.give_back(uid)
            self._tell(number, os.strerror(error.errno or 0))

    def _ended(self, number: int, uid: int, status: int) -> None:
        self._uids.give_back(uid)
        self._tell(number, str(os.waitstatus_to_exitcode(status)))

    def _tell(self, number: int, status: str) -> None:
        try:
            self._channel.send(m.HatchEnded(number, status.encode()))
        except ChannelClosed:
            return  # Nobody is there to be told; the loop ends us.
