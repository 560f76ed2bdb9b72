"""The judgement of tlsspawn: a client that waits for a handshake becomes a cell with a uid of its own, or is hung up on.

A reader would otherwise get wrong: the channel over which smtpd asked goes to the cell whole. We close our end of it and the
cell answers, so nothing that a cell says ever passes through us.
"""

import contextlib
import os
import socket
from collections.abc import Callable

from mta.offspring import Offspring, Uids
from mta.record import dataclass
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet, pair
from mta.wire.control import Peers

Live = Callable[["Birth"], int]  # what a cell does with its life; answers its exit status


@dataclass(frozen=True, slots=True)
class Birth:
    """What a cell is born with. The descriptors are its own from then on."""

    asked: m.Secure
    client: int
    uid: int
    asker: Channel
    keeper: socket.socket
    journal: socket.socket


class Spawner:
    """All cells that live."""

    def __init__(self, offspring: Offspring, uids: Uids, most: int, live: Live) -> None:
        self.peers: Peers  # whoever makes us sets it, before the first message
        self._offspring, self._uids, self._most, self._live = offspring, uids, most, live
        self._told: list[Channel] = []  # who wants to know whether STARTTLS may be offered
        self._offering = False

    def found(self, channel: Channel) -> None:
        """A peer is there, or anew."""
        if channel.peer in ("smtpdspawn", "submissionspawn"):
            self._told.append(channel)
            _say(channel, m.Offering(self._offering))

    def lost(self, channel: Channel) -> None:
        """It is gone; without the keeper there is nothing to offer."""
        if channel in self._told:
            self._told.remove(channel)
        elif channel.peer == "tls" and self.peers.to("tls") is None:
            self._tell(m.Offering(yes=False))

    def heed_tls(self, _tls: Channel, packet: Packet) -> None:
        """Is there a certificate?"""
        assert isinstance(packet[0], m.Offering)
        self._tell(packet[0])

    def _tell(self, offering: m.Offering) -> None:
        self._offering = offering.yes
        for channel in list(self._told):
            _say(channel, offering)

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Secure` of one of smtpd's cells: the only thing that it ever says to us."""
        asked, descriptors = packet
        try:
            refusal = self._begin(channel, asked, descriptors[0]) if isinstance(asked, m.Secure) else ""
            if refusal and isinstance(asked, m.Secure):
                self.peers.event("handshake-failed", session=asked.session, why=refusal)
                _say(channel, m.NotSecured(asked.tag, refusal.encode()))
        finally:
            channel.close()
            for descriptor in descriptors:
                os.close(descriptor)

    def _begin(self, channel: Channel, asked: m.Secure, client: int) -> str:
        """Fork a cell; answers why there is none."""
        tls, journal = self.peers.to("tls"), self.peers.to("journal")
        if tls is None or journal is None:
            return "tls is away"
        uid = self._uids.take() if self._offspring.alive < self._most else None
        if uid is None:
            return "too many conversations"
        pairs: list[tuple[socket.socket, socket.socket]] = []
        try:
            for _ in range(2):
                pairs.append(pair())  # noqa: PERF401 - what was made must be closed when the second cannot be
            birth = Birth(asked, client, uid, channel, pairs[0][0], pairs[1][0])
            self._offspring.fork(lambda: self._live(birth), lambda _status: self._uids.give_back(uid))
            for (_, theirs), server in zip(pairs, (tls, journal), strict=True):
                with contextlib.suppress(ChannelClosed, OSError):  # Then it is away for this cell, which sees that.
                    server.send(m.Attach(asked.session), (theirs.fileno(),))
        except OSError as error:
            self._uids.give_back(uid)
            return os.strerror(error.errno or 0)
        finally:
            for ours, theirs in pairs:
                ours.close()
                theirs.close()
        return ""


def _say(channel: Channel, message: m.Message) -> None:
    with contextlib.suppress(ChannelClosed):
        channel.send(message)
