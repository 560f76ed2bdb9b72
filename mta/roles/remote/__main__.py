"""Wiring of remote: hear where everything goes, take messages, tell what became of them. The nursery forks it."""

import os
import socket
import sys
from collections.abc import Mapping

from mta.roles.remote.connection import Manner
from mta.roles.remote.content import Content
from mta.roles.remote.destination import Destination, Job
from mta.roles.remote.hosts import SMTP_PORT, Finder, Hear
from mta.roles.remote.outcome import Outcome, delayed
from mta.roles.remote.policy import PolicyGuard
from mta.roles.remote.security import Contexts, Guard
from mta.roles.remote.transaction import Mail, Recipient
from mta.security.reporting import Tally
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.asking import Asking
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import settings_of
from mta.wire.loop import Loop


class Ways:
    """The channels of a remote: to remotespawn all its life, to the others as they are handed to it."""

    def __init__(self, loop: Loop, remotespawn: Channel, asking: Asking) -> None:
        self._loop, self._remotespawn, self._asking = loop, remotespawn, asking
        self._others: dict[str, Channel] = {}

    def meet(self, name: str, descriptor: int) -> None:
        """Here is a channel to the server *name*; it replaces the one before."""
        channel = Channel(socket.socket(fileno=descriptor), name, permits.readable_by_client("remote", name))
        former = self._others.get(name)
        self._others[name] = channel
        if former is not None:
            former.close()
        self._loop.add_channel(channel, self._asking.answered, self._lost)

    def _lost(self, channel: Channel) -> None:
        if self._others.get(channel.peer) is channel:
            del self._others[channel.peer]
            self._asking.lost(channel.peer)

    def tell(self, name: str, message: m.Message) -> bool:
        """Send to a server; False when it is away."""
        channel = self._others.get(name)
        try:
            if channel is None or channel.closed:
                return False
            channel.send(message)
        except ChannelClosed:
            return False
        return True

    def leave(self) -> None:
        """Hang up on everybody."""
        for channel in (self._remotespawn, *self._others.values()):
            channel.close()

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """A remote has no journal; what became of a message says remotespawn."""

    def answer(self, message: m.Message) -> None:
        """Tell remotespawn. When it is gone, so are we, in the same round of the loop."""
        try:
            self._remotespawn.send(message)
        except ChannelClosed:
            self._loop.stop()


class Remote:
    """Takes messages from remotespawn."""

    def __init__(self, loop: Loop, remotespawn: Channel, contexts: Contexts) -> None:
        self._loop, self._contexts, self._tally = loop, contexts, Tally()
        self._asking = Asking(loop)
        self._ways = self._asking.peers = Ways(loop, remotespawn, self._asking)
        self._destination: Destination | None = None
        self._coming: tuple[m.Transmit, int, list[Recipient]] | None = None  # a message whose recipients follow
        loop.add_channel(remotespawn, self._heed, lambda _channel: loop.stop())

    def _heed(self, channel: Channel, packet: Packet) -> None:
        message, descriptors = packet
        match message:
            case m.Destination():
                self._destination = self._make(message, settings_of(message.pairs))
            case m.Peer():
                self._ways.meet(message.role.decode(), descriptors[0])
            case m.Transmit():
                self._coming = (message, descriptors[0], [])
            case m.SendRecipient():
                self._join(channel, message)
            case m.Hurry(at_once) if self._destination is not None:
                self._destination.hurry(at_once=at_once)

    def _join(self, channel: Channel, recipient: m.SendRecipient) -> None:
        if self._coming is None or self._coming[0].tag != recipient.tag:
            channel.close()  # Not remotespawn as we know it.
            return
        transmit, descriptor, recipients = self._coming
        recipients.append(Recipient(recipient.index, recipient.recipient, recipient.options))
        if len(recipients) == transmit.recipients:
            self._coming = None
            self._take(transmit, descriptor, recipients)

    def _take(self, transmit: m.Transmit, descriptor: int, recipients: list[Recipient]) -> None:
        try:
            content = Content(descriptor)
        except OSError as error:
            os.close(descriptor)
            outcome = delayed(b"4.3.0", b"the content cannot be read: " + str(error.strerror).encode(), trouble=False)
            for each in recipients:
                self._ways.answer(sent(transmit.tag, each.number, outcome, b"", b""))
            self._ways.answer(m.SendDone(transmit.tag, host_trouble=False, retry_after=0))
            return
        assert self._destination is not None
        mail = Mail.of(transmit.reverse_path, transmit.options)
        self._destination.take(Job(transmit.tag, mail, recipients, content))

    def finished(self, job: Job) -> None:
        """Every recipient has its outcome: tell."""
        trouble = False
        for number, outcome in job.outcomes.items():
            trouble = trouble or outcome.trouble
            host, protection = job.said_by.get(number, (b"", b""))
            answer = sent(job.tag, number, outcome, host, protection)
            self._ways.answer(answer.but(stage=job.stages.get(number, b"")))
        for results in self._tally.take():
            self._ways.answer(results)
        self._ways.answer(m.SendDone(job.tag, trouble, 0))

    def leave(self) -> None:
        """Close what is open; a remote that ends need not."""
        if self._destination is not None:
            self._destination.leave()
        self._ways.leave()

    def _make(self, where: m.Destination, settings: Mapping[str, bytes]) -> Destination:
        allow_loopback = settings.get("outbound.allow_loopback", b"").lower() == b"true"
        source = where.source_address.decode()
        manner = Manner(
            settings["host.name"], where.lmtp, where.login, where.password, source, may_be_us=allow_loopback
        )  # fmt: skip
        port = int(settings.get("outbound.port", b"%d" % SMTP_PORT))
        finder = Finder(self._asking, settings["host.name"], port, allow_loopback=allow_loopback, source=source)

        def find(hear: Hear) -> None:
            if where.next_hop:
                finder.find_at(where.next_hop, hear)
            else:
                finder.find(where.domain, hear)

        most = int(settings.get("outbound.connections_per_destination", b"20"))
        return Destination(self._loop, find, self._guard(where), manner, self, most=most)

    def _guard(self, where: m.Destination) -> Guard:
        return PolicyGuard(
            self._asking, self._contexts, self._tally, where.domain, where.tls, is_fixed=bool(where.next_hop)
        )  # fmt: skip


def sent(tag: int, number: int, outcome: Outcome, host: bytes, protection: bytes) -> m.Sent:
    """What remotespawn is told of one recipient."""
    return m.Sent(
        tag, number, outcome.action.value, outcome.status, outcome.words, host, protection, outcome.notifies,
        outcome.in_doubt,
    )  # fmt: skip


def serve(sock: socket.socket, contexts: Contexts) -> int:
    """Be a remote until remotespawn hangs up; answers the exit status. The walls are up already."""
    loop = Loop()
    Remote(loop, Channel(sock, "remotespawn", permits.readable_by_server("remotespawn", "remote")), contexts)
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit("remote is no program of its own: remotespawn has one made for each destination that has mail")
