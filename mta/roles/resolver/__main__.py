"""Wiring of the resolver."""

import contextlib
import os
import sys
import time
from collections.abc import Mapping

from mta import roster, sandbox
from mta.roles.resolver.desk import Desk, servers_of
from mta.roles.resolver.query import FAILED, KINDS, Answer, load
from mta.roles.resolver.shares import Shares
from mta.roles.resolver.sockets import Sockets
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

SERVERS = "dns.servers"


class Resolver:
    """Hands questions to the desk, and its answers back."""

    def __init__(self, start: control.Start, loop: Loop) -> None:
        self._loop = loop
        self._told = start.text(SERVERS)
        self._desk = Desk(servers_of(self._told), Sockets(loop), loop.call_later, time.monotonic)
        askers = dict.fromkeys(("directory", "source", "fetcher", "reporter", "remote", "web"), self._heed)
        self._shares = Shares(time.monotonic)
        self._peers = control.Peers(
            roster.RESOLVER, start, loop, askers, lost=self._shares.forget, reload=self._reload
        )  # fmt: skip
        self._peers.ready()

    def _heed(self, channel: Channel, packet: Packet) -> None:
        question = packet[0]
        assert isinstance(question, m.LookUp)
        if question.kind not in KINDS:
            channel.close()
            return
        if channel.peer != "remote":
            self._desk.look_up(question.name, question.kind, lambda answer: _tell(channel, question.tag, answer))
        elif self._shares.take(channel):
            self._desk.look_up(question.name, question.kind, lambda answer: self._end(channel, question.tag, answer))
        else:
            _tell(channel, question.tag, Answer(FAILED))

    def _end(self, remote: Channel, tag: int, answer: Answer) -> None:
        self._shares.give_back(remote)
        _tell(remote, tag, answer)

    def _reload(self, settings: Mapping[str, bytes]) -> None:
        # Which ports may be connected to is part of the walls, and those only get higher: a fresh process has new ones.
        if settings[SERVERS].decode() != self._told:
            self._loop.stop()


def _tell(channel: Channel, tag: int, answer: Answer) -> None:
    with contextlib.suppress(ChannelClosed):  # A new directory asks anew.
        channel.send(m.Found(tag, answer.outcome, answer.secure, answer.records))


def main() -> int:
    """Look names up until told to stop."""
    start = control.begin(roster.RESOLVER)
    load()
    ports = {server.port for server in servers_of(start.text(SERVERS))}
    sandbox.enter(roster.RESOLVER, start, ports=ports)
    loop = Loop()
    Resolver(start, loop)
    loop.run()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
