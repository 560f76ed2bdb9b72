"""The judgement of bouncer: a request is complete when all its recipients have come; then the original, composing, offering.

A reader would otherwise get wrong: one tag names a notification on both sides. The scheduler never gives a tag twice, so
the enqueuer can be asked under the same one.
"""

import time
from collections.abc import Callable

from mta.message.dsn import RecipientReport, Report, compose
from mta.message.qsbmf import compose_qsbmf
from mta.record import dataclass, field
from mta.roles.bouncer import notices, reading, replies
from mta.roles.bouncer.notices import Notices
from mta.roles.bouncer.reading import Reading
from mta.roles.bouncer.replies import Replies
from mta.vocabulary import arrival_of, is_queue_id
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers

MAX_WAITING = 200  # Notifications at once; the scheduler makes fewer.
MAX_RECIPIENTS = 100_000
MAX_REPORTED = 100  # Recipients named in one notification; the rest is counted in it.
BLOCK = 32 * 1024


@dataclass(slots=True)
class Notification:
    """One that is being made."""

    channel: Channel
    bounce: m.Bounce
    recipients: list[RecipientReport] = field(default_factory=list)
    missing: int = 0
    original: m.Original | None = None
    language: bytes | None = None  # None: not known yet


class Desk:
    """All notifications in the making."""

    def __init__(self, host: bytes, clock: Callable[[], float] = time.time, *, qsbmf: bool = False) -> None:
        """*qsbmf*: failures are told as qmail told them, where that can be."""
        self._host, self._clock = host, clock
        self.qsbmf = qsbmf
        self._waiting: dict[int, Notification] = {}
        self.notices, self.replies, self.reading = Notices(host, clock), Replies(host, clock), Reading()

    @property
    def peers(self) -> Peers:
        """Whom we speak to; to be set before the first message."""
        return self._peers

    @peers.setter
    def peers(self, peers: Peers) -> None:
        self._peers = self.notices.peers = self.replies.peers = self.reading.peers = peers

    def take(self, channel: Channel, packet: Packet) -> None:
        """The scheduler's request, in pieces."""
        message = packet[0]
        if isinstance(message, m.Bounce):
            self._bounce(channel, message)
        elif isinstance(message, m.ReportedRecipient):
            self._reported_recipient(channel, message)
        elif isinstance(message, m.Reply):
            self.replies.take(channel, message)

    def met_enqueuer(self, _: Channel, packet: Packet) -> None:
        """The enqueuer's answers; by the tag we know about what."""
        message = packet[0]
        if isinstance(message, m.Taken | m.Declined) and message.tag >= replies.FIRST_TAG:
            self.replies.finish(message.tag, b"" if isinstance(message, m.Taken) else b"declined")
        elif isinstance(message, m.Taken | m.Declined) and message.tag >= notices.FIRST_TAG:
            self.notices.finish(message.tag, done=isinstance(message, m.Taken) or message.reply_code >= 500)
        elif isinstance(message, m.Original):
            of_whom = self.reading if message.tag >= reading.FIRST_TAG else self.replies
            (of_whom.met_original if message.tag >= replies.FIRST_TAG else self._original)(message)
        elif isinstance(message, m.Taken):
            self._finish(message.tag, done=True)
        elif isinstance(message, m.Declined):
            self._finish(message.tag, done=message.reply_code >= 500)

    def met_directory(self, channel: Channel, packet: Packet) -> None:
        """The directory's answer, or its own question."""
        message = packet[0]
        if isinstance(message, m.Language) and message.tag in self._waiting:
            self._know_language(self._waiting[message.tag], message.language)
        elif isinstance(message, m.Language):
            self.notices.know_language(message.tag, message.language)
        elif isinstance(message, m.ReplyWords):
            self.replies.met_words(message)
        else:
            self.reading.take(channel, packet)

    def met_signer(self, _: Channel, packet: Packet) -> None:
        """The signer's answer."""
        message = packet[0]
        if isinstance(message, m.Signed):
            self.replies.met_signer(message)

    def found(self, channel: Channel) -> None:
        """A new channel. A house whose users send has a signer."""
        self.replies.has_signer = self.replies.has_signer or channel.peer == "signer"

    def lost(self, channel: Channel) -> None:
        """Without enqueuer nothing can be told; without scheduler nobody wants to know; without directory it is English."""
        for part in (self.notices, self.replies, self.reading):
            part.lost(channel)
        for tag, notification in list(self._waiting.items()):
            if notification.channel is channel:
                del self._waiting[tag]
            elif channel.peer == "enqueuer":
                self._finish(tag, done=False)
            elif channel.peer == "directory" and notification.language is None and not notification.missing:
                self._know_language(notification, b"")

    def _bounce(self, channel: Channel, message: m.Bounce) -> None:
        if (
            message.tag in self._waiting
            or not 0 < message.recipients <= MAX_RECIPIENTS
            or not is_queue_id(message.queue_id)
        ):
            channel.close()
        elif len(self._waiting) >= MAX_WAITING:
            channel.send(m.Bounced(message.tag, done=False))
        else:
            self._waiting[message.tag] = Notification(channel, message, missing=message.recipients)

    def _reported_recipient(self, channel: Channel, message: m.ReportedRecipient) -> None:
        notification = self._waiting.get(message.tag)
        if notification is None:
            return  # Answered already: there were too many, or the enqueuer is gone.
        if not notification.missing:
            channel.close()
            return
        notification.missing -= 1
        if len(notification.recipients) < MAX_REPORTED:
            notification.recipients.append(
                RecipientReport(
                    message.original_recipient, message.forward_path, message.final_recipient, message.action,
                    message.status, message.diagnostic_code, message.remote_mta, message.last_attempt,
                )
            )  # fmt: skip
        if not notification.missing:
            self._gather(notification)

    def _gather(self, notification: Notification) -> None:
        """Ask for what is needed to write it."""
        bounce = notification.bounce
        if not self.peers.tell("enqueuer", m.OriginalOf(bounce.tag, bounce.queue_id, bounce.authority, bounce.full)):
            self._finish(bounce.tag, done=False)
            return
        recipient = notification.recipients[0].forward_path
        if not self.peers.tell("directory", m.LanguageOf(bounce.tag, bounce.reverse_path, recipient)):
            self._know_language(notification, b"")

    def _know_language(self, notification: Notification, language: bytes) -> None:
        if notification.language is None:
            notification.language = language
            self._offer(notification)

    def _original(self, message: m.Original) -> None:
        notification = self._waiting.get(message.tag)
        if notification is not None and notification.original is None:
            notification.original = message
            self._offer(notification)

    def _offer(self, notification: Notification) -> None:
        """Once both are known."""
        bounce, original = notification.bounce, notification.original
        if original is None or notification.language is None:
            return
        report = Report(
            self._host, bounce.queue_id, bounce.reverse_path, bounce.envelope_id, int(arrival_of(bounce.queue_id)),
            int(self._clock()), original.octets, tuple(notification.recipients), whole=original.whole,
            utf_8=bounce.utf_8, unnamed=bounce.recipients - len(notification.recipients),
            retry_until=bounce.retry_until, language=notification.language,
        )  # fmt: skip
        content = (compose_qsbmf(report) if self.qsbmf else None) or compose(report)
        requests: list[m.Message] = [
            m.OfferDsn(bounce.tag, bounce.queue_id, bounce.authority, bounce.full, not content.isascii())
        ]
        requests += [
            m.Content(bounce.tag, start + BLOCK >= len(content), content[start : start + BLOCK])
            for start in range(0, len(content), BLOCK)
        ]
        if not all(self.peers.tell("enqueuer", request) for request in requests):
            self._finish(bounce.tag, done=False)

    def _finish(self, tag: int, *, done: bool) -> None:
        notification = self._waiting.pop(tag, None)
        if notification is None or notification.channel.closed:
            return
        try:
            notification.channel.send(m.Bounced(tag, done))
        except ChannelClosed:
            return  # The next scheduler asks again; it finds no line that says bounced.
