"""Wiring of qmtpd: lose the rights, take clients from the listener, serve."""

import contextlib
import os
import sys
import time

from mta import roster, sandbox
from mta.roles.qmtpd.desk import Budget, Client, House
from mta.wire import control
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

MOST_AT_ONCE = 256 << 20  # octets of content in memory over all clients; at least one of the largest fits
SWEEP_SECONDS = 5.0
STOP_SECONDS = 2.5  # to finish what is in hand; the supervisor allows 5 for the whole house


class Qmtpd:
    """All clients."""

    def __init__(self, start: control.Start, loop: Loop) -> None:
        self._loop = loop
        self._clients: dict[Client, Channel] = {}
        asking = Asking(loop)
        most_of_one = start.number("smtpd.max_message_size")
        self._peers = control.Peers(
            roster.QMTPD, start, loop,
            {"listener": self._take, "directory": asking.answered, "enqueuer": asking.answered},
            lost=lambda channel: asking.lost(channel.peer),
        )  # fmt: skip
        asking.peers = self._peers
        self._house = House(
            loop, asking, self._peers, Budget(most_of_one, max(MOST_AT_ONCE, 2 * most_of_one)),
            start.settings["host.name"], self._backlog,
        )  # fmt: skip
        self._sweep()

    def ready(self) -> None:
        """Tell the supervisor that we serve."""
        self._peers.ready()

    def wind_up(self) -> None:
        """Finish what is in hand."""
        deadline = time.monotonic() + STOP_SECONDS
        for client in list(self._clients):
            client.wind_up()
        while self._clients and time.monotonic() < deadline:
            self._loop.run_once(0.1)

    def _take(self, listener: Channel, packet: Packet) -> None:
        accepted, descriptors = packet
        if not isinstance(accepted, m.Accepted):
            listener.close()
            return
        sock = listener.take_socket(descriptors[0])
        if sock is not None:
            self._clients[Client(self._house, sock, accepted, self._finished)] = listener

    def _finished(self, client: Client) -> None:
        listener = self._clients.pop(client)
        with contextlib.suppress(ChannelClosed):  # A new listener has counted from zero.
            listener.send(m.Finished(client.session))

    def _backlog(self) -> int:
        enqueuer = self._peers.to("enqueuer")
        return enqueuer.backlog if enqueuer is not None else 0

    def _sweep(self) -> None:
        now = time.monotonic()
        for client in list(self._clients):
            client.expire(now)
        self._loop.call_later(SWEEP_SECONDS, self._sweep)


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.QMTPD
    start = control.begin(role)
    loop = Loop()
    sandbox.enter(role, start, keep=(loop.fileno(),))
    qmtpd = Qmtpd(start, loop)
    qmtpd.ready()
    loop.run()
    qmtpd.wind_up()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
