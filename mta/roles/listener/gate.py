"""One of the ways in: its sockets, those who take its clients, how many are in. Other servers have one, users another.

A reader would otherwise get wrong: a gate knows nothing of the others. That servers fill theirs, or that all smtpds ended,
closes nothing for a user who wants to send; and the other way round.
"""

import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Mapping

from mta.record import dataclass
from mta.relaying import client_of
from mta.roles.listener.counting import Counts
from mta.roles.listener.door import Door
from mta.roles.listener.networks import Who
from mta.roles.listener.refusals import Refusal
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers
from mta.wire.loop import Loop

BURST = 64  # Connections taken from one socket before the others get their turn.
PAUSE_SECONDS = 0.1  # Without descriptors or memory, accepting would spin.


@dataclass(slots=True)
class Guest:
    """A connection on its way to an smtpd."""

    service: bytes
    sock: socket.socket
    client: str  # the address it comes from, or that a PROXY header says it comes from
    port: int
    who: Who
    gate: "Gate"
    session: bytes = b""


Greet = Callable[["Gate", bytes, socket.socket, str, int], None]


class Gate:
    """Clients of *services* go to *takers*, of which one kind exists. `peers` must be set before the first message.

    *section*: of the settings that say how many. *greet* is told of each fresh connection, *hand_over* of each that is due.
    """

    peers: Peers

    def __init__(
        self, services: tuple[str, ...], takers: tuple[str, ...], section: str, *,
        loop: Loop, door: Door, greet: Greet, hand_over: Callable[[Guest], None],
    ) -> None:  # fmt: skip
        self.services, self.takers, self.door, self.counts = services, takers, door, Counts(0, 0)
        self._section, self._loop, self._greet, self._hand_over = section, loop, greet, hand_over
        self._sockets: dict[str, tuple[bytes, socket.socket]] = {}  # address: service, socket
        self._accepting = False
        self._asked: list[Channel] = []  # smtpds that want to retire, and may not yet
        self._retired: set[int] = set()  # instances that get no more clients, until their successors come
        self._held: list[Guest] = []  # let in when nobody was there to take them

    def heed_limits(self, settings: Mapping[str, bytes], places: int) -> None:
        """Take over changed *settings*; *places*: how many sockets a process can hold."""
        self.counts.most = min(int(settings.get(f"{self._section}.max_connections", b"0")), places)
        self.counts.most_of_client = int(settings.get(f"{self._section}.max_connections_per_client", b"0"))
        self.counts.most_of_network = int(settings.get(f"{self._section}.max_connections_per_network", b"0"))

    def take(self, service: str, address: str, sock: socket.socket) -> None:
        """A listening socket."""
        self._sockets[address] = (service.encode(), sock)
        if self._accepting:
            self._watch(address)

    # --- those who take clients

    def found(self, channel: Channel) -> None:
        """A taker is there, or anew."""
        self.counts.lose(channel.instance)  # Those of its predecessor, if we did not notice its end.
        self._retired.discard(channel.instance)
        self.open()
        self._let_go()

    def lost(self, channel: Channel) -> None:
        """A taker is gone."""
        # Later than its successor's arrival it must not take away the successor's conversations.
        if self.peers.to(channel.peer, channel.instance) is None:
            self.counts.lose(channel.instance)
            if not self._workers():
                self.close()

    def heed(self, channel: Channel, packet: Packet) -> None:
        """A taker says something."""
        if isinstance(packet[0], m.Finished):
            self.counts.end(channel.instance, packet[0].session)
            if self._asked:
                self._let_go()
        elif channel in self._asked:
            self._retire(channel)  # It has served its number twice over, so it goes even if nobody else is there.
        elif channel.instance not in self._retired:
            self._asked.append(channel)
            self._let_go()

    def refusal(self, who: Who, *, trusted: bool) -> Refusal | None:
        """Why *who* may not come in now; None when it may."""
        if self.counts.refusal(who, trusted=trusted) is None:
            return None
        # While we accept in bursts, takers end conversations. Without hearing of these first, a client that never had more
        # than twenty open would be told that fifty are too many.
        for name in self.takers:
            for taker in self.peers.all_to(name):
                self._loop.hear(taker)
        return self.counts.refusal(who, trusted=trusted)

    def by_load(self) -> list[Channel]:
        """Those who take clients, the one with the fewest first."""
        return sorted(self._workers(), key=lambda each: self.counts.load(each.instance))

    def _workers(self) -> list[Channel]:
        return [
            worker for name in self.takers for worker in self.peers.all_to(name) if worker.instance not in self._retired
        ]

    def _let_go(self) -> None:
        """Let those retire who asked while somebody else is there for the clients; an only one, when it has none."""
        self._asked = [worker for worker in self._asked if not worker.closed]
        for worker in list(self._asked):
            alone_and_idle = not self._retired and not self.counts.load(worker.instance)
            if len(self._workers()) > 1 or alone_and_idle:
                self._retire(worker)

    def _retire(self, worker: Channel) -> None:
        self._asked.remove(worker)
        self._retired.add(worker.instance)
        if not self._workers():
            self.close()
        with contextlib.suppress(ChannelClosed):  # Then it is gone already, which is what it wanted.
            worker.send(m.Retired())

    # --- those who come

    def open(self) -> None:
        """Somebody is there to hand sockets to."""
        if not self._accepting and self._workers():
            self._accepting = True
            held, self._held = self._held, []
            for guest in held:
                self._hand_over(guest)
            for address in self._sockets if self._accepting else ():
                self._watch(address)

    def close(self) -> None:
        """Nobody to hand sockets to: the kernel keeps the callers."""
        if self._accepting:
            self._accepting = False
            for _, sock in self._sockets.values():
                self._loop.remove_reader(sock.fileno())

    def hold(self, guest: Guest) -> None:
        """The last taker ended a moment ago. We stop accepting, so those we have in hand stay few."""
        self.close()
        self._held.append(guest)

    def _watch(self, address: str) -> None:
        service, sock = self._sockets[address]
        self._loop.add_reader(sock.fileno(), lambda: self._accept(service, sock))

    def _accept(self, service: bytes, sock: socket.socket) -> None:
        for _ in range(BURST):
            if not self._accepting:
                return
            try:
                client, address = sock.accept()
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # It left again while it waited.
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                self.close()
                self._loop.call_later(PAUSE_SECONDS, self.open)
                return
            name, port = address[:2] if address else (client_of(_peer_uid(client)), 0)
            self._greet(self, service, client, name, port)


def _peer_uid(sock: socket.socket) -> int:
    """Whose program is at the other end of a socket that no network can reach: the kernel knows."""
    _pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return int(uid) & 0xFFFFFFFF
