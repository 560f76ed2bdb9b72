"""The judgement of enqueuer: whose offer is believed, what is kept of it until it is whole, what is answered.

A reader would otherwise get wrong: nothing is written while a small message arrives. It waits in memory for the end of the
burst, and then all that finished in it are written and synced together (see disk).
"""

import collections
import contextlib
import ipaddress
import os
import re
import time
from collections.abc import Callable, Sequence

from mta.message.trace import passing_mark, received_field, received_from_ourselves
from mta.record import dataclass, field
from mta.roles.enqueuer.disk import DISK_FULL, Batched, Disk, Room, refusal
from mta.roles.enqueuer.originals import Originals
from mta.spool.envelope import (
    MAX_ENVELOPE,
    MAX_RECIPIENTS,
    PASSED,
    Envelope,
    Generation,
    Recipient,
    render,
    with_identity,
)
from mta.spool.layout import write_all
from mta.vocabulary import TLS_NOT_REQUIRED, is_queue_id
from mta.windows import Window, client_key
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers
from mta.wire.tickets import (
    consent_authority_holds,
    login_ticket_holds,
    notice_authority_holds,
    session_token_holds,
    ticket_holds,
)

SMALL = 64 * 1024  # Octets of content kept in memory; more go to the file as they come.
MAX_HELD = 64 << 20  # Octets in memory over all messages; beyond it every message goes to its file.
MAX_NAMED = 64 << 20  # Octets of recipients in memory over all messages.
RECIPIENT_OCTETS = 300  # What one costs there besides its words; more than what is around them in the envelope.
MAX_OPEN = 2000  # Messages that one peer may have begun: more than conversations in one smtpd.
MAX_RESERVED = (
    1000  # Reservations of one message; more would fill the ledger's channel, and a reservation is a courtesy.
)
INLINE_ENVELOPE = 4 * 1024  # Octets told to the scheduler; a longer one it reads from the file.
MAX_MARKS = 10  # of one message that are looked at
DAY = 86_400.0  # seconds
REPORTS_A_DAY = 2000  # about TLS (RFC 8460); more domains that want one nobody has sent to in a day
ANNOUNCED = 12  # Messages told to the scheduler in one packet; with their envelopes they fit.

Refusal = tuple[int, bytes, bytes]

NO_TICKET: Refusal = (550, b"5.7.1", b"Not permitted")
TOO_LARGE: Refusal = (552, b"5.3.4", b"Message too large")
TOO_MANY: Refusal = (452, b"4.5.3", b"Too many recipients")
TOO_FAST: Refusal = (451, b"4.7.1", b"Too many messages from you in a minute; send the rest in a minute")
BUSY: Refusal = (452, b"4.3.2", b"Too many messages at once")
ENOUGH_REPORTS: Refusal = (451, b"4.7.1", b"Enough reports for a day")

_PLAIN_PATH = re.compile(rb"[!-;=?-~]{1,64}@[A-Za-z0-9.-]{1,255}\Z")


@dataclass(frozen=True, slots=True)
class Keys:
    """What proves are checked with."""

    session: bytes
    ticket: bytes
    original: bytes
    notice: bytes
    consent: bytes


@dataclass(slots=True, eq=False)
class Incoming:
    """A message that is being offered."""

    channel: Channel
    offer: m.Offer | None  # None: our own notification
    reverse_path: bytes
    options: bytes
    generation: Generation
    recipients: list[Recipient]
    arrival: int
    tag: int
    original: bytes = b""  # of our own notification: the message that it is about
    blocks: list[bytes] = field(default_factory=list)
    held: int = 0  # octets in blocks
    named: int = 0  # octets of recipients
    size: int = 0  # octets of content so far, without our Received field
    begun: bool = False  # content has come: the recipients are known
    queue_id: bytes = b""
    descriptor: int = -1
    marks: frozenset[bytes] = frozenset()  # that its header section bears, ours or anybody's
    written: int = 0  # octets in the file


class QueueIds:
    """Gives queue ids: never one twice, not even when the clock steps back over a restart."""

    def __init__(self, newest: bytes = b"", clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last = int(newest[:16], 16) if is_queue_id(newest) else 0
        # Where a step back over several restarts would meet a moment used before, this differs all the same.
        self._counter = int.from_bytes(os.urandom(2))

    def next(self) -> bytes:
        """Twenty hexadecimal digits that sort by the moment they were given."""
        self._last = max(self._clock() // 1000, self._last + 1)
        self._counter = (self._counter + 1) & 0xFFFF
        return b"%016x%04x" % (self._last, self._counter)


class Pace:
    """How many messages one client may hand over in a minute."""

    def __init__(
        self, most: int = 0, trusted: Sequence[bytes] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        """*most* of a client, 0: no limit; *trusted*: the networks (text) that have none."""
        self._most, self._window = most, Window(clock)
        self._trusted = [ipaddress.ip_network(network.decode()) for network in trusted]

    def is_too_fast(self, client: bytes) -> bool:
        """One more message of *client* (text). Is it one too many?"""
        if not self._most:
            return False
        key = client_key(client)
        if self._window.count(key) < self._most or self._is_trusted(client):
            self._window.add(key)
            return False
        return True

    def _is_trusted(self, client: bytes) -> bool:
        try:
            address = ipaddress.ip_address(client.decode().partition("%")[0])
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


class Store:
    """All messages that are on their way into the spool."""

    peers: Peers

    def __init__(
        self, disk: Disk, room: Room, keys: Keys, queue_ids: QueueIds, *, host: bytes, max_message_size: int,
        clock: Callable[[], float] = time.time, pace: Pace | None = None,
    ) -> None:  # fmt: skip
        self._pace = pace or Pace()
        self._reports = Window(clock, DAY)
        self._mark_key = os.urandom(32)  # A message that comes back later than our successor is known the time after.
        self._disk, self._room, self._keys, self._queue_ids = disk, room, keys, queue_ids
        self._host, self._max_size, self._clock = host, max_message_size, clock
        self._originals = Originals(disk.content, disk.envelope, keys.original, host)
        self._open: dict[Channel, dict[int, Incoming]] = collections.defaultdict(dict)
        self._batch: list[Incoming] = []
        self._held = self._named = 0
        self._answer: dict[type[m.Message], Callable[[Channel, m.Message], None]] = {
            m.Offer: self._offer,
            m.OfferRecipient: self._offer_recipient,
            m.Content: self._content,
            m.Withdraw: self._withdraw,
            m.OfferDsn: self._offer_dsn,
            m.OfferNotice: self._offer_notice,
            m.OfferConsent: self._offer_consent,
            m.OfferReply: self._offer_reply,
            m.OfferReport: self._offer_report,
            m.OriginalOf: self._original_of,
        }

    # --- what peers do

    def take(self, channel: Channel, packet: Packet) -> None:
        """One request of an smtpd or of the bouncer."""
        message = packet[0]
        self._answer[type(message)](channel, message)

    def found(self, channel: Channel) -> None:
        """A new channel. A scheduler must know that what is in the spool may be believed now."""
        if channel.peer == "scheduler":
            self.peers.tell("scheduler", m.Recovered())

    def lost(self, channel: Channel) -> None:
        """A peer ended; so did the conversations it had with us. Nobody could hear Taken, so we do not take."""
        for incoming in self._open.pop(channel, {}).values():
            self._drop(incoming)
        gone = [incoming for incoming in self._batch if incoming.channel is channel]
        self._batch = [incoming for incoming in self._batch if incoming.channel is not channel]
        for incoming in gone:
            self._drop(incoming)

    def abandon(self) -> None:
        """We end: nothing half-taken stays."""
        for channel in list(self._open):
            self.lost(channel)

    def _offer(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.Offer)
        if not self._may_begin(channel, message.tag):
            return
        if not session_token_holds(self._keys.session, message.token, message.session, message.client):
            self._suspect(channel, message, b"session token")
            return
        if not self._ticket_holds(message, message):
            self._suspect(channel, message, b"ticket")
            return
        if message.identity and not self._login_holds(message):
            self._suspect(channel, message, b"log-in")
            return
        if self._pace.is_too_fast(message.client):
            self._refuse(channel, message.tag, TOO_FAST)
            return
        incoming = Incoming(
            channel, message, message.reverse_path, with_identity(_without_marks(message.options), message.identity),
            Generation.ORDINARY if message.reverse_path else Generation.BOUNCE, [], int(self._clock()), message.tag,
            marks=_marks_in(message.options),
        )  # fmt: skip
        self._open[channel][message.tag] = incoming
        self._name(incoming, Recipient(message.forward_path, message.counted, message.recipient_options))

    def _offer_recipient(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.OfferRecipient)
        incoming = self._open[channel].get(message.tag)
        if incoming is None:
            return  # Declined already; the peer had not heard it.
        if incoming.offer is None or incoming.begun:
            channel.close()
        elif not self._ticket_holds(incoming.offer, message):
            self._forget(incoming)
            self._suspect(channel, incoming.offer, b"ticket")
        else:
            self._name(incoming, Recipient(message.forward_path, message.counted, message.options))

    def _name(self, incoming: Incoming, recipient: Recipient) -> None:
        """One more, if there is room for it: in the envelope, and in memory."""
        octets = RECIPIENT_OCTETS + len(recipient.forward_path) + len(recipient.counted) + len(recipient.options)
        if len(incoming.recipients) >= MAX_RECIPIENTS or incoming.named + octets > MAX_ENVELOPE:
            self._decline(incoming, TOO_MANY)
            return
        while self._named + octets > MAX_NAMED:
            # Not whoever comes now: some who name all they can and never end would keep everybody else out.
            longest = max(
                (each for begun in self._open.values() for each in begun.values()), key=lambda each: each.named
            )
            self._decline(longest, TOO_MANY)
            if longest is incoming:
                return
        incoming.recipients.append(recipient)
        incoming.named += octets
        self._named += octets

    def _content(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.Content)
        incoming = self._open[channel].get(message.tag)
        if incoming is None:
            return  # As above.
        incoming.begun = True
        incoming.size += len(message.block)
        if incoming.size > self._max_size:
            self._decline(incoming, TOO_LARGE)
            return
        incoming.blocks.append(message.block)
        incoming.held += len(message.block)
        self._held += len(message.block)
        if incoming.held > SMALL or incoming.descriptor >= 0 or self._held > MAX_HELD:
            try:
                self._spill(incoming)
            except OSError as error:
                self._decline(incoming, self._note_disk(error))
                return
        if message.last:
            del self._open[channel][message.tag]
            self._batch.append(incoming)

    def _withdraw(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.Withdraw)
        incoming = self._open[channel].get(message.tag)
        if incoming is not None:
            self._forget(incoming)

    def _offer_dsn(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.OfferDsn)
        if not self._may_begin(channel, message.tag):
            return
        try:
            whom = self._originals.whom_to_tell(message.queue_id, message.authority, full=message.full)
        except OSError as error:
            channel.send(m.Declined(message.tag, *self._note_disk(error)))
            return
        if whom is None:
            channel.send(m.Declined(message.tag, *NO_TICKET))
            return
        recipient, generation, requires_tls = whom
        self._open[channel][message.tag] = Incoming(
            channel, None, b"", _options_of_dsn(recipient, message.eight_bit, requires_tls), generation, [Recipient(recipient)],
            int(self._clock()), message.tag, message.queue_id,
        )  # fmt: skip

    def _offer_reply(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.OfferReply)
        if not self._may_begin(channel, message.tag):
            return
        try:
            whom = self._originals.whom_to_answer(message.queue_id, message.authority)
        except OSError as error:
            channel.send(m.Declined(message.tag, *self._note_disk(error)))
            return
        if whom is None:
            channel.send(m.Declined(message.tag, *NO_TICKET))
            return
        recipient, requires_tls = whom
        options = _options_of_dsn(recipient, eight_bit=message.utf_8, requires_tls=requires_tls, utf_8=message.utf_8)
        # As of a double bounce nobody is told when it fails: a person wrote none of it, and knows of none of it.
        self._open[channel][message.tag] = Incoming(
            channel, None, b"", options, Generation.DOUBLE_BOUNCE, [Recipient(recipient)], int(self._clock()), message.tag,
            message.queue_id,
        )  # fmt: skip

    def _offer_notice(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.OfferNotice)
        if not self._may_begin(channel, message.tag):
            return
        mailbox, now = message.mailbox, int(self._clock())
        if not notice_authority_holds(self._keys.notice, message.authority, mailbox, message.until, now):
            channel.send(m.Declined(message.tag, *NO_TICKET))
            return
        self._write_to(channel, message, (mailbox, b"postmaster@" + mailbox.rpartition(b"@")[2]))

    def _offer_consent(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.OfferConsent)
        if not self._may_begin(channel, message.tag):
            return
        target, now = message.target, int(self._clock())
        if consent_authority_holds(self._keys.consent, message.authority, target, message.until, now):
            self._write_to(channel, message, (target,))
        else:
            channel.send(m.Declined(message.tag, *NO_TICKET))

    def _offer_report(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.OfferReport)
        if not self._may_begin(channel, message.tag):
            return
        if not _PLAIN_PATH.match(message.recipient):
            channel.close()  # Reporter asks for nobody who could not stand in a header field: it was taken over.
            return
        if self._reports.total >= REPORTS_A_DAY:
            self._refuse(channel, message.tag, ENOUGH_REPORTS)
            return
        self._reports.add(b"")
        self._write_as_ourselves(channel, message.tag, TLS_NOT_REQUIRED, (message.recipient,))

    def _write_to(self, channel: Channel, message: m.OfferNotice | m.OfferConsent, paths: tuple[bytes, ...]) -> None:
        options = _options_of_dsn(paths[0], message.eight_bit, requires_tls=False)
        self._write_as_ourselves(channel, message.tag, options, paths)

    def _write_as_ourselves(self, channel: Channel, tag: int, options: bytes, paths: tuple[bytes, ...]) -> None:
        # As of a double bounce nobody is told when it fails: it can start no correspondence (RFC 3834 2).
        self._open[channel][tag] = Incoming(
            channel, None, b"", options, Generation.DOUBLE_BOUNCE, [Recipient(path) for path in dict.fromkeys(paths)],
            int(self._clock()), tag,
        )  # fmt: skip

    def _original_of(self, channel: Channel, message: m.Message) -> None:
        assert isinstance(message, m.OriginalOf)
        found = self._originals.original(message.queue_id, message.authority, full=message.full)
        channel.send(m.Original(message.tag, *found))

    # --- taking charge

    def waiting(self) -> int:
        """How many messages are complete and wait for the disk."""
        return len(self._batch)

    def commit(self) -> None:
        """Make durable what finished in this burst, then answer."""
        if not self._batch:
            return
        batch, self._batch = self._batch, []
        pairs = [(incoming, self._batched(incoming)) for incoming in batch]
        self._disk.commit([batched for _, batched in pairs])
        taken: list[bytes] = []
        for incoming, batched in pairs:
            self._held -= incoming.held
            self._named -= incoming.named
            if batched.error is not None:
                self._refuse(incoming.channel, incoming.tag, self._note_disk(batched.error))
            else:
                self._took(incoming, batched)
                taken += (batched.queue_id, batched.envelope if len(batched.envelope) <= INLINE_ENVELOPE else b"")
        # After every client has its answer: nobody waits for this one.
        for start in range(0, len(taken), 2 * ANNOUNCED):
            self.peers.tell("scheduler", m.Queued(tuple(taken[start : start + 2 * ANNOUNCED])))

    def _batched(self, incoming: Incoming) -> Batched:
        if not incoming.queue_id:
            incoming.queue_id = self._queue_ids.next()
            incoming.blocks.insert(0, self._received(incoming))
        content = b"".join(incoming.blocks)
        incoming.written += len(content)
        offer = incoming.offer
        envelope = Envelope(
            incoming.arrival, incoming.written, incoming.reverse_path, self._options(incoming),
            offer.session if offer else b"", offer.client if offer else b"",
            incoming.generation, tuple(incoming.recipients),
        )  # fmt: skip
        return Batched(incoming.queue_id, render(envelope), content, incoming.descriptor)

    def _options(self, incoming: Incoming) -> bytes:
        """Those of MAIL, and for which recipients the message was here before."""
        if not incoming.marks:
            return incoming.options
        numbers = [
            b"%d" % number for number, recipient in enumerate(incoming.recipients)
            if passing_mark(self._mark_key, recipient.forward_path) in incoming.marks
        ]  # fmt: skip
        return (incoming.options + b" " + PASSED + b",".join(numbers)).strip() if numbers else incoming.options

    def _took(self, incoming: Incoming, batched: Batched) -> None:
        queue_id = batched.queue_id
        try:
            incoming.channel.send(m.Taken(incoming.tag, queue_id))
        except ChannelClosed:
            # It may have heard us or not, so the message stays: twice is better than never.
            self.peers.event("client-unanswered", queue_id=queue_id)
        for recipient in incoming.recipients[:MAX_RESERVED]:
            if recipient.counted:
                self.peers.tell("ledger", m.Reserve(queue_id, recipient.counted, incoming.written))
        self._tell_journal(incoming, queue_id)

    def _tell_journal(self, incoming: Incoming, queue_id: bytes) -> None:
        offer, forward_path = incoming.offer, incoming.recipients[0].forward_path
        if offer is None:
            self.peers.event(
                "queued", queue_id=queue_id, original_queue_id=incoming.original, forward_path=forward_path,
                size=incoming.size,
            )  # fmt: skip
            return
        self.peers.event(
            "accepted", queue_id=queue_id, session=offer.session, client=offer.client,
            reverse_path=incoming.reverse_path, forward_path=forward_path, recipients=len(incoming.recipients),
            size=incoming.size,
        )  # fmt: skip

    def _spill(self, incoming: Incoming) -> None:
        """Move what is held of a large message into its file.

        Raises:
            OSError: the disk refuses.
        """
        if incoming.descriptor < 0:
            incoming.queue_id = self._queue_ids.next()
            incoming.descriptor = self._disk.content.create(incoming.queue_id)
            incoming.blocks.insert(0, self._received(incoming))
        octets = b"".join(incoming.blocks)
        write_all(incoming.descriptor, octets)
        incoming.written += len(octets)
        self._held -= incoming.held
        incoming.held = 0
        incoming.blocks.clear()

    def _received(self, incoming: Incoming) -> bytes:
        forward_path = incoming.recipients[0].forward_path if len(incoming.recipients) == 1 else b""
        offer = incoming.offer
        if offer is None:
            return received_from_ourselves(
                host=self._host, queue_id=incoming.queue_id, forward_path=forward_path, moment=incoming.arrival
            )
        return received_field(
            helo=offer.helo, client=offer.client, host=self._host, protocol=offer.protocol,
            queue_id=incoming.queue_id, forward_path=forward_path, moment=incoming.arrival, tls=offer.tls,
            mark=passing_mark(self._mark_key, forward_path) if forward_path else b"",
        )  # fmt: skip

    # --- refusing

    def _may_begin(self, channel: Channel, tag: int) -> bool:
        opened = self._open[channel]
        if tag in opened:
            channel.close()
            return False
        # A cell has one conversation, and that one message at a time: more would only cost others our descriptors.
        if len(opened) >= (1 if channel.session else MAX_OPEN):
            self._refuse(channel, tag, BUSY)
            return False
        if not self._room.enough():
            self._refuse(channel, tag, DISK_FULL)
            return False
        return True

    def _ticket_holds(self, offer: m.Offer, recipient: m.Offer | m.OfferRecipient) -> bool:
        return ticket_holds(
            self._keys.ticket, recipient.ticket, offer.session, offer.reverse_path, recipient.forward_path,
            recipient.counted, recipient.expiry, int(self._clock()),
        )  # fmt: skip

    def _login_holds(self, offer: m.Offer) -> bool:
        """What stands in the envelope about who submitted it is believed by scheduler and directory."""
        now = int(self._clock())
        return login_ticket_holds(
            self._keys.ticket, offer.login, offer.session, offer.identity, offer.login_expiry, now
        )

    def _suspect(self, channel: Channel, offer: m.Offer, what: bytes) -> None:
        """An smtpd that follows the protocol cannot come here but with an expired ticket: the journal hears of it."""
        self.peers.event("proof-refused", what=what, session=offer.session, client=offer.client)
        self._refuse(channel, offer.tag, NO_TICKET)

    def _decline(self, incoming: Incoming, why: Refusal) -> None:
        self._forget(incoming)
        self._refuse(incoming.channel, incoming.tag, why)

    def _refuse(self, channel: Channel, tag: int, why: Refusal) -> None:
        with contextlib.suppress(ChannelClosed):  # Then nobody waits; and a batch has others to answer.
            channel.send(m.Declined(tag, *why))

    def _note_disk(self, error: OSError) -> Refusal:
        self.peers.event("disk-refused", error=error.strerror or "?")
        return refusal(error)

    def _forget(self, incoming: Incoming) -> None:
        del self._open[incoming.channel][incoming.tag]
        self._drop(incoming)

    def _drop(self, incoming: Incoming) -> None:
        self._held -= incoming.held
        self._named -= incoming.named
        if incoming.descriptor >= 0:
            os.close(incoming.descriptor)
            incoming.descriptor = -1
            self._disk.discard(incoming.queue_id)


def _options_of_dsn(recipient: bytes, eight_bit: bool, requires_tls: bool, *, utf_8: bool = False) -> bytes:
    """What MAIL must declare for our own notification, should it leave this host (RFC 6152, RFC 6531 3.4, RFC 8689 5)."""
    is_utf_8 = utf_8 or not recipient.isascii()
    needed = {b"BODY=8BITMIME": eight_bit, b"SMTPUTF8": is_utf_8, b"REQUIRETLS": requires_tls}
    return b" ".join(option for option, is_needed in needed.items() if is_needed)


def _marks_in(options: bytes) -> frozenset[bytes]:
    """What smtpd found in the header section."""
    found = next((option for option in options.split() if option.startswith(PASSED)), PASSED)
    return frozenset(found.removeprefix(PASSED).split(b",")[:MAX_MARKS]) - {b""}


def _without_marks(options: bytes) -> bytes:
    return b" ".join(option for option in options.split() if not option.upper().startswith(PASSED))
