"""What is written to people of our own accord: who asks for it, the language, composing, offering.

The ledger has the owner of a mailbox told that it was braked; the compiler has somebody elsewhere asked whether mail may go on to
him. A reader would otherwise get wrong: to whom it goes is not said here. It bears an authority for one mailbox, or for one address
at another host, and the enqueuer writes to that one (and, of a mailbox, to its domain's postmaster).
"""

import itertools
import time
from collections.abc import Callable

from mta.message.consents import Consent, compose_consent
from mta.message.notices import Braked, compose_braked
from mta.message.recoveries import Recovery, compose_recovery
from mta.record import dataclass
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers

FIRST_TAG = 1 << 48  # The scheduler's tags, by which notifications are known to the same peers, are below.
MAX_WAITING = 50


@dataclass(slots=True)
class _Waiting:
    channel: Channel
    notice: m.Notice | m.AskConsent
    is_offered: bool = False


class Notices:
    """All notices in the making."""

    peers: Peers

    def __init__(self, host: bytes, clock: Callable[[], float] = time.time) -> None:
        self._host, self._clock = host, clock
        self._tags = itertools.count(FIRST_TAG)
        self._waiting: dict[int, _Waiting] = {}

    def take(self, channel: Channel, packet: Packet) -> None:
        """The ledger's request, or the compiler's."""
        notice = packet[0]
        if not isinstance(notice, m.Notice | m.AskConsent):
            channel.close()
            return
        if len(self._waiting) >= MAX_WAITING:
            channel.send(m.Noticed(notice.tag, done=False))
            return
        tag = next(self._tags)
        self._waiting[tag] = _Waiting(channel, notice)
        # Of somebody elsewhere nobody knows it; what the people of that domain here read is the best guess.
        ours = notice.mailbox if isinstance(notice, m.Notice) else notice.holder
        if not self.peers.tell("directory", m.LanguageOf(tag, ours, ours)):
            self.know_language(tag, b"")

    def know_language(self, tag: int, language: bytes) -> None:
        """What the reader of notice *tag* understands; empty: nobody knows."""
        waiting = self._waiting.get(tag)
        if waiting is None or waiting.is_offered:
            return
        waiting.is_offered = True
        offer, content = self._written(tag, waiting.notice, language)
        if not all(self.peers.tell("enqueuer", request) for request in (offer, m.Content(tag, True, content))):
            self.finish(tag, done=False)

    def _written(self, tag: int, notice: m.Notice | m.AskConsent, language: bytes) -> tuple[m.Message, bytes]:
        moment = int(self._clock())
        if isinstance(notice, m.Notice):
            braked = Braked(self._host, notice.mailbox, notice.why, moment, language)
            return m.OfferNotice(tag, notice.mailbox, notice.until, notice.authority), compose_braked(braked)
        if notice.what != b"consent":
            recovery = Recovery(self._host, notice.target, notice.whose, notice.link, moment, language, notice.what)
            return m.OfferConsent(tag, notice.target, notice.until, notice.authority), compose_recovery(recovery)
        consent = Consent(self._host, notice.target, notice.holder, notice.link, moment, language)
        return m.OfferConsent(tag, notice.target, notice.until, notice.authority), compose_consent(consent)

    def finish(self, tag: int, *, done: bool) -> None:
        """The enqueuer took it or refused it for good, or it is to be tried later."""
        waiting = self._waiting.pop(tag, None)
        if waiting is None or waiting.channel.closed:
            return
        try:
            waiting.channel.send(m.Noticed(waiting.notice.tag, done))
        except ChannelClosed:
            return  # The next one asks again.

    def lost(self, channel: Channel) -> None:
        """Without enqueuer nobody can be written to; without who asked nobody wants to know; without directory it is English."""
        for tag, waiting in list(self._waiting.items()):
            if waiting.channel is channel:
                del self._waiting[tag]
            elif channel.peer == "enqueuer":
                self.finish(tag, done=False)
            elif channel.peer == "directory":
                self.know_language(tag, b"")
