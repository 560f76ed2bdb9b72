"""TLS for one client in a process of its own: what a fork of tlsspawn does with its life.

A reader would otherwise get wrong: this process is born without any key. What the client's first words ask for it asks of
the keeper (role tls), once; so it comes to hold the one certificate and key that this client is shown anyway. There are no
tickets: their key would open what other conversations said.
"""

import select
import socket
import ssl
import time
from typing import Final

from mta.roles.tls.openssl import NotLoaded, load, server_context
from mta.roles.tls.pump import HANDSHAKE_SECONDS, IDLE_SECONDS, Pump
from mta.roles.tls.tunnel import Tunnel, asked_name, first_context
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.control import event_of
from mta.wire.loop import Loop

KEEPER_SECONDS: Final = 5.0  # it looks into memory
_REFUSE: Final = int(ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)


class Contexts:
    """The two that a conversation needs: to begin with, and for the certificate that its client asks for.

    Made by whoever forks cells, since making one costs more than a handshake. There is nothing in them yet.
    """

    def __init__(self) -> None:
        self.first = first_context(_refuse, tickets=False)
        self.second = server_context(tickets=False)


def _refuse(_conversing: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> int:
    return _REFUSE


class Cell:
    """The one conversation that *asked* is about. *asker* is the smtpd that waits for its plaintext."""

    def __init__(
        self, asked: m.Secure, client: socket.socket, contexts: "Contexts", *,
        asker: Channel, keeper: Channel, journal: Channel,
    ) -> None:  # fmt: skip
        self.over = False
        self._asked, self._session = asked, asked.session
        self._asker, self._keeper, self._journal = asker, keeper, journal
        self._loop = Loop()
        self._context, self._has_pair = contexts.second, False
        contexts.first.sni_callback = self._choose
        self._pump = Pump(
            self._loop, client, Tunnel(contexts.first), time.monotonic(),
            secured=self._tell_secured, failed=self._tell_failed, over=self._end,
        )  # fmt: skip
        self._watch_the_clock()

    def step(self) -> None:
        """Do what can be done now."""
        self._loop.run_until_idle()

    def serve(self) -> int:
        """Carry octets to the end of the conversation; answers the exit status."""
        self._loop.run()
        return 0

    def _choose(self, conversing: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        # A client that has to say its first words anew (RFC 8446 4.1.4) brings us here a second time.
        if not self._has_pair:
            try:
                self._keeper.send(m.KeyOf(self._session, asked_name(conversing, name)))
                pair = self._wait_for_keeper()
                load(self._context, pair.chain, pair.key)
            except (ChannelClosed, TimeoutError, NotLoaded):
                return _REFUSE
            self._has_pair = True
        conversing.context = self._context
        return None

    def _wait_for_keeper(self) -> m.Certified:
        """Its answer.

        Raises:
            TimeoutError: none came.
            ChannelClosed: it hung up before, or was away.
        """
        waiting = select.poll()
        waiting.register(self._keeper.fileno(), select.POLLIN)
        if not waiting.poll(1000 * KEEPER_SECONDS):
            raise TimeoutError
        message, _ = self._keeper.wait()
        self._keeper.close()
        assert isinstance(message, m.Certified)
        return message

    def _end(self, _pump: Pump) -> None:
        self.over = True
        self._loop.stop()

    def _tell_secured(self, pump: Pump, plain: socket.socket) -> None:
        protection, name = pump.tunnel.protection, pump.tunnel.server_name
        self._say(
            self._journal, event_of("secured", {"session": self._session, "tls": protection, "server_name": name})
        )
        self._say(self._asker, m.Secured(self._asked.tag, protection, name), plain.fileno())
        self._asker.close()

    def _tell_failed(self, _pump: Pump, why: str) -> None:
        self._say(self._journal, event_of("handshake-failed", {"session": self._session, "why": why}))
        self._say(self._asker, m.NotSecured(self._asked.tag, why.encode()))
        self._asker.close()

    def _say(self, channel: Channel, message: m.Message, *descriptors: int) -> None:
        try:
            channel.send(message, descriptors)
        except ChannelClosed:
            return  # Whoever it was is gone. If it was smtpd, the pump sees the end of the plaintext.

    def _watch_the_clock(self) -> None:
        """Seldom: a sleeping process costs nothing."""
        self._pump.expire(time.monotonic())
        due = min(self._pump.deadline - time.monotonic(), IDLE_SECONDS / 4)
        self._loop.call_later(min(max(due, 0.0) + 0.1, HANDSHAKE_SECONDS), self._watch_the_clock)
