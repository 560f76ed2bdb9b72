"""Notices about mailboxes that were braked: the ledger's request, the language, composing, offering.

A reader would otherwise get wrong: to whom a notice goes is not said here. It bears the ledger's authority for one mailbox, and
the enqueuer writes to that one and its domain's postmaster.
"""

import itertools
import time
from collections.abc import Callable

from mta.message.notices import Braked, compose_braked
from mta.record import dataclass
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers

FIRST_TAG = 1 << 48  # The scheduler's tags, by which notifications are known to the same peers, are below.
MAX_WAITING = 50


@dataclass(slots=True)
class _Waiting:
    channel: Channel
    notice: m.Notice
    is_offered: bool = False


class Notices:
    """All notices in the making."""

    peers: Peers

    def __init__(self, host: bytes, clock: Callable[[], float] = time.time) -> None:
        self._host, self._clock = host, clock
        self._tags = itertools.count(FIRST_TAG)
        self._waiting: dict[int, _Waiting] = {}

    def take(self, channel: Channel, packet: Packet) -> None:
        """The ledger's request."""
        notice = packet[0]
        if not isinstance(notice, m.Notice):
            channel.close()
            return
        if len(self._waiting) >= MAX_WAITING:
            channel.send(m.Noticed(notice.tag, done=False))
            return
        tag = next(self._tags)
        self._waiting[tag] = _Waiting(channel, notice)
        if not self.peers.tell("directory", m.LanguageOf(tag, notice.mailbox, notice.mailbox)):
            self.know_language(tag, b"")

    def know_language(self, tag: int, language: bytes) -> None:
        """What the reader of notice *tag* understands; empty: nobody knows."""
        waiting = self._waiting.get(tag)
        if waiting is None or waiting.is_offered:
            return
        waiting.is_offered, notice = True, waiting.notice
        content = compose_braked(Braked(self._host, notice.mailbox, notice.why, int(self._clock()), language))
        requests = (
            m.OfferNotice(tag, notice.mailbox, notice.until, notice.authority),
            m.Content(tag, True, content),
        )
        if not all(self.peers.tell("enqueuer", request) for request in requests):
            self.finish(tag, done=False)

    def finish(self, tag: int, *, done: bool) -> None:
        """The enqueuer took it or refused it for good, or it is to be tried later."""
        waiting = self._waiting.pop(tag, None)
        if waiting is None or waiting.channel.closed:
            return
        try:
            waiting.channel.send(m.Noticed(waiting.notice.tag, done))
        except ChannelClosed:
            return  # The next ledger asks again.

    def lost(self, channel: Channel) -> None:
        """Without enqueuer nobody can be written to; without ledger nobody wants to know; without directory it is English."""
        for tag, waiting in list(self._waiting.items()):
            if waiting.channel is channel:
                del self._waiting[tag]
            elif channel.peer == "enqueuer":
                self.finish(tag, done=False)
            elif channel.peer == "directory":
                self.know_language(tag, b"")
