"""The judgement of smtpdspawn and submissionspawn: a client becomes a cell with a uid of its own, or hears 421.

A reader would otherwise get wrong: a uid is free again when its process was *reaped*, and even then the kernel is asked
whether nobody lives under it: cells of a predecessor that was killed may still be finishing what they had in hand.
"""

import contextlib
import functools
import os
import resource
import socket
from collections.abc import Callable, Mapping

from mta.offspring import Offspring, Uids
from mta.record import dataclass
from mta.smtp import driving, replies
from mta.smtp.replies import Reply
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet, pair
from mta.wire.control import Peers

SPARE_DESCRIPTORS = 256  # of a peer: what it has beside the cells' channels

Live = Callable[["Birth"], int]  # what a cell does with its life; answers its exit status


@dataclass(frozen=True, slots=True)
class Birth:
    """What a cell is born with, and who wants to know of its end."""

    listener: Channel
    accepted: m.Accepted
    client: int
    uid: int
    pairs: Mapping[str, tuple[socket.socket, socket.socket]]  # by peer: the cell's end, and the peer's

    def let_go(self) -> None:
        """In the parent: close all descriptors; the cell has its own."""
        os.close(self.client)
        for ours, theirs in self.pairs.values():
            ours.close()
            theirs.close()


def most_cells(wanted: int, pool: int) -> int:
    """How many may live at once: as many as *wanted*, if the pool and the peers' descriptors suffice.

    The peers have the same limit of descriptors as we.
    """
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
    return max(1, min(wanted, pool or wanted, descriptors))


class Spawner:
    """All cells that live."""

    def __init__(self, introduced: tuple[str, ...], offspring: Offspring, uids: Uids, most: int, live: Live) -> None:
        """*introduced*: the peers to which each cell gets a channel of its own."""
        self._introduced = introduced
        self.peers: Peers  # whoever makes us sets it, before the first message
        self.most = most
        self.stopping = False
        self._offspring, self._uids, self._live = offspring, uids, live
        self._waiting: list[tuple[Channel, m.Accepted, int]] = []
        self._begun = 0  # cells of this burst that have all they need but a process

    @property
    def alive(self) -> int:
        """Cells that were not reaped yet."""
        return self._offspring.alive

    def take(self, listener: Channel, packet: Packet) -> None:
        """A client from the listener; it waits for the end of the burst."""
        accepted, descriptors = packet
        if isinstance(accepted, m.Accepted):
            self._waiting.append((listener, accepted, descriptors[0]))
        else:
            listener.close()

    def begin_all(self) -> None:
        """Fork a cell for every client that came in this burst."""
        if not self._waiting:
            return
        # In a rush many wait to be forked: whoever ended meanwhile must not count as there.
        self._offspring.reap()
        waiting, self._waiting = self._waiting, []
        births = [birth for each in waiting if (birth := self._conceive(*each)) is not None]
        # One right after the other: all that we touch between two forks must be copied, page by page.
        born = [self._fork(birth) for birth in births]
        for birth, is_born in zip(births, born, strict=True):
            if is_born:
                self._introduce(birth)
            birth.let_go()

    def _conceive(self, listener: Channel, accepted: m.Accepted, client: int) -> Birth | None:
        """All that a cell needs; None when there can be none, which the client was told."""
        if self.stopping:
            _turn_away(listener, accepted, client, replies.STOPPING)
            return None
        why = "too many conversations"
        if self._offspring.alive + self._begun < self.most and (uid := self._uids.take()) is not None:
            try:
                pairs = {name: pair() for name in self._introduced if self.peers.to(name) is not None}
                self._begun += 1
                return Birth(listener, accepted, client, uid, pairs)
            except OSError as error:
                self._uids.give_back(uid)
                why = os.strerror(error.errno or 0)
        self._complain(accepted, why)
        _turn_away(listener, accepted, client, replies.TOO_BUSY)
        return None

    def _fork(self, birth: Birth) -> bool:
        self._begun -= 1
        try:
            # Not the birth, which has the session's token: later cells would have it in their memory.
            ended = functools.partial(
                self._ended, birth.listener, birth.accepted.session, birth.accepted.client, birth.uid
            )
            self._offspring.fork(lambda: self._live(birth), ended)
        except OSError as error:
            self._uids.give_back(birth.uid)
            self._complain(birth.accepted, os.strerror(error.errno or 0))
            _turn_away(birth.listener, birth.accepted, os.dup(birth.client), replies.TOO_BUSY)
            return False
        return True

    def _introduce(self, birth: Birth) -> None:
        for name, (_, theirs) in birth.pairs.items():
            server = self.peers.to(name)
            if server is not None:
                with contextlib.suppress(ChannelClosed, OSError):  # Then it is away for this cell, which sees that.
                    server.send(m.Attach(birth.accepted.session), (theirs.fileno(),))

    def _ended(self, listener: Channel, session: bytes, client: bytes, uid: int, status: int) -> None:
        """A cell was reaped."""
        self._uids.give_back(uid)
        if status:
            self.peers.event("cell-ended", session=session, client=client, status=os.waitstatus_to_exitcode(status))
        _tell_finished(listener, session)

    def _complain(self, accepted: m.Accepted, why: str) -> None:
        self.peers.event("cell-not-started", session=accepted.session, client=accepted.client, why=why)


def _tell_finished(listener: Channel, session: bytes) -> None:
    with contextlib.suppress(ChannelClosed):  # A new listener has counted from zero.
        listener.send(m.Finished(session))


def _turn_away(listener: Channel, accepted: m.Accepted, client: int, reply: Reply) -> None:
    # A fresh socket's buffer takes one line; a client whose does not is gone already.
    with contextlib.suppress(OSError), socket.socket(fileno=client) as sock:
        if accepted.service != driving.IMPLICIT_TLS:  # There nothing is said in the clear.
            sock.send(reply.octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    _tell_finished(listener, accepted.session)
