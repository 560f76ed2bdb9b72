"""Wiring of scheduler: open the spool's folders, lose the rights, list what is owed once the enqueuer says so, serve."""

import contextlib
import gc
import ipaddress
import os
import random
import sys
import time

from mta import relaying, roster, sandbox
from mta.roles.scheduler.destinations import MOST_DESTINATIONS
from mta.roles.scheduler.queue import OLD_SECONDS, Queue
from mta.roles.scheduler.retry import Lifetimes
from mta.spool import layout
from mta.spool.envelope import MAX_ENVELOPE, Envelope
from mta.spool.layout import Folder, write_all
from mta.spool.progress import MAX_PROGRESS
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop
from mta.wire.tickets import glance_authority, original_authority

DAY, HOUR = 86400.0, 3600.0
TICK_SECONDS = 0.5
STOP_SECONDS = (
    0.8  # remotespawn waits as long as it may for hosts after us, and the supervisor allows five for the house
)
FROM_WEB = 1 << 62
ORDER_SECONDS = 0.002  # between two parts of an operator's order
REPORT_SECONDS = 5.0  # between two words about the queue's size; said even when it is the same: a journal may be new
LIST_SECONDS = 600.0  # A message that was not announced to us, for whatever reason, is found after so long.


class Files:
    """What the queue has done for it: files below two folders, words to peers."""

    peers: control.Peers

    def __init__(self, envelopes: Folder, progresses: Folder, key: bytes) -> None:
        self.envelopes, self.progresses, self._key = envelopes, progresses, key
        self._askers: dict[int, tuple[Channel, int]] = {}  # of orders that came from web: who asked, under which tag
        self._orders = 0

    def there(self, peer: str) -> bool:
        """See `Hands`."""
        return self.peers.to(peer) is not None

    def tell(self, peer: str, message: m.Message) -> bool:
        """See `Hands`."""
        return self.peers.tell(peer, message)

    def answer(self, message: m.QueueTold) -> None:
        """See `Hands`."""
        channel, tag = self._askers.get(message.tag, (None, 0))
        if channel is None:
            self.peers.report(message)
            return
        if message.last:
            del self._askers[message.tag]
        with contextlib.suppress(ChannelClosed):  # Whoever asked ended; what he ordered is done all the same.
            channel.send(message.but(tag=tag))

    def expect(self, channel: Channel, order: m.QueueOrder) -> m.QueueOrder:
        """*order* of web, under a tag that no order of the supervisor has: a packet's are counted from one."""
        self._orders += 1
        tag = FROM_WEB + self._orders
        self._askers[tag] = (channel, order.tag)
        return order.but(tag=tag)

    def envelope(self, queue_id: bytes) -> bytes | None:
        """See `Hands`."""
        return self.envelopes.read(queue_id, MAX_ENVELOPE)

    def progress(self, queue_id: bytes) -> bytes:
        """See `Hands`."""
        return self.progresses.read(queue_id, MAX_PROGRESS) or b""

    def record(self, queue_id: bytes, lines: bytes) -> bool:
        """See `Hands`. A line that cannot be written repeats a delivery: worth an event, not worth stopping for."""
        try:
            descriptor = self.progresses.append(queue_id)
            try:
                write_all(descriptor, lines)
            finally:
                os.close(descriptor)
        except OSError as error:
            self.peers.event("disk-refused", queue_id=queue_id, error=error.strerror or "?")
            return False
        return True

    def settle(self) -> bool:
        """See `Hands`. One wait for everything: an order may be about a hundred thousand messages."""
        try:
            self.progresses.sync_file_system()
        except OSError as error:
            self.peers.event("disk-refused", queue_id=b"", error=error.strerror or "?")
            return False
        return True

    def authority(self, queue_id: bytes, *, full: bool) -> bytes:
        """See `Hands`."""
        return original_authority(self._key, queue_id, full=full)

    def glance(self, queue_id: bytes) -> bytes:
        """See `Hands`."""
        return glance_authority(self._key, queue_id)

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """See `Hands`."""
        self.peers.event(name, **pairs)


class Scheduler:
    """Hands what peers say to the queue."""

    def __init__(self, loop: Loop, files: Files, queue: Queue) -> None:
        self._loop, self._files, self.queue = loop, files, queue
        self.queue_may_be_listed = False
        self._is_giving_turns = False
        loop.after_burst.append(lambda: self.queue.pump(time.time()))
        self._tick()
        loop.call_later(LIST_SECONDS, self._list_again)
        loop.call_later(REPORT_SECONDS, self._report)

    def met_enqueuer(self, _: Channel, packet: Packet) -> None:
        """A new message, or the word that what is in the spool may be believed."""
        message = packet[0]
        if isinstance(message, m.Queued):
            for queue_id, octets in zip(message.pairs[::2], message.pairs[1::2], strict=False):
                self.queue.queued(queue_id, octets)
        elif isinstance(message, m.Recovered):
            self.queue_may_be_listed = True
            self._list()

    def met_directory(self, _: Channel, packet: Packet) -> None:
        """Where mail goes."""
        message = packet[0]
        if isinstance(message, m.Expansion):
            self.queue.expansion(message, time.time())
        elif isinstance(message, m.Outward):
            self.queue.outward_end(message, time.time())
        elif isinstance(message, m.Unresolved):
            self.queue.unresolved(message, time.time())

    def met_localspawn(self, _: Channel, packet: Packet) -> None:
        """What became of a delivery."""
        message = packet[0]
        if isinstance(message, m.Attempted):
            self.queue.attempted(message, time.time())

    def met_remotespawn(self, _: Channel, packet: Packet) -> None:
        """What other hosts said."""
        message = packet[0]
        if isinstance(message, m.Sent):
            self.queue.outward.sent(message, time.time())
        elif isinstance(message, m.SendWaits):
            self.queue.outward.waits(message)
        elif isinstance(message, m.SendDone):
            self.queue.outward.done(message, time.time())

    def ordered(self, order: m.QueueOrder) -> None:
        """An operator wants something of the queue."""
        self.queue.orders.take(order, time.time())
        self._go_on()

    def met_web(self, channel: Channel, packet: Packet) -> None:
        """The panel or the API wants something of the queue: what of it concerns whoever asks is judged there."""
        message = packet[0]
        if isinstance(message, m.QueueOrder):
            self.ordered(self._files.expect(channel, message))

    def _go_on(self) -> None:
        # The pump after each burst does a little; this makes the next burst.
        if self.queue.orders:
            self._loop.call_later(ORDER_SECONDS, self._go_on)

    def met_bouncer(self, _: Channel, packet: Packet) -> None:
        """What became of a notification, or that a mailbox has answered."""
        message = packet[0]
        if isinstance(message, m.Bounced):
            self.queue.bounced(message, time.time())
        elif isinstance(message, m.Replied):
            self.queue.replied(message, time.time())

    def met_cleaner(self, _: Channel, packet: Packet) -> None:
        """What became of a finished message."""
        message = packet[0]
        if isinstance(message, m.Cleaned):
            self.queue.cleaned(message)

    def lost(self, channel: Channel) -> None:
        """A peer ended."""
        self.queue.lost(channel.peer, time.time())

    def _list(self) -> None:
        # Envelopes first: what gets its first line of progress in between has an envelope that we then know of.
        enveloped = list(self._files.envelopes.queue_ids())
        self.queue.listed(enveloped, list(self._files.progresses.queue_ids()), time.time())

    def _list_again(self) -> None:
        if self.queue_may_be_listed:
            self._list()
        self._loop.call_later(LIST_SECONDS, self._list_again)

    def _report(self) -> None:
        self._files.event("queue-size", messages=len(self.queue))
        self._loop.call_later(REPORT_SECONDS, self._report)

    def _tick(self) -> None:
        self.queue.tick(time.time())
        if not self._is_giving_turns:
            self._give_turns()
        self._loop.call_later(TICK_SECONDS, self._tick)

    def _give_turns(self) -> None:
        # Not as often when nothing old waits: a scheduler with nothing to do sleeps.
        self._is_giving_turns = self.queue.give_old_turns()
        if self._is_giving_turns:
            self._loop.call_later(OLD_SECONDS, self._give_turns)


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.SCHEDULER
    start = control.begin(role)
    state = start.text("state")
    envelopes, progresses = (layout.Folder.open(state, part) for part in (layout.ENVELOPE, layout.PROGRESS))
    sandbox.enter(role, start, keep=(envelopes.descriptor, progresses.descriptor))

    loop = Loop()
    files = Files(envelopes, progresses, start.settings[roster.ORIGINAL_KEY])
    scheduler = Scheduler(loop, files, _queue(start, files))
    handlers = {
        "enqueuer": scheduler.met_enqueuer,
        "directory": scheduler.met_directory,
        "localspawn": scheduler.met_localspawn,
        "remotespawn": scheduler.met_remotespawn,
        "bouncer": scheduler.met_bouncer,
        "cleaner": scheduler.met_cleaner,
        "web": scheduler.met_web,
    }
    files.peers = control.Peers(role, start, loop, handlers, lost=scheduler.lost, ordered=scheduler.ordered)
    gc.freeze()
    files.peers.ready()
    loop.run()
    wind_up(loop, scheduler.queue)
    return 0


def wind_up(loop: Loop, queue: Queue) -> None:
    """Hear what hosts say that have a message already: they would get it a second time after the next start."""
    queue.close()
    deadline = time.monotonic() + STOP_SECONDS
    while queue.outward.under_way and time.monotonic() < deadline:
        loop.run_once(0.05)


def _queue(start: control.Start, files: Files) -> Queue:
    lifetimes = Lifetimes(
        start.number("limits.queue_lifetime_days") * DAY, start.number("limits.bounce_lifetime_days") * DAY
    )
    networks = relaying.networks(start.settings)

    def is_ours(envelope: Envelope) -> bool:
        """Did one of our own bring it, by a login or from a network that may relay?"""
        if envelope.identity or not envelope.client:
            return bool(envelope.identity)
        try:
            address = ipaddress.ip_address(envelope.client.decode().partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in networks)

    delay = start.number("limits.delay_warning_hours") * HOUR
    most = int(start.settings.get("outbound.max_destinations", b"%d" % MOST_DESTINATIONS))
    return Queue(files, lifetimes, random.random, delay, is_ours, most)


if __name__ == "__main__":
    sys.exit(main())
