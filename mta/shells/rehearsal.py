"""A conversation with ourselves before the first client comes, so that cells are born knowing what Python learns on the way.

A reader would otherwise get wrong: this is for speed alone, and worth more than everything else: what a process learns when
it does a thing first - message codecs, specialised bytecode, caches - a cell would learn anew each time, on memory pages that
it must copy for that.
"""

import os
import socket
from collections.abc import Callable
from typing import Final

from mta import roster
from mta.shells.cell import Cell
from mta.shells.spawner import Birth
from mta.smtp import driving
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, bare_pair

TIMES: Final = 30  # after which Python 3.11 has specialised what it will
_CLIENT: Final = b"192.0.2.1"
_SMTP: Final = m.Accepted(b"rehearsal", _CLIENT, 25, b"smtp", b"")
_SUBMISSIONS: Final = m.Accepted(b"rehearsal", _CLIENT, 465, driving.IMPLICIT_TLS, b"")
_CONTENT: Final = (b"x" * 76 + b"\r\n") * 50


def rehearse(role: roster.Role, make: Callable[[Birth], Cell]) -> None:
    """Hold conversations of every usual kind, as the cells of *role* will, which *make* makes."""
    for number in range(TIMES):
        _Rehearsal(role, make).hold(refused=number % 5 == 0)


class _Rehearsal:
    """One of them: a cell, its client, and its peers' ends."""

    def __init__(self, role: roster.Role, make: Callable[[Birth], Cell]) -> None:
        kind = permits.INTRODUCES[role.name]
        self._pairs = pairs = {name: bare_pair() for name in roster.servers_of(role)}
        self._theirs = {
            name: Channel(end, kind, permits.readable_by_server(kind, name)) for name, (_, end) in pairs.items()
        }
        self._client, served = socket.socketpair()
        served.setblocking(False)
        self._submits = "authenticator" in pairs
        accepted = _SUBMISSIONS if self._submits else _SMTP
        self._cell = make(Birth(self._theirs["journal"], accepted, served.detach(), 0, pairs))

    def hold(self, *, refused: bool) -> None:
        """From greeting to farewell, with a message or a refusal in it."""
        self._cell.greet()
        if self._submits:
            self._secure()
        self._say(b"EHLO client.test\r\n")
        if self._submits:
            self._log_in()
        self._say(b"MAIL FROM:<a@client.test> SIZE=4000\r\n")
        if self._submits:
            self._answer("authenticator", m.Using(2, True, b"", 1, b"ticket"))
        self._say(b"RCPT TO:<b@example.test>\r\n")
        word = Word.UNKNOWN if refused else Word.ACCEPT
        self._answer("directory", m.Verdict(1, word.value, b"", 1, b"ticket"))
        if refused:
            self._heard("journal")
        else:
            self._send_content()
        self._client.send(b"QUIT\r\n")
        self._cell.go_on()
        self._client.close()
        for ours, _ in self._pairs.values():
            ours.close()
        for channel in self._theirs.values():
            channel.close()

    def _secure(self) -> None:
        _, descriptors = next(self._theirs["tlsspawn"].receive())
        for descriptor in descriptors:
            os.close(descriptor)
        self._client.close()
        self._client, plain = socket.socketpair()
        with plain:
            self._theirs["tlsspawn"].send(m.Secured(0, b"TLSv1.3 X", b""), (plain.fileno(),))
        self._cell.wait()

    def _log_in(self) -> None:
        self._say(b"AUTH PLAIN AGEAYg==\r\n")
        self._answer("authenticator", m.LoggedIn(1, b"right", b"a@client.test", 1, b"ticket"))

    def _send_content(self) -> None:
        self._say(b"DATA\r\n")
        self._say(_CONTENT + b".\r\n")
        charge = "submitter" if "submitter" in self._theirs else "enqueuer"
        offer = self._heard(charge)
        assert isinstance(offer, m.Offer)
        self._answer(charge, m.Taken(offer.tag, b"0" * 20))

    def _say(self, octets: bytes) -> None:
        self._client.send(octets)
        self._cell.wait()

    def _answer(self, name: str, answer: m.Message) -> None:
        """To what the cell asked of *name*."""
        self._heard(name)
        self._theirs[name].send(answer)
        self._cell.wait()

    def _heard(self, name: str) -> m.Message:
        return next(self._theirs[name].receive())[0]
