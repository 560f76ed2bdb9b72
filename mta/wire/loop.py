"""The waiting of a role: readable descriptors, timers, and nothing else. One thread, no callbacks that block.

A reader would otherwise get wrong: `run_until_idle` exists so that tests need not sleep; the product calls `run`.
"""

import heapq
import itertools
import select
import time
from collections.abc import Callable

from mta.wire.channel import Channel, ChannelClosed, Packet

Handler = Callable[[Channel, Packet], None]


class Loop:
    """Waits with epoll, calls what is due."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._watched: dict[int, tuple[int, Callable[[int], None]]] = {}
        self._channels: dict[int, tuple[Channel, Handler, Callable[[Channel], None]]] = {}
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self._running = False
        self.after_burst: list[
            Callable[[], None]
        ] = []  # called after each round of events: where batches are committed

    def fileno(self) -> int:
        """Its own descriptor, for a role that makes its loop before it enters the sandbox."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Give its descriptor back; for who makes a loop for a moment, inside a process that goes on."""
        self._epoll.close()

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call *callback* whenever *descriptor* can be read."""
        self._readers[descriptor] = callback
        self._epoll.register(descriptor, select.EPOLLIN)

    def add_writer(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call *callback* whenever *descriptor* can be written to, or is broken; `remove_reader` ends it."""
        self._readers[descriptor] = callback
        self._epoll.register(descriptor, select.EPOLLOUT)

    def remove_reader(self, descriptor: int) -> None:
        """Stop watching *descriptor*; call it before closing."""
        if self._readers.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call *callback* with what happened whenever one of *events* (select.EPOLLIN, EPOLLOUT) does; 0: for nothing, now.

        Called again, it replaces what was wanted before. While nothing is wanted, not even the end of the other side is
        told: the kernel would tell it without end.
        """
        before, _ = self._watched.get(descriptor, (0, callback))
        if not events:
            self.unwatch(descriptor)
            return
        self._watched[descriptor] = (events, callback)
        if not before:
            self._epoll.register(descriptor, events)
        elif before != events:
            self._epoll.modify(descriptor, events)

    def unwatch(self, descriptor: int) -> None:
        """Stop watching *descriptor*; call it before closing."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def add_channel(self, channel: Channel, handler: Handler, lost: Callable[[Channel], None]) -> None:
        """Hand every message of *channel* to *handler*; when it closes, tell *lost* once."""
        descriptor = channel.fileno()
        self._channels[descriptor] = (channel, handler, lost)
        self._epoll.register(descriptor, select.EPOLLIN)
        channel.wants_write = self._wants_write

    def hear(self, channel: Channel) -> None:
        """Serve now what has arrived on *channel*, for whoever is about to judge by it; its handler is called as ever."""
        if not channel.closed:
            self._serve(channel.fileno(), select.EPOLLIN)

    def call_at(self, moment: float, callback: Callable[[], None]) -> None:
        """Call *callback* at *moment* of `time.monotonic`."""
        heapq.heappush(self._timers, (moment, next(self._numbers), callback))

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call *callback* in *seconds*."""
        self.call_at(time.monotonic() + seconds, callback)

    def stop(self) -> None:
        """Leave `run` after this round."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`."""
        self._running = True
        while self._running:
            self.run_once(None)

    def run_until_idle(self, seconds: float = 0.0) -> None:
        """Serve until nothing has happened for *seconds*."""
        while self.run_once(seconds):
            pass

    def run_once(self, timeout: float | None) -> bool:
        """Wait at most *timeout* seconds (None: until a timer is due) and serve what happened; was there anything?"""
        happened = self._run_timers()
        if happened:
            timeout = 0.0
        elif self._timers:
            due = max(0.0, self._timers[0][0] - time.monotonic())
            timeout = due if timeout is None else min(timeout, due)
        for descriptor, events in self._epoll.poll(timeout):
            happened = True
            self._serve(descriptor, events)
        for callback in self.after_burst:
            callback()
        return happened

    def _run_timers(self) -> bool:
        happened, now = False, time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2]()
            happened = True
        return happened

    def _serve(self, descriptor: int, events: int) -> None:
        if (watched := self._watched.get(descriptor)) is not None:
            watched[1](events)
            return
        if (reader := self._readers.get(descriptor)) is not None:
            reader()
            return
        entry = self._channels.get(descriptor)
        if entry is None:
            return  # Closed by an earlier callback of this round.
        channel, handler, lost = entry
        try:
            if events & select.EPOLLOUT:
                channel.flush()
            if events & ~select.EPOLLOUT:
                for packet in channel.receive():
                    handler(channel, packet)
                    if channel.closed:
                        break
        except ChannelClosed:
            channel.close()
        if channel.closed and self._channels.get(descriptor) is entry:
            del self._channels[descriptor]
            lost(channel)

    def _wants_write(self, channel: Channel, wanted: bool) -> None:
        descriptor = channel.fileno()
        if descriptor in self._channels and self._channels[descriptor][0] is channel:
            if channel.closed:
                # Closed outside of _serve: a descriptor number may come back at once, so forget it before it does.
                _, _, lost = self._channels.pop(descriptor)
                self._epoll.unregister(descriptor)
                self.call_later(0.0, lambda: lost(channel))
            else:
                self._epoll.modify(descriptor, select.EPOLLIN | (select.EPOLLOUT if wanted else 0))
