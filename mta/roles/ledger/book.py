"""What the peers say to the ledger, and what it answers.

A reader would otherwise get wrong: a batch is written a moment after the first change in it, not after each burst: under
load a burst is one message, and a commit for each would cost more than all the rest of this role.
"""

import sqlite3
import time
from collections.abc import Callable
from typing import Protocol

from mta.roles.ledger.sending import Limit
from mta.roles.ledger.store import Sender, Store
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop
from mta.wire.tickets import NOTICE_SECONDS, notice_authority

BATCH_SECONDS = 0.05
RETRY_SECONDS = 5.0  # when there was no room
EXPIRE_SECONDS = 3600.0
REMIND_SECONDS = 60.0


class Events(Protocol):
    """What the book needs of `mta.wire.control.Peers`."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""

    def tell(self, peer: str, message: m.Message) -> bool:
        """Send; False when the peer is away."""


class Book:
    """Keeps *store*. `peers` must be set before the first message."""

    peers: Events

    def __init__(self, loop: Loop, store: Store, key: bytes = b"", clock: Callable[[], float] = time.time) -> None:
        """*key*: the notice key. *clock* gives seconds since 1970."""
        self._loop, self._store, self._key, self._clock = loop, store, key, clock
        self._is_due = False
        self._noticing: dict[int, tuple[bytes, int]] = {}  # asked of the bouncer: which mailbox, braked when
        self._tag = 0
        self._is_reminded = False

    def heed(self, channel: Channel, packet: Packet) -> None:
        """Whatever a peer says; which peer may say what stands in the permits."""
        try:
            self._heed(channel, packet[0])
        except ChannelClosed:
            return
        except sqlite3.Error as error:
            # No room, or a disk that fails. Who asked about usage is not answered and goes on without us.
            self.peers.event("ledger-trouble", why=str(error))

    def _heed(self, channel: Channel, message: m.Message) -> None:
        match message:
            case m.UsageOf(tag, mailbox):
                channel.send(m.Usage(tag, *self._store.usage_of(mailbox)))
                return
            case m.PathOf(tag, token):
                channel.send(m.KeptPath(tag, self._store.path_of(token)))
                return
            case m.Grey(tag, network, triplet):
                channel.send(m.Greyed(tag, self._store.wait(network, triplet, int(self._clock()))))
            case m.MayAnswer(tag, digest, queue_id):
                channel.send(m.Answering(tag, self._store.answer(digest, queue_id, int(self._clock()))))
            case m.Spend():
                self._spend(channel, message)
            case m.Outbox(tag, after):
                for number, kind, key, value in self._store.facts(after):
                    channel.send(m.Fact(tag, number, kind, key, value))
                channel.send(m.Fact(tag, 0, b"", b"", b""))
            case _:
                if not self._learn(message):
                    channel.close()
                    return
        if not self._is_due:
            self._is_due = True
            self._loop.call_later(BATCH_SECONDS, self._commit)

    def _learn(self, message: m.Message) -> bool:
        """Take what is not answered; False: it is none of that."""
        match message:
            case m.Reserve(queue_id, mailbox, size):
                self._store.reserve(queue_id, mailbox, size, int(self._clock()))
            case m.Stored(queue_id, mailbox, size):
                self._store.stored(queue_id, mailbox, size)
            case m.Release(queue_id, mailbox):
                self._store.release(queue_id, mailbox)
            case m.KeepPath(token, path):
                self._store.keep_path(token, path, int(self._clock()))
            case m.Missed(identity):
                if why := self._store.miss(identity, int(self._clock())):
                    self.peers.event("braked", login=identity, why=why)
                    self.notice()
            case m.Noticed(tag, done):
                self._noticed(tag, done=done)
            case m.TargetFailed(target, text):
                self._store.target_failed(target, text, int(self._clock()))
            case m.Rehash(identity, was, sealed):
                self._store.rehash(identity, was, sealed)
            case m.Shown(identity, name):
                self._store.shown(identity, name, int(self._clock()))
            case _:
                return False
        return True

    def _spend(self, channel: Channel, message: m.Spend) -> None:
        sender = _sender(message)
        if sender is None:
            channel.close()
            return
        word, scope = self._store.spend(sender, message.recipients, message.digest, int(self._clock()))
        if word == b"braked" and scope:
            self.peers.event("braked", login=message.identity, why=scope)
            self.notice()
        elif word == b"limit":
            self.peers.event("over-limit", login=message.identity, scope=scope)
        channel.send(m.Spent(message.tag, word, scope.encode()[:500]))

    def notice(self) -> None:
        """Have those written to who were not yet; again in a minute while somebody is left."""
        notices = self._store.notices()
        for mailbox, at, why in notices:
            if (mailbox, at) not in self._noticing.values():
                self._tag += 1
                until = int(self._clock()) + NOTICE_SECONDS
                authority = notice_authority(self._key, mailbox, until)
                if self.peers.tell("bouncer", m.Notice(self._tag, mailbox, why, until, authority)):
                    self._noticing[self._tag] = (mailbox, at)
        if notices and not self._is_reminded:
            self._is_reminded = True
            self._loop.call_later(REMIND_SECONDS, self.remind)

    def remind(self) -> None:
        """A minute has passed, or a start."""
        self._is_reminded = False
        try:
            self.notice()
        except sqlite3.Error as error:
            self.peers.event("ledger-trouble", why=str(error))

    def _noticed(self, tag: int, *, done: bool) -> None:
        mailbox, at = self._noticing.pop(tag, (b"", 0))
        if done and mailbox:
            self._store.noticed(mailbox, at)
            self.peers.event("noticed", login=mailbox)

    def lost(self, channel: Channel) -> None:
        """A peer ended. What the bouncer was asked was perhaps done; it is asked again, for twice is better than never."""
        if channel.peer == "bouncer":
            self._noticing.clear()

    def _commit(self) -> None:
        try:
            self._store.commit()
            self._is_due = False
        except sqlite3.Error as error:
            self.peers.event("ledger-trouble", why=str(error))
            self._loop.call_later(RETRY_SECONDS, self._commit)

    def expire(self) -> None:
        """Forget old reservations, now and every hour."""
        self._loop.call_later(EXPIRE_SECONDS, self.expire)
        try:
            forgotten = self._store.expire(int(self._clock()))
        except sqlite3.Error as error:
            self.peers.event("ledger-trouble", why=str(error))  # No room even to forget: in an hour, then.
            return
        self._commit()
        if forgotten:
            self.peers.event("reservations-expired", count=forgotten)

    def close(self) -> None:
        """Write what is left."""
        self._store.close()


def _sender(message: m.Spend) -> Sender | None:
    """Whom *message* is about; None: it makes no sense."""
    tenants = message.tenants.split()
    whose = [("mailbox", b"m:" + message.identity), ("domain", b"d:" + message.domain)]
    whose += [("tenant", b"t:" + tenant) for tenant in tenants]
    try:
        limits = [Limit(*map(int, pair.split(b"/"))) for pair in message.limits.split()]
        levels = tuple((level, who, limit) for (level, who), limit in zip(whose, limits, strict=True))
    except (ValueError, TypeError):
        return None
    return Sender(message.identity, levels, message.brake, message.released)
