"""Who asked for which handshake, what became of it, and the clock of all conversations.

A reader would otherwise get wrong: once `Secured` was said, smtpd's channel plays no part any more. A conversation under TLS
ends when one of its two sockets does, and goes on when an smtpd lost only its channel to us.
"""

import contextlib
import socket
import time
from collections.abc import Callable

from mta.roles.tls.certificates import Keeper
from mta.roles.tls.pump import Pump
from mta.roles.tls.tunnel import Tunnel
from mta.seal import Opener
from mta.snapshot.reader import NOTHING_YET, Snapshot, tell_state
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

SWEEP_SECONDS = 1.0
FIRST_LOOK_SECONDS = 0.05  # between two looks while nothing was ever published
FIRST_SNAPSHOT_SECONDS = 2.0  # for which we wait before we serve without one
LAST_WORDS_SECONDS = 1.0  # for what was said before the stop to reach the clients

Event = Callable[..., None]


class Desk:
    """All conversations of this process, at most *most*. `event` must be set before the first message."""

    event: Event

    def __init__(self, loop: Loop, snapshot: Snapshot, opener: Opener | None, most: int) -> None:
        """Without an *opener* there is no certificate."""
        self._loop, self._most = loop, most
        self._keeper = Keeper(snapshot, opener, self._unusable)
        self._pumps: set[Pump] = set()
        self._offered_to: set[Channel] = set()
        self._offering = False
        self._trouble = ""

    def begin(self, ready: Callable[[], None]) -> None:
        """Look at the certificates, and again every second; say *ready* when it is known what can be offered.

        At a house's first start the compiler is about to publish. Who came in that moment would not be offered STARTTLS, and a
        mail client takes that for the house's way.
        """
        self._first_look(ready, time.monotonic() + FIRST_SNAPSHOT_SECONDS)

    def _first_look(self, ready: Callable[[], None], deadline: float) -> None:
        self._keeper.look()
        if self._keeper.trouble == NOTHING_YET and time.monotonic() < deadline:
            self._loop.call_later(FIRST_LOOK_SECONDS, lambda: self._first_look(ready, deadline))
            return
        self._sweep()
        ready()

    def found(self, channel: Channel) -> None:
        """A client of ours is there, or anew."""
        if channel.peer in ("smtpd", "submissiond", "tlsspawn"):
            self._offered_to.add(channel)
            _say(channel, m.Offering(self._offering))

    def lost(self, channel: Channel) -> None:
        """It is gone."""
        self._offered_to.discard(channel)

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Secure` of an smtpd."""
        message, descriptors = packet
        if not isinstance(message, m.Secure):
            channel.close()
            return
        client = channel.take_socket(descriptors[0])
        if client is None:
            return
        if len(self._pumps) >= self._most:
            client.close()
            self._tell_failed(channel, message, "too many conversations")
            return
        self._keeper.look()
        self._pumps.add(Pump(
            self._loop, client, Tunnel(self._keeper.context), time.monotonic(),
            secured=lambda pump, plain: self._tell_secured(channel, message, pump, plain),
            failed=lambda _pump, why: self._tell_failed(channel, message, why),
            over=self._pumps.discard,
        ))  # fmt: skip

    def asked_for_key(self, channel: Channel, packet: Packet) -> None:
        """A `KeyOf` of a cell: it gets one pair, and is never heard again."""
        message = packet[0]
        if isinstance(message, m.KeyOf):
            self._keeper.look()
            chain, key = self._keeper.pair_for(message.server_name) or (b"", b"")
            _say(channel, m.Certified(chain, key))
        channel.close()

    def wind_up(self) -> None:
        """Whoever asks us has ended before us; let what they said reach their clients."""
        deadline = time.monotonic() + LAST_WORDS_SECONDS
        while self._pumps and time.monotonic() < deadline:
            self._loop.run_once(0.1)
        for pump in list(self._pumps):
            pump.end()

    def _tell_secured(self, channel: Channel, asked: m.Secure, pump: Pump, plain: socket.socket) -> None:
        protection, name = pump.tunnel.protection, pump.tunnel.server_name
        self.event("secured", session=asked.session, tls=protection, server_name=name)
        # When it is gone, so is the plaintext's other end, and the pump sees that by itself.
        with contextlib.suppress(ChannelClosed):
            channel.send(m.Secured(asked.tag, protection, name), (plain.fileno(),))

    def _tell_failed(self, channel: Channel, asked: m.Secure, why: str) -> None:
        self.event("handshake-failed", session=asked.session, why=why)
        _say(channel, m.NotSecured(asked.tag, why.encode()))

    def _unusable(self, name: bytes, why: str) -> None:
        self.event("certificate-unusable", name=name, why=why)

    def _sweep(self) -> None:
        now = time.monotonic()
        for pump in list(self._pumps):
            pump.expire(now)
        offering = self._keeper.look()
        if self._keeper.trouble != self._trouble:
            self._trouble = self._keeper.trouble
            tell_state(self.event, self._trouble)
        if offering != self._offering:
            self._offering = offering
            for channel in list(self._offered_to):
                _say(channel, m.Offering(offering))
        self._loop.call_later(SWEEP_SECONDS, self._sweep)


def _say(channel: Channel, message: m.Message) -> None:
    with contextlib.suppress(ChannelClosed):
        channel.send(message)
