"""Wiring of the listener: sockets, the loop, the counts."""

import contextlib
import errno
import os
import resource
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass

from mta import roster, sandbox
from mta.roles.listener.counting import Counts
from mta.roles.listener.door import Door
from mta.roles.listener.foyer import Foyer
from mta.roles.listener.networks import Who, who_is
from mta.roles.listener.proxy import Origin
from mta.roles.listener.refusals import TALKED_EARLY, TOO_MANY, Refusal
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop
from mta.wire.tickets import session_token

TAKERS = ("smtpd", "smtpdspawn")  # Only one of the two exists: smtpd.isolation says which.
BURST = 64  # Connections taken from one socket before the others get their turn.
PAUSE_SECONDS = 0.1  # Without descriptors or memory, accepting would spin.
SPARE_FILES = 128  # of an smtpd or of ours, for what is no conversation
REPORT_SECONDS = 1.0  # A flood makes one line a second, not one a connection.


@dataclass(slots=True)
class Guest:
    """A connection on its way to an smtpd."""

    service: bytes
    sock: socket.socket
    client: str  # the address it comes from, or that a PROXY header says it comes from
    port: int
    who: Who
    session: bytes = b""


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """What is told of many in one line: how many, and the last of them."""

    connections: int
    client: str
    why: str


class Listener:
    """The one at the door."""

    def __init__(self, start: control.Start, loop: Loop) -> None:
        self._loop = loop
        self._key = start.settings[roster.SESSION_KEY]
        self._counts = Counts(0, 0)
        self._heed_limits(start.settings)
        self._last_session = 0
        self._sockets: dict[str, tuple[bytes, socket.socket]] = {}  # address: service, socket
        self._accepting = False
        self._asked: list[Channel] = []  # smtpds that want to retire, and may not yet
        self._retired: set[int] = set()  # instances that get no more clients, until their successors come
        self._held: list[Guest] = []  # let in when nobody was there to take them
        self._door = Door(start.settings, time.monotonic)
        self._foyer = Foyer(loop)
        self._turned_away: dict[str, TurnedAway] = {}  # by reason, since the last report
        self._peers = control.Peers(
            roster.LISTENER, start, loop, dict.fromkeys(TAKERS, self._heed),
            lost=self._lost, found=self._found, sockets=self._take, reload=self._reload,
        )  # fmt: skip
        self._peers.ready()

    def _take(self, service: str, address: str, descriptor: int) -> None:
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        self._sockets[address] = (service.encode(), sock)
        if self._accepting:
            self._watch(address)

    def _found(self, channel: Channel) -> None:
        if channel.peer in TAKERS:
            self._counts.lose(channel.instance)  # Those of its predecessor, if we did not notice its end.
            self._retired.discard(channel.instance)
            self._open()
            self._let_go()

    def _lost(self, channel: Channel) -> None:
        # Later than its successor's arrival it must not take away the successor's conversations.
        if channel.peer in TAKERS and self._peers.to(channel.peer, channel.instance) is None:
            self._counts.lose(channel.instance)
            if not self._workers():
                self._close()

    def _heed(self, channel: Channel, packet: Packet) -> None:
        if isinstance(packet[0], m.Finished):
            self._counts.end(channel.instance, packet[0].session)
            if self._asked:
                self._let_go()
        elif channel in self._asked:
            self._retire(channel)  # It has served its number twice over, so it goes even if nobody else is there.
        elif channel.instance not in self._retired:
            self._asked.append(channel)
            self._let_go()

    def _workers(self) -> list[Channel]:
        """The smtpds that take clients."""
        return [
            worker for name in TAKERS for worker in self._peers.all_to(name) if worker.instance not in self._retired
        ]

    def _let_go(self) -> None:
        """Let those retire who asked while somebody else is there for the clients; an only one, when it has none."""
        self._asked = [worker for worker in self._asked if not worker.closed]
        for worker in list(self._asked):
            alone_and_idle = not self._retired and not self._counts.load(worker.instance)
            if len(self._workers()) > 1 or alone_and_idle:
                self._retire(worker)

    def _retire(self, worker: Channel) -> None:
        self._asked.remove(worker)
        self._retired.add(worker.instance)
        if not self._workers():
            self._close()
        with contextlib.suppress(ChannelClosed):  # Then it is gone already, which is what it wanted.
            worker.send(m.Retired())

    def _reload(self, settings: Mapping[str, bytes]) -> None:
        self._heed_limits(settings)
        self._door.heed(settings)

    def _heed_limits(self, settings: Mapping[str, bytes]) -> None:
        # A socket that an smtpd has no descriptor for would cost it its channel to us, so nobody is sent there. The walls of
        # this start bound every process alike: a larger number in the settings is in full force after the next one.
        places = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
        self._counts.most = min(int(settings["smtpd.max_connections"]), places)
        self._counts.most_of_client = int(settings["smtpd.max_connections_per_client"])
        self._counts.most_of_network = int(settings.get("smtpd.max_connections_per_network", b"0"))

    def _open(self) -> None:
        if not self._accepting and self._workers():
            self._accepting = True
            held, self._held = self._held, []
            for guest in held:
                self._hand_over(guest)
            for address in self._sockets if self._accepting else ():
                self._watch(address)

    def _close(self) -> None:
        """Nobody to hand sockets to: the kernel keeps the callers."""
        if self._accepting:
            self._accepting = False
            for _, sock in self._sockets.values():
                self._loop.remove_reader(sock.fileno())

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
                self._close()
                self._loop.call_later(PAUSE_SECONDS, self._open)
                return
            self._greet(service, client, address[0], address[1])

    def _greet(self, service: bytes, sock: socket.socket, client: str, port: int) -> None:
        """A fresh connection: for whom does it come?"""
        who = who_is(client)
        if not self._door.is_proxy(who):
            self._judge(Guest(service, sock, client, port, who), talks=False)
        elif self._counts.total + self._foyer.awaiting_headers >= self._counts.most:
            self._turn_away(sock, client, TOO_MANY, talks=False)
        else:
            self._foyer.await_header(
                sock,
                lambda origin: self._judge(_guest_of(origin, service, sock, client, port), talks=True),
                lambda why: self._refuse_header(sock, client, why),
            )

    def _refuse_header(self, sock: socket.socket, client: str, why: str) -> None:
        # Not told why: SMTP begins behind the header, and a load balancer is no SMTP client.
        sock.close()
        self._note_refusal("proxy-header", client, why)

    def _judge(self, guest: Guest, *, talks: bool) -> None:
        trusted = self._door.is_trusted(guest.who)
        refusal = self._door.refusal(guest.who) or self._counts.refusal(guest.who, trusted=trusted)
        if refusal is not None:
            self._turn_away(guest.sock, guest.client, refusal, talks=talks)
            return
        # Its nanosecond: never given twice, also after a restart, and whoever is shown the token can tell how old it is.
        self._last_session = max(self._last_session + 1, time.time_ns())
        guest.session = b"%016x" % self._last_session
        self._counts.begin(guest.session, guest.who)
        seconds = 0 if trusted else self._door.delay(guest.who, guest.service)
        if seconds:
            self._foyer.await_silence(
                guest.sock, seconds,
                kept=lambda: self._welcome(guest), broken=lambda: self._show_out(guest), left=lambda: self._miss(guest),
            )  # fmt: skip
        else:
            self._hand_over(guest)

    def _welcome(self, guest: Guest) -> None:
        self._door.passed(guest.who)
        self._hand_over(guest)

    def _show_out(self, guest: Guest) -> None:
        self._counts.leave(guest.session)
        self._turn_away(guest.sock, guest.client, TALKED_EARLY, talks=True)

    def _miss(self, guest: Guest) -> None:
        self._counts.leave(guest.session)
        guest.sock.close()

    def _hand_over(self, guest: Guest) -> None:
        session, name = guest.session, guest.client.encode()
        accepted = m.Accepted(session, name, guest.port, guest.service, session_token(self._key, session, name))
        for worker in sorted(self._workers(), key=lambda each: self._counts.load(each.instance)):
            try:
                worker.send(accepted, (guest.sock.fileno(),))
            except ChannelClosed:
                continue  # The next one, then; the loop tells us of the loss.
            guest.sock.close()
            self._counts.hand(session, worker.instance)
            self._peers.event("connected", session=session, client=name, service=guest.service)
            return
        # The last smtpd ended a moment ago. We stop accepting, so those we have in hand stay few.
        self._close()
        self._held.append(guest)

    def _turn_away(self, sock: socket.socket, client: str, refusal: Refusal, *, talks: bool) -> None:
        self._foyer.turn_away(sock, refusal.reply, talks=talks)
        self._note_refusal(refusal.reason, client)

    def _note_refusal(self, reason: str, client: str, why: str = "") -> None:
        if not self._turned_away:
            self._loop.call_later(REPORT_SECONDS, self._report)
        connections = self._turned_away[reason].connections if reason in self._turned_away else 0
        self._turned_away[reason] = TurnedAway(connections + 1, client, why)

    def _report(self) -> None:
        turned_away, self._turned_away = self._turned_away, {}
        for reason, each in turned_away.items():
            self._peers.event(
                "turned-away", reason=reason, connections=each.connections, client=each.client, why=each.why
            )


def _guest_of(origin: Origin, service: bytes, sock: socket.socket, client: str, port: int) -> Guest:
    """Whom the header names; without a name it is the load balancer itself."""
    if origin.address:
        return Guest(service, sock, origin.address, origin.port, who_is(origin.address))
    return Guest(service, sock, client, port, who_is(client))


def main() -> int:
    """Listen until told to stop."""
    start = control.begin(roster.LISTENER)
    sandbox.enter(roster.LISTENER, start)
    loop = Loop()
    Listener(start, loop)
    loop.run()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
