"""Wiring of the listener: sockets, the loop, the counts."""

import contextlib
import errno
import itertools
import os
import socket
import sys
import time
from collections.abc import Mapping

from mta import roster, sandbox
from mta.roles.listener.counting import Counts, client_key
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop
from mta.wire.tickets import session_token

TAKERS = ("smtpd", "smtpdspawn")  # Only one of the two exists: smtpd.isolation says which.
BURST = 64  # Connections taken from one socket before the others get their turn.
PAUSE_SECONDS = 0.1  # Without descriptors or memory, accepting would spin.
REPORT_SECONDS = 1.0  # A flood makes one line a second, not one a connection.


class Listener:
    """The door."""

    def __init__(self, start: control.Start, loop: Loop) -> None:
        self._loop = loop
        self._key = start.settings[roster.SESSION_KEY]
        self._counts = Counts(start.number("smtpd.max_connections"), start.number("smtpd.max_connections_per_client"))
        # Never the same again, also after a restart: connections do not arrive once in a nanosecond.
        self._sessions = itertools.count(time.time_ns())
        self._sockets: dict[str, tuple[bytes, socket.socket]] = {}  # address: service, socket
        self._accepting = False
        self._asked: list[Channel] = []  # smtpds that want to retire, and may not yet
        self._retired: set[int] = set()  # instances that get no more clients, until their successors come
        self._held: list[tuple[bytes, socket.socket, str, int]] = []  # accepted when nobody was there to take them
        self._turned_away, self._last_turned_away = 0, ""
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
        self._counts.most = int(settings["smtpd.max_connections"])
        self._counts.most_of_client = int(settings["smtpd.max_connections_per_client"])

    def _open(self) -> None:
        if not self._accepting and self._workers():
            self._accepting = True
            held, self._held = self._held, []
            for service, sock, client, port in held:
                with sock:
                    self._admit(service, sock, client, port)
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
            with client:
                self._admit(service, client, address[0], address[1])

    def _admit(self, service: bytes, sock: socket.socket, client: str, port: int) -> None:
        key = client_key(client)
        refusal = self._counts.refusal(key)
        if refusal:
            self._turn_away(sock, client, refusal)
            return
        session, name = b"%016x" % next(self._sessions), client.encode()
        accepted = m.Accepted(session, name, port, service, session_token(self._key, session, name))
        for worker in sorted(self._workers(), key=lambda each: self._counts.load(each.instance)):
            try:
                worker.send(accepted, (sock.fileno(),))
            except ChannelClosed:
                continue  # The next one, then; the loop tells us of the loss.
            self._counts.begin(worker.instance, session, key)
            self._peers.event("connected", session=session, client=name, service=service)
            return
        # The last smtpd ended a moment ago. We stop accepting, so it stays at the one we have in hand.
        self._close()
        self._held.append((service, socket.socket(fileno=sock.detach()), client, port))

    def _turn_away(self, sock: socket.socket, client: str, reply: bytes) -> None:
        # A fresh socket's buffer takes one line; a client whose does not is gone already.
        with contextlib.suppress(OSError):
            sock.send(reply, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        if not self._turned_away:
            self._loop.call_later(REPORT_SECONDS, self._report)
        self._turned_away += 1
        self._last_turned_away = client

    def _report(self) -> None:
        self._peers.event("turned-away", connections=self._turned_away, client=self._last_turned_away)
        self._turned_away = 0


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
