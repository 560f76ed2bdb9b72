"""A conversation with ourselves before the first client comes, so that cells are born knowing what Python learns on the way.

A reader would otherwise get wrong: this is for speed alone, and worth more than everything else: what a process learns when
it does a thing first - message codecs, specialised bytecode, caches - a cell would learn anew each time, on memory pages that
it must copy for that.
"""

import os
import socket
from typing import Final

from mta.roles.smtpdspawn.cell import Cell
from mta.smtp.server import Policy
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, pair

TIMES: Final = 30  # after which Python 3.11 has specialised what it will
_ACCEPTED: Final = m.Accepted(b"rehearsal", b"192.0.2.1", 25, b"smtp", b"")
_CONTENT: Final = (b"x" * 76 + b"\r\n") * 50
_PEERS: Final = ("directory", "enqueuer", "journal")


def rehearse(policy: Policy) -> None:
    """Hold conversations of every usual kind."""
    lifeline, end = os.pipe2(os.O_CLOEXEC)
    for number in range(TIMES):
        _converse(policy, lifeline, refused=number % 5 == 0)
    os.close(lifeline)
    os.close(end)


def _converse(policy: Policy, lifeline: int, *, refused: bool) -> None:
    client, served = socket.socketpair()
    pairs = {name: pair() for name in _PEERS}
    peers = {name: Channel(ends[0], name, permits.readable_by_client("smtpd", name)) for name, ends in pairs.items()}
    others = {
        name: Channel(ends[1], "smtpd", permits.readable_by_server("smtpd", name)) for name, ends in pairs.items()
    }
    cell = Cell(_ACCEPTED, served, peers, lifeline, policy, 0.0)

    def hear(name: str) -> m.Message:
        """What the cell asked of *name*."""
        return next(others[name].receive())[0]

    cell.greet()
    for line in (b"EHLO client.test\r\n", b"MAIL FROM:<a@client.test> SIZE=4000\r\n", b"RCPT TO:<b@example.test>\r\n"):
        client.send(line)
        cell.wait()
    question = hear("directory")
    assert isinstance(question, m.Question)
    word = Word.UNKNOWN if refused else Word.ACCEPT
    others["directory"].send(m.Verdict(question.tag, word.value, b"", 1, b"ticket"))
    cell.wait()
    if refused:
        hear("journal")
    else:
        client.send(b"DATA\r\n")
        cell.wait()
        client.send(_CONTENT + b".\r\n")
        cell.wait()
        offer = hear("enqueuer")
        hear("enqueuer")
        assert isinstance(offer, m.Offer)
        others["enqueuer"].send(m.Taken(offer.tag, b"0" * 20))
        cell.wait()
    client.send(b"QUIT\r\n")
    cell.wait()
    assert cell.over
    client.close()
    for channel in (*peers.values(), *others.values()):
        channel.close()
