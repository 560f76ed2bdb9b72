"""The judgement of smtpdspawn: a client becomes a cell with a uid of its own, or hears 421.

A reader would otherwise get wrong: a uid is free again when its process was *reaped*, and even then the kernel is asked
whether nobody lives under it: cells of a predecessor that was killed may still be finishing what they had in hand.
"""

import contextlib
import os
import resource
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mta.offspring import Offspring
from mta.smtp import replies
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet, pair
from mta.wire.control import Peers

INTRODUCED = ("directory", "enqueuer", "tls", "journal")  # the peers to which each cell gets a channel of its own
SPARE_DESCRIPTORS = 256  # of a peer: what it has beside the cells' channels

Live = Callable[["Birth"], int]  # what a cell does with its life; answers its exit status


@dataclass(frozen=True, slots=True)
class Birth:
    """What a cell is born with. The descriptors are its own from then on."""

    accepted: m.Accepted
    client: int
    uid: int
    peers: Mapping[str, socket.socket]


class Uids:
    """The uids of cells: `count` from `first` on, each given to one at a time; none (always 0) where all have the same."""

    def __init__(self, first: int, count: int, is_alive: Callable[[int], bool]) -> None:
        self._first, self._count, self._is_alive = first, count, is_alive
        self._taken: set[int] = set()
        self._next = 0

    def take(self) -> int | None:
        """One that nobody lives under; None when there is none."""
        if not self._count:
            return 0
        for _ in range(self._count):
            uid = self._first + self._next
            self._next = (self._next + 1) % self._count
            if uid not in self._taken and not self._is_alive(uid):
                self._taken.add(uid)
                return uid
        return None

    def give_back(self, uid: int) -> None:
        """Its process was reaped."""
        self._taken.discard(uid)


def is_alive(uid: int) -> bool:
    """Does any process run under *uid*? The kernel tells everybody, so no right is needed to ask."""
    try:
        os.getpriority(os.PRIO_USER, uid)
    except ProcessLookupError:
        return False
    return True


def most_cells(wanted: int, pool: int) -> int:
    """How many may live at once: as many as *wanted*, if the pool and the peers' descriptors suffice.

    The peers have the same limit of descriptors as we.
    """
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
    return max(1, min(wanted, pool or wanted, descriptors))


class Spawner:
    """All cells that live."""

    def __init__(self, offspring: Offspring, uids: Uids, most: int, live: Live) -> None:
        self.peers: Peers  # whoever makes us sets it, before the first message
        self.most = most
        self.stopping = False
        self._offspring, self._uids, self._live = offspring, uids, live

    @property
    def alive(self) -> int:
        """Cells that were not reaped yet."""
        return self._offspring.alive

    def take(self, listener: Channel, packet: Packet) -> None:
        """A client from the listener."""
        accepted, descriptors = packet
        if not isinstance(accepted, m.Accepted):
            listener.close()
            return
        try:
            refusal = self._begin(listener, accepted, descriptors[0])
            if refusal:
                _turn_away(descriptors[0], refusal)
                _tell_finished(listener, accepted.session)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def _begin(self, listener: Channel, accepted: m.Accepted, client: int) -> bytes:
        """Fork a cell; answers the reply for the client when there is none."""
        if self.stopping:
            return replies.STOPPING.octets
        # In a rush many wait to be forked: whoever ended meanwhile must not count as there.
        self._offspring.reap()
        uid = self._uids.take() if self._offspring.alive < self.most else None
        if uid is None:
            self._complain(accepted, "too many conversations")
            return replies.TOO_BUSY.octets
        servers = {name: channel for name in INTRODUCED if (channel := self.peers.to(name)) is not None}
        pairs = {}
        try:
            pairs = {name: pair() for name in servers}
            birth = Birth(accepted, client, uid, {name: ends[0] for name, ends in pairs.items()})
            self._offspring.fork(lambda: self._live(birth), lambda status: self._ended(listener, accepted, uid, status))
            for name, server in servers.items():
                with contextlib.suppress(ChannelClosed):  # Then it is away for this cell, which sees that by itself.
                    server.send(m.Attach(accepted.session), (pairs[name][1].fileno(),))
        except OSError as error:
            self._uids.give_back(uid)
            self._complain(accepted, os.strerror(error.errno or 0))
            return replies.TOO_BUSY.octets
        finally:
            for ours, theirs in pairs.values():
                ours.close()
                theirs.close()
        return b""

    def _ended(self, listener: Channel, accepted: m.Accepted, uid: int, status: int) -> None:
        """A cell was reaped."""
        self._uids.give_back(uid)
        if status:
            self.peers.event(
                "cell-ended", session=accepted.session, client=accepted.client, status=os.waitstatus_to_exitcode(status)
            )
        _tell_finished(listener, accepted.session)

    def _complain(self, accepted: m.Accepted, why: str) -> None:
        self.peers.event("cell-not-started", session=accepted.session, client=accepted.client, why=why)


def _tell_finished(listener: Channel, session: bytes) -> None:
    with contextlib.suppress(ChannelClosed):  # A new listener has counted from zero.
        listener.send(m.Finished(session))


def _turn_away(client: int, reply: bytes) -> None:
    # A fresh socket's buffer takes one line; a client whose does not is gone already.
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(client)) as sock:
        sock.send(reply, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
