"""The one descriptor a role is born with: the supervisor's word on who its peers are.

A reader would otherwise get wrong: a peer that ended is *replaced*, not repaired. `Peers.to` answers None between the two
moments, and what was asked of the lost peer must be answered by the role itself (try later), never left hanging.
"""

import os
import socket
import sys
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from mta import roster
from mta.record import dataclass
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Handler

MISSED_SECONDS = 30.0
EXIT_AGAIN = 111  # qmail's word for "try again": the supervisor starts a clean one
CONTROL_FD = 3  # The supervisor puts it there for every role.


@dataclass(frozen=True, slots=True)
class Start:
    """What a role knows at birth: its control channel and its settings (and secrets, which stand among them)."""

    control: Channel
    settings: dict[str, bytes]

    def text(self, name: str) -> str:
        """The setting *name* as text.

        Raises:
            KeyError: the supervisor did not hand it.
        """
        return self.settings[name].decode()

    def path(self, part: str) -> str:
        """Where *part* of the state folder is. Not a Path: what that brings along is half a megabyte in each role."""
        return f"{self.text('state').rstrip('/')}/{part}"

    def folder(self, part: str) -> int:
        """A descriptor of that folder, to be kept behind the walls.

        Raises:
            OSError: it is not there, or not ours to enter.
        """
        return os.open(self.path(part), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def number(self, name: str) -> int:
        """The setting *name* as a whole number.

        Raises:
            KeyError: the supervisor did not hand it.
        """
        return int(self.settings[name])


def begin(role: roster.Role, descriptor: int = CONTROL_FD) -> Start:
    """Take the control channel and wait for `Begin`.

    Raises:
        ChannelClosed: the supervisor is gone.
    """
    control = Channel(socket.socket(fileno=descriptor), "supervisor", permits.FROM_SUPERVISOR)
    os.set_inheritable(descriptor, False)
    message, _ = control.wait()
    if not isinstance(message, m.Begin):
        raise ChannelClosed(f"{role.name}: the supervisor did not begin with Begin")
    return Start(control, settings_of(message.pairs))


def settings_of(pairs: tuple[bytes, ...]) -> dict[str, bytes]:
    """Name, value, name, value … as a mapping."""
    return {name.decode(): value for name, value in zip(pairs[::2], pairs[1::2], strict=True)}


class Waiting(Protocol):
    """What `Peers` needs of a loop: our own `Loop` has it, and smtpd's wrapping of asyncio's."""

    def add_channel(self, channel: Channel, handler: Handler, lost: Callable[[Channel], None]) -> None:
        """Hand every message of *channel* to *handler*; when it closes, tell *lost* once."""

    def stop(self) -> None:
        """End serving."""


class Peers:
    """All channels of a role, kept current from the control channel.

    *handlers* maps a peer's name to what receives its messages (requests when the peer is our client, answers when it is
    our server). *lost* is told when a peer's channel closes, so that the role can answer what it had asked there.
    """

    def __init__(
        self, role: roster.Role, start: Start, loop: Waiting, handlers: Mapping[str, Handler], *,
        lost: Callable[[Channel], None] = lambda channel: None,
        found: Callable[[Channel], None] = lambda channel: None,
        sockets: Callable[[str, str, int], None] | None = None,
        reload: Callable[[Mapping[str, bytes]], None] = lambda settings: None,
        stop: Callable[[], None] | None = None,
        ordered: Callable[[m.QueueOrder], None] | None = None,
    ) -> None:  # fmt: skip
        self._role, self._start, self._loop, self._handlers = (role, start, loop, handlers)
        self._lost, self._found, self._sockets, self._reload = (lost, found, sockets, reload)
        self._stop = stop or loop.stop
        self._ordered = ordered
        self.on_standing: Callable[[m.Standing], None] | None = None  # for the one that asks how the house stands
        self._servers: dict[str, dict[int, Channel]] = {}
        self._untold = 0  # events that the journal could not hear
        self._missed: dict[tuple[str, int], float] = {}  # since when (time.monotonic) a server is away
        loop.add_channel(start.control, self._heed, self._orphaned)

    def to(self, name: str, instance: int = 0) -> Channel | None:
        """The channel to the server *name*, or None while it is away."""
        channel = self._servers.get(name, {}).get(instance)
        if channel is not None and not channel.closed:
            return channel
        lost = self._missed.get((name, instance))
        if lost is not None and time.monotonic() - lost > MISSED_SECONDS:
            # So long no restart takes: one of us hung up on the other, and both still run. Only the supervisor can bring
            # us together again, and it does when one of us begins anew.
            sys.exit(EXIT_AGAIN)
        return None

    def all_to(self, name: str) -> list[Channel]:
        """The channels to every instance of the server *name* that is there."""
        return [channel for channel in self._servers.get(name, {}).values() if not channel.closed]

    def ready(self) -> None:
        """Tell the supervisor that we serve."""
        self._start.control.send(m.Ready())

    def report(self, message: m.Message) -> None:
        """Tell the supervisor, for somebody who asked it."""
        self._start.control.send(message)

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""
        channel = self.to(name)
        if channel is None:
            return False
        try:
            channel.send(message)
        except ChannelClosed:
            return False
        return True

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal what was decided. Mail is worth more than its log: when the journal is away or slow, drop it."""
        journal = self.to("journal")
        if journal is None or journal.backlog > MAX_UNREAD_EVENTS:
            self._untold += 1
            return
        try:
            if self._untold:
                journal.send(event_of("events-lost", {"count": self._untold}))
                self._untold = 0
            journal.send(event_of(name, pairs))
        except ChannelClosed:
            self._untold += 1

    def _heed(self, _control: Channel, packet: Packet) -> None:
        message, descriptors = packet
        if isinstance(message, m.Peer):
            self._meet(message, descriptors[0])
        elif isinstance(message, m.ListeningSocket):
            if self._sockets is None:
                raise ChannelClosed(f"{self._role.name} has no use for a listening socket")
            self._sockets(message.service.decode(), message.address.decode(), descriptors[0])
        elif isinstance(message, m.Reload):
            self._reload(settings_of(message.pairs))
        elif isinstance(message, m.QueueOrder):
            if self._ordered is None:
                raise ChannelClosed(f"{self._role.name} has no queue")
            self._ordered(message)
        elif isinstance(message, m.Standing):
            if self.on_standing is None:
                raise ChannelClosed(f"{self._role.name} did not ask how the house stands")
            self.on_standing(message)
        elif isinstance(message, m.Stop):
            self._stop()

    def _meet(self, message: m.Peer, descriptor: int) -> None:
        name, own = message.role.decode(), self._role.name
        permitted = permits.readable_by_server(name, own) if message.serving else permits.readable_by_client(own, name)
        channel = Channel(socket.socket(fileno=descriptor), name, permitted, message.instance)
        if not message.serving:
            former = self._servers.setdefault(name, {}).get(message.instance)
            if former is not None:
                former.close()
            self._servers[name][message.instance] = channel
            self._missed.pop((name, message.instance), None)
        introduces = message.serving and name in permits.INTRODUCES
        handler = self._introduced if introduces else self._handlers.get(name, _unexpected)
        self._loop.add_channel(channel, handler, self._forget)
        self._found(channel)

    def _introduced(self, introducer: Channel, packet: Packet) -> None:
        """Whoever makes cells hands us the channel of one: a client as others of its kind, but for one session only."""
        message, descriptors = packet
        if not isinstance(message, m.Attach):
            self._handlers.get(introducer.peer, _unexpected)(introducer, packet)
            return
        kind, session = permits.INTRODUCES[introducer.peer], message.session
        sock = introducer.take_bare_socket(descriptors[0])
        if sock is None:
            return
        channel = Channel(sock, kind, permits.readable_by_server(kind, self._role.name))
        channel.session = session
        handler = self._handlers.get(kind, _unexpected)

        def heed(channel: Channel, packet: Packet) -> None:
            if getattr(packet[0], "session", session) == session:
                handler(channel, packet)
            else:
                channel.close()  # In another conversation's name: who says that was taken over.

        self._loop.add_channel(channel, heed, self._forget)

    def _forget(self, channel: Channel) -> None:
        if self._servers.get(channel.peer, {}).get(channel.instance) is channel:
            del self._servers[channel.peer][channel.instance]
            self._missed[channel.peer, channel.instance] = time.monotonic()
        self._lost(channel)

    def _orphaned(self, _control: Channel) -> None:
        # The supervisor is gone: nobody would hand us new peers, so a clean end is better than half a house.
        sys.exit(0)


MAX_UNREAD_EVENTS = 1000


def event_of(name: str, pairs: Mapping[str, bytes | str | int]) -> m.Event:
    """What the journal is told of a decision."""
    flat: list[bytes] = []
    for key, value in pairs.items():
        octets = value if isinstance(value, bytes) else str(value).encode()
        flat += (key.encode(), octets[:1000])
    return m.Event(name.encode(), tuple(flat))


def _unexpected(channel: Channel, packet: Packet) -> None:
    channel.close()


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())
