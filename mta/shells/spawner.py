"""The judgement of smtpdspawn and submissionspawn: a client becomes a cell with a uid of its own, or hears 421.

A reader would otherwise get wrong: a uid is free again when its process was *reaped*, and even then the kernel is asked
whether nobody lives under it: cells of a predecessor that was killed may still be finishing what they had in hand.
We keep the peers' ends of channels that are seldom used, and never read from one: that something waits there is all we ask.
"""

import contextlib
import fcntl
import functools
import os
import resource
import select
import socket
import sys
import termios
from collections.abc import Callable, Mapping

from mta.offspring import Offspring, Uids
from mta.smtp import driving, replies
from mta.smtp.replies import Reply
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet, bare_pair
from mta.wire.control import Peers
from mta.wire.loop import Loop

SPARE_DESCRIPTORS = 256  # of a peer, or of us: what it has beside the cells' channels
# Peers that most conversations never speak to. Introduced at a cell's first word to them: each introduction costs 0.05 ms.
SELDOM_ASKED = frozenset({"tlsspawn", "journal"})
_READABLE, _HUNG_UP = select.EPOLLIN, select.EPOLLHUP

Live = Callable[["Birth"], int]  # what a cell does with its life; answers its exit status


class Birth:
    """What a cell is born with, and who wants to know of its end."""

    __slots__ = ("accepted", "client", "is_born", "listener", "pairs", "uid")

    def __init__(
        self, listener: Channel, accepted: m.Accepted, client: int, uid: int,
        pairs: Mapping[str, tuple[socket.SocketType, socket.SocketType]],
    ) -> None:  # fmt: skip
        """*pairs*: by peer, the cell's end and the peer's."""
        self.listener, self.accepted, self.client, self.uid, self.pairs = listener, accepted, client, uid, pairs
        self.is_born = False

    def let_go(self) -> None:
        """In the parent: close what is the cell's; it has its own."""
        os.close(self.client)
        for ours, _ in self.pairs.values():
            ours.close()


def most_cells(wanted: int, pool: int) -> int:
    """How many may live at once: as many as *wanted*, if the pool and the peers' descriptors suffice.

    A peer has one for each cell, and we those to the peers that are seldom asked; the roster gives us twice as many.
    """
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS
    return max(1, min(wanted, pool or wanted, descriptors // len(SELDOM_ASKED)))


class Spawner:
    """All cells that live."""

    def __init__(
        self, loop: Loop, introduced: tuple[str, ...], offspring: Offspring, uids: Uids, most: int, live: Live
    ) -> None:
        """*introduced*: the peers to which each cell gets a channel of its own."""
        self._loop, self._introduced = loop, introduced
        self.peers: Peers  # whoever makes us sets it, before the first message
        self.most = most
        self.stopping = False
        self._offspring, self._uids, self._live = offspring, uids, live
        self._waiting: list[tuple[Channel, m.Accepted, int]] = []
        self._later: dict[str, set[_Later]] = {name: set() for name in SELDOM_ASKED}
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
        births = []
        for each in waiting:
            birth = self._conceive(*each)
            if birth is not None:
                births.append(birth)
        # One right after the other: all that we touch between two forks must be copied, page by page.
        for birth in births:
            birth.is_born = self._fork(birth)
        for birth in births:
            for name, (_, theirs) in birth.pairs.items():
                if not birth.is_born:
                    theirs.close()
                elif name in SELDOM_ASKED:
                    self._later[name].add(_Later(self, self._loop, name, birth.accepted.session, theirs))
                else:
                    self.introduce(name, birth.accepted.session, theirs)
            birth.let_go()

    def _conceive(self, listener: Channel, accepted: m.Accepted, client: int) -> Birth | None:
        """All that a cell needs; None when there can be none, which the client was told."""
        if self.stopping:
            _turn_away(listener, accepted, client, replies.STOPPING)
            return None
        why = "too many conversations"
        if self._offspring.alive + self._begun < self.most and (uid := self._uids.take()) is not None:
            try:
                pairs = {}
                for name in self._introduced:
                    if self.peers.to(name) is not None:
                        pairs[name] = bare_pair()
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

    def lost(self, peer: Channel) -> None:
        """*peer* is away: cells that it has not met yet should see that as those do that it knew."""
        for later in self._later.get(peer.peer, set()).copy():
            later.give_up()

    def settled(self, name: str, later: "_Later") -> None:
        """There is nothing more to wait for."""
        self._later[name].discard(later)

    def introduce(self, name: str, session: bytes, theirs: socket.SocketType) -> None:
        """Hand the peer *name* its end of a cell's channel."""
        server = self.peers.to(name)
        if server is not None:
            # Gone now, it is away for this cell as if it had not been there: the cell sees that its channel was closed.
            _tell(server, m.Attach(session), theirs.fileno())
        theirs.close()

    def _ended(self, listener: Channel, session: bytes, client: bytes, uid: int, status: int) -> None:
        """A cell was reaped."""
        self._uids.give_back(uid)
        if status:
            self.peers.event("cell-ended", session=session, client=client, status=os.waitstatus_to_exitcode(status))
        _tell_finished(listener, session)

    def _complain(self, accepted: m.Accepted, why: str) -> None:
        self.peers.event("cell-not-started", session=accepted.session, client=accepted.client, why=why)


class _Later:
    """Introduces a cell to the peer *name* when it has said something there. That is not ours to read: the peer finds it."""

    __slots__ = ("_loop", "_name", "_session", "_spawner", "_theirs")

    def __init__(self, spawner: Spawner, loop: Loop, name: str, session: bytes, theirs: socket.SocketType) -> None:
        self._spawner, self._loop, self._name, self._session, self._theirs = spawner, loop, name, session, theirs
        loop.watch(theirs.fileno(), _READABLE, self)

    def __call__(self, events: int) -> None:
        theirs = self._theirs
        if events & _HUNG_UP and not _waiting(theirs):
            self.give_up()  # The cell ended, and never had a word for this one.
            return
        self._loop.unwatch(theirs.fileno())
        self._spawner.settled(self._name, self)
        self._spawner.introduce(self._name, self._session, theirs)

    def give_up(self) -> None:
        """The two will never meet."""
        self._loop.unwatch(self._theirs.fileno())
        self._spawner.settled(self._name, self)
        self._theirs.close()


def _waiting(sock: socket.SocketType) -> int:
    """How many octets nobody has read yet; looked at from outside, none of them is read."""
    return int.from_bytes(fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4)), sys.byteorder)


def _tell_finished(listener: Channel, session: bytes) -> None:
    _tell(listener, m.Finished(session))  # A new listener, if this one is gone, has counted from zero.


def _tell(channel: Channel, message: m.Message, *descriptors: int) -> None:
    try:
        channel.send(message, descriptors)
    except (ChannelClosed, OSError):
        return  # Whoever is gone needs to know nothing.


def _turn_away(listener: Channel, accepted: m.Accepted, client: int, reply: Reply) -> None:
    # A fresh socket's buffer takes one line; a client whose does not is gone already.
    with contextlib.suppress(OSError), socket.socket(fileno=client) as sock:
        if accepted.service != driving.IMPLICIT_TLS:  # There nothing is said in the clear.
            sock.send(reply.octets, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    _tell_finished(listener, accepted.session)
