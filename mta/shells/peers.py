"""Channels on asyncio's loop: who asked what, until when, and what to say when no answer comes.

A reader would otherwise get wrong: `Conversations` makes the answer "away" itself. When a peer's channel closes, or an
answer is overdue, whoever asked is told so at once; no conversation waits for a process that is gone.
"""

import asyncio
from collections.abc import Callable

from mta.wire.channel import Channel, ChannelClosed
from mta.wire.control import Peers
from mta.wire.loop import Handler
from mta.wire.messages import Message


class AsyncioChannels:
    """Lets `mta.wire.control.Peers` live on an asyncio loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._known: dict[Channel, tuple[int, Handler, Callable[[Channel], None]]] = {}
        self.drained: Callable[[Channel], None] = lambda _channel: None  # told when a peer that lagged has caught up

    def add_channel(self, channel: Channel, handler: Handler, lost: Callable[[Channel], None]) -> None:
        """Hand every message of *channel* to *handler*; when it closes, tell *lost* once."""
        descriptor = channel.fileno()
        self._known[channel] = (descriptor, handler, lost)
        channel.wants_write = self._wants_write
        self._loop.add_reader(descriptor, self._read, channel, handler)

    def stop(self) -> None:
        """Leave the loop."""
        self._loop.stop()

    def _read(self, channel: Channel, handler: Handler) -> None:
        # One packet each time: the loop comes back while there are more, and asking for the one that is not there would
        # cost as much as the one that is.
        try:
            packet = next(channel.receive(), None)
            if packet is not None:
                handler(channel, packet)
        except ChannelClosed:
            channel.close()

    def _flush(self, channel: Channel) -> None:
        try:
            channel.flush()
        except ChannelClosed:
            channel.close()

    def _wants_write(self, channel: Channel, wanted: bool) -> None:
        """`Channel` tells us before it closes its descriptor, so the loop forgets the number before it is given again."""
        descriptor, _, lost = self._known.get(channel, (-1, None, None))
        if lost is None:
            return
        if channel.closed:
            del self._known[channel]
            self._loop.remove_reader(descriptor)
            self._loop.remove_writer(descriptor)
            self._loop.call_soon(lost, channel)
        elif wanted:
            self._loop.add_writer(descriptor, self._flush, channel)
        else:
            self._loop.remove_writer(descriptor)
            self.drained(channel)


Answered = Callable[[Message | None], None]  # None: the peer is away, or too slow


class Conversations:
    """Questions to one server and their answers, told apart by tag."""

    def __init__(self, peers: Peers, server: str, patience_seconds: float) -> None:
        self._peers = peers
        self._server = server
        self._patience = patience_seconds
        self._tag = 0
        self._open: dict[int, tuple[Channel, float, Answered]] = {}  # with deadlines

    def begin(self, now: float, answered: Answered) -> tuple[Channel, int] | None:
        """A channel and a fresh tag; None when the server is away. *answered* is told once, unless `forget` came first.

        *now* is when the server's time begins to run: infinity when more is to be said first (see `expect`).
        """
        channel = self._peers.to(self._server)
        if channel is None:
            return None
        self._tag += 1
        self._open[self._tag] = (channel, now + self._patience, answered)
        return channel, self._tag

    def go_on(self, channel: Channel, tag: int, now: float, answered: Answered) -> bool:
        """More is asked under *tag*, where the first question went; False when nobody is there any more."""
        if channel.closed:
            return False
        self._open[tag] = (channel, now + self._patience, answered)
        return True

    def expect(self, tag: int, now: float) -> None:
        """All was said; the server's time begins to run."""
        entry = self._open.get(tag)
        if entry is not None:
            self._open[tag] = (entry[0], now + self._patience, entry[2])

    def forget(self, tag: int) -> None:
        """No answer is wanted any more."""
        self._open.pop(tag, None)

    def hear(self, tag: int, answer: Message | None) -> None:
        """The server answered *tag* (None: it will not); an answer nobody waits for is dropped."""
        entry = self._open.pop(tag, None)
        if entry is not None:
            entry[2](answer)

    def lost(self, channel: Channel) -> None:
        """The server's channel closed: whoever waits for an answer over it is told that it is away."""
        for tag in [tag for tag, entry in self._open.items() if entry[0] is channel]:
            self.hear(tag, None)

    def expire(self, now: float) -> None:
        """Tell everyone whose answer is overdue."""
        for tag in [tag for tag, entry in self._open.items() if entry[1] < now]:
            self.hear(tag, None)
