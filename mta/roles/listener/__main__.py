"""Wiring of the listener: sockets, the loop, the counts."""

import os
import resource
import socket
import sys
import time
from collections.abc import Mapping

from mta import roster, sandbox
from mta.record import dataclass
from mta.roles.listener.door import Door
from mta.roles.listener.foyer import Foyer
from mta.roles.listener.gate import Gate, Guest
from mta.roles.listener.networks import who_is
from mta.roles.listener.proxy import Origin
from mta.roles.listener.refusals import TALKED_EARLY, TOO_MANY, Refusal
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.loop import Loop
from mta.wire.tickets import session_token

SPARE_FILES = 128  # of an smtpd or of ours, for what is no conversation
REPORT_SECONDS = 1.0  # A flood makes one line a second, not one a connection.


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
        self._last_session = 0
        self._foyer = Foyer(loop)
        self._turned_away: dict[str, TurnedAway] = {}  # by reason, since the last report
        self._gates = (
            # Of the takers only one kind exists: smtpd.isolation says which.
            self._gate(start, ("smtp",), ("smtpd", "smtpdspawn"), "smtpd"),
            self._gate(start, roster.SUBMISSION, ("submissiond", "submissionspawn"), "submission"),
            self._gate(start, roster.QUICK, ("qmtpd",), "smtpd"),
        )
        self._heed_limits(start.settings)
        self._peers = control.Peers(
            roster.LISTENER, start, loop, {taker: gate.heed for gate in self._gates for taker in gate.takers},
            lost=self._lost, found=self._found, sockets=self._take, reload=self._reload,
        )  # fmt: skip
        for gate in self._gates:
            gate.peers = self._peers
        self._peers.ready()

    def _gate(self, start: control.Start, services: tuple[str, ...], takers: tuple[str, ...], section: str) -> Gate:
        door = Door(start.settings, time.monotonic)
        return Gate(
            services, takers, section, loop=self._loop, door=door, greet=self._greet, hand_over=self._hand_over
        )  # fmt: skip

    def _take(self, service: str, address: str, descriptor: int) -> None:
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        for gate in self._gates:
            if service in gate.services:
                gate.take(service, address, sock)

    def _found(self, channel: Channel) -> None:
        for gate in self._gates:
            if channel.peer in gate.takers:
                gate.found(channel)

    def _lost(self, channel: Channel) -> None:
        for gate in self._gates:
            if channel.peer in gate.takers:
                gate.lost(channel)

    def _reload(self, settings: Mapping[str, bytes]) -> None:
        self._heed_limits(settings)
        for gate in self._gates:
            gate.door.heed(settings)

    def _heed_limits(self, settings: Mapping[str, bytes]) -> None:
        # A socket that an smtpd has no descriptor for would cost it its channel to us, so nobody is sent there. The walls of
        # this start bound every process alike: a larger number in the settings is in full force after the next one.
        places = resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES
        for gate in self._gates:
            gate.heed_limits(settings, places)

    def _greet(self, gate: Gate, service: bytes, sock: socket.socket, client: str, port: int) -> None:
        """A fresh connection: for whom does it come?"""
        guest = Guest(service, sock, client, port, who_is(client), gate)
        if not gate.door.is_proxy(guest.who):
            self._judge(guest, talks=False)
        elif sum(each.counts.total for each in self._gates) + self._foyer.awaiting_headers >= self._most:
            self._turn_away(sock, client, TOO_MANY, talks=False)
        else:
            self._foyer.await_header(
                sock,
                lambda origin: self._judge(_guest_of(origin, guest), talks=True),
                lambda why: self._refuse_header(sock, client, why),
            )

    @property
    def _most(self) -> int:
        return sum(gate.counts.most for gate in self._gates)

    def _refuse_header(self, sock: socket.socket, client: str, why: str) -> None:
        # Not told why: SMTP begins behind the header, and a load balancer is no SMTP client.
        sock.close()
        self._note_refusal("proxy-header", client, why)

    def _judge(self, guest: Guest, *, talks: bool) -> None:
        door = guest.gate.door
        trusted = door.is_trusted(guest.who)
        refusal = door.refusal(guest.who, guest.service) or guest.gate.refusal(guest.who, trusted=trusted)
        if refusal is not None:
            self._turn_away(guest.sock, guest.client, refusal, talks=talks)
            return
        # Its nanosecond: never given twice, also after a restart, and whoever is shown the token can tell how old it is.
        self._last_session = max(self._last_session + 1, time.time_ns())
        guest.session = b"%016x" % self._last_session
        guest.gate.counts.begin(guest.session, guest.who)
        seconds = 0 if trusted else door.delay(guest.who, guest.service)
        if seconds:
            self._foyer.await_silence(
                guest.sock, seconds,
                kept=lambda: self._welcome(guest), broken=lambda: self._show_out(guest), left=lambda: self._miss(guest),
            )  # fmt: skip
        else:
            self._hand_over(guest)

    def _welcome(self, guest: Guest) -> None:
        guest.gate.door.passed(guest.who)
        self._hand_over(guest)

    def _show_out(self, guest: Guest) -> None:
        guest.gate.counts.leave(guest.session)
        self._turn_away(guest.sock, guest.client, TALKED_EARLY, talks=True)

    def _miss(self, guest: Guest) -> None:
        guest.gate.counts.leave(guest.session)
        guest.sock.close()

    def _hand_over(self, guest: Guest) -> None:
        session, name = guest.session, guest.client.encode()
        accepted = m.Accepted(session, name, guest.port, guest.service, session_token(self._key, session, name))
        for worker in guest.gate.by_load():
            try:
                worker.send(accepted, (guest.sock.fileno(),))
            except ChannelClosed:
                continue  # The next one, then; the loop tells us of the loss.
            guest.sock.close()
            guest.gate.counts.hand(session, worker.instance)
            self._peers.event("connected", session=session, client=name, service=guest.service)
            return
        guest.gate.hold(guest)

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


def _guest_of(origin: Origin, guest: Guest) -> Guest:
    """Whom the header names; without a name it is the load balancer itself."""
    if not origin.address:
        return guest
    who = who_is(origin.address)
    return Guest(guest.service, guest.sock, origin.address, origin.port, who, guest.gate)


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
