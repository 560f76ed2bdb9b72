"""The judgement of submitter, from a message's first recipient to the enqueuer's word on it.

A reader would otherwise get wrong: there is no timer for the whole. Submissiond withdraws what takes too long, and a question
to authenticator or signer that is not answered in time ends by itself. So each message has one end: answered, withdrawn, or
its submissiond gone.
"""

import collections
import contextlib
import os
import time
from collections.abc import Callable, Iterator

from mta.message.dkim.canonical import split_fields
from mta.record import dataclass, field
from mta.relaying import user_of
from mta.roles.submitter.draft import Draft, NotSubmittable, Refusal, examine, mend
from mta.roles.submitter.holding import Holding
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers

MAX_HELD = 512 << 20  # octets of content in memory; the roster gives us twice as much
MAX_HELD_OF_ONE = 128 << 20  # of one user's messages, beside his first
MAX_OPEN = 2000  # messages that one submissiond may have begun
MAX_RECIPIENTS = 10_000  # of a message: as many as a setting may ask for
RECIPIENT_OCTETS = 300  # what one costs in memory besides its words
FEW_PACKETS = 8  # that wait for the enqueuer; what is behind them is held once and not twice
ASK_SECONDS = 30.0

BUSY: Refusal = (452, b"4.3.1", b"Too much mail at this moment; try again in a minute")
TOO_MANY: Refusal = (452, b"4.5.3", b"Too many recipients")
TRY_LATER: Refusal = (451, b"4.3.0", b"Cannot tell at the moment; try again later")
NOT_LOGGED_IN: Refusal = (530, b"5.7.0", b"Log in first")


@dataclass(slots=True, eq=False)
class Submission:
    """A message that somebody submits."""

    channel: Channel
    offer: m.Offer
    holding: Holding
    recipients: list[m.OfferRecipient] = field(default_factory=list)
    named: int = 0  # octets of recipients
    held: int = 0  # octets, as they are counted in all
    whole: bool = False  # its content has come
    gone: bool = False  # answered, or nobody waits: what comes late of it is dropped
    enqueuer: Channel | None = None
    tag: int = 0  # under which the enqueuer knows it
    packets: Iterator[m.Message] | None = None  # what the enqueuer has yet to be told
    signatures: int = 0


class Desk:
    """All messages that are being submitted. `peers` must be set before the first."""

    peers: Peers

    def __init__(
        self, asking: Asking, *, host: bytes, max_message_size: int, clock: Callable[[], float] = time.time,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:  # fmt: skip
        self._asking, self._host, self._clock, self._random = asking, host, clock, random
        self._most = min(max_message_size, MAX_HELD)
        self._open: dict[Channel, dict[int, Submission]] = collections.defaultdict(dict)
        self._offered: dict[int, Submission] = {}
        self._held = 0
        self._held_of: collections.Counter[bytes] = collections.Counter()
        self._tag = 0

    # --- submissiond

    def take(self, channel: Channel, packet: Packet) -> None:
        """One request of a submissiond."""
        match packet[0]:
            case m.Offer() as offer:
                self._begin(channel, offer)
            case m.OfferRecipient() as recipient:
                self._name(channel, recipient)
            case m.Content() as content:
                self._content(channel, content)
            case m.Withdraw(tag):
                submission = self._open[channel].get(tag)
                if submission is not None:
                    self._forget(submission)

    def lost(self, channel: Channel) -> None:
        """A submissiond's messages go with it; what waits for enqueuer, authenticator or signer is told to try later."""
        for submission in list(self._open.pop(channel, {}).values()):
            self._forget(submission)
        if channel.peer == "enqueuer":
            for submission in [each for each in self._offered.values() if each.enqueuer is channel]:
                self._refuse(submission, TRY_LATER)
        else:
            self._asking.lost(channel.peer)

    def _begin(self, channel: Channel, offer: m.Offer) -> None:
        opened = self._open[channel]
        if offer.tag in opened:
            channel.close()
            return
        submission = Submission(channel, offer, Holding(self._most), named=_weight(offer))
        opened[offer.tag] = submission
        self._count(submission)
        # A conversation has one message at a time, so a cell has; more would only take the room of others.
        if len(opened) > (1 if channel.session else MAX_OPEN):
            self._refuse(submission, BUSY)
        elif not offer.identity and user_of(offer.client) is None:
            # Without a log-in only programs of this machine send; for anybody else it would be a way around who may be author.
            self._refuse(submission, NOT_LOGGED_IN)
        else:
            self._keep_within(submission)

    def _name(self, channel: Channel, recipient: m.OfferRecipient) -> None:
        submission = self._open[channel].get(recipient.tag)
        if submission is None:
            return  # Refused already; the peer had not heard it.
        submission.recipients.append(recipient)
        submission.named += (
            RECIPIENT_OCTETS + len(recipient.forward_path) + len(recipient.counted) + len(recipient.options)
        )
        self._count(submission)
        if len(submission.recipients) >= MAX_RECIPIENTS:
            self._refuse(submission, TOO_MANY)
        else:
            self._keep_within(submission)

    def _content(self, channel: Channel, content: m.Content) -> None:
        submission = self._open[channel].get(content.tag)
        if submission is None:
            return  # As above.
        if submission.whole:
            channel.close()
            return
        try:
            submission.holding.take(content.block)
            self._count(submission)
            self._keep_within(submission)
            if content.last and not submission.gone:
                submission.whole = True
                self._examine(submission)
        except NotSubmittable as refused:
            self._refuse(submission, refused.refusal)

    def _keep_within(self, submission: Submission) -> None:
        """One message of a user always, of each user; but never more than there is memory for."""
        if self._held_of[submission.offer.identity] - submission.held > MAX_HELD_OF_ONE:
            self._refuse(submission, BUSY)
        while self._held > MAX_HELD:
            # Not whoever comes now: a submissiond that was taken over makes up users, and would keep those of others out.
            greediest = max(self._open.values(), key=lambda opened: sum(each.held for each in opened.values()))
            self._refuse(max(greediest.values(), key=lambda each: each.held), BUSY)

    # --- what must be known before it goes

    def _examine(self, submission: Submission) -> None:
        body_hash = submission.holding.finish()
        draft = examine(submission.holding.header)
        identity = submission.offer.identity
        draft = mend(draft, host=self._host, moment=int(self._clock()), identity=identity, random=self._random(8))
        if identity:
            # The reverse-path too: submissiond has asked about it, and could say that it had.
            used = dict.fromkeys((*draft.used, submission.offer.reverse_path))
            self._check_use(submission, draft, body_hash, None, list(used))
        else:
            # A program on this machine: it says whatever author it likes, as it could on port 25, and in nobody's name is
            # that signed. That it may send at all is what the recipients' tickets say.
            self._pass_on(submission, draft, b"")

    def _check_use(
        self, submission: Submission, draft: Draft, body_hash: bytes, first: m.Using | None, left: list[bytes]
    ) -> None:
        """Ask for each address in *left*; then have it signed with what was said of the *first*."""
        if not left:
            assert first is not None
            self._sign(submission, draft, body_hash, first)
            return
        address, *others = left
        offer = submission.offer

        def hear(answer: m.Message | None) -> None:
            if submission.gone:
                return
            if not isinstance(answer, m.Using):
                self._refuse(submission, TRY_LATER)
            elif not answer.yes:
                self._refuse_author(submission, address, answer.rule)
            else:
                self._check_use(submission, draft, body_hash, first or answer, others)

        self._ask(
            submission, "authenticator", hear,
            lambda tag: m.MayUse(tag, offer.session, offer.identity, offer.login_expiry, offer.login, address),
        )  # fmt: skip

    def _refuse_author(self, submission: Submission, address: bytes, rule: bytes) -> None:
        offer = submission.offer
        self.peers.event(
            "author-refused",
            session=offer.session,
            client=offer.client,
            identity=offer.identity,
            author=address,
            rule=rule,
        )
        # Another server's words for its own user: they are cut to what a reply may hold by who sends it.
        self._refuse(submission, (550, b"5.7.1", b"You may not write as %b: %b" % (address[:254], rule[:600])))

    def _sign(self, submission: Submission, draft: Draft, body_hash: bytes, using: m.Using) -> None:
        if len(draft.authors) > 1:
            # What is signed says who wrote it, and a ticket covers one address. Nobody signs for two (RFC 7489 6.6.1).
            self._pass_on(submission, draft, b"")
            return
        offer = submission.offer

        def hear(answer: m.Message | None) -> None:
            if submission.gone:
                return
            if isinstance(answer, m.Signed) and answer.word in (b"signed", b"none"):
                self._pass_on(submission, draft, answer.fields)
            else:
                self._refuse(submission, TRY_LATER)

        self._ask(
            submission, "signer", hear,
            lambda tag: m.Sign(
                tag, offer.session, offer.identity, draft.authors[0], using.until, using.sender_ticket, body_hash, draft.signable
            ),
        )  # fmt: skip

    def _ask(
        self,
        submission: Submission,
        peer: str,
        hear: Callable[[m.Message | None], None],
        make: Callable[[int], m.Message],
    ) -> None:
        if not self._asking.ask(peer, make, ASK_SECONDS, hear):
            self._refuse(submission, TRY_LATER)

    # --- to the enqueuer

    def _pass_on(self, submission: Submission, draft: Draft, signature: bytes) -> None:
        """Offer it to the enqueuer under a tag of ours."""
        enqueuer = self.peers.to("enqueuer")
        if enqueuer is None:
            self._refuse(submission, TRY_LATER)
            return
        self._tag += 1
        submission.tag, submission.enqueuer = self._tag, enqueuer
        submission.signatures = len(split_fields(signature))
        submission.packets = _packets(submission, signature + b"".join(draft.fields))
        self._offered[submission.tag] = submission
        self.pump()

    def pump(self) -> None:
        """Send on what the enqueuer has room for; called whenever something happened."""
        for submission in list(self._offered.values()):
            enqueuer = submission.enqueuer
            while submission.packets is not None and enqueuer is not None and enqueuer.backlog < FEW_PACKETS:
                packet = next(submission.packets, None)
                if packet is None:
                    submission.packets = None
                    break
                _say(enqueuer, packet)
                self._count(submission)

    def hear_enqueuer(self, channel: Channel, packet: Packet) -> None:
        """It is taken, or not."""
        answer = packet[0]
        assert isinstance(answer, m.Taken | m.Declined)
        submission = self._offered.get(answer.tag)
        if submission is None or submission.enqueuer is not channel:
            return  # Withdrawn meanwhile.
        del self._offered[answer.tag]
        if isinstance(answer, m.Declined):
            self._refuse(submission, (answer.reply_code, answer.status, answer.text))
            return
        offer = submission.offer
        self.peers.event(
            "submitted", session=offer.session, client=offer.client, identity=offer.identity, queue_id=answer.queue_id,
            signatures=submission.signatures,
        )  # fmt: skip
        self._forget(submission)
        _say(submission.channel, m.Taken(offer.tag, answer.queue_id))

    # --- its end

    def _refuse(self, submission: Submission, why: Refusal) -> None:
        self._forget(submission)
        _say(submission.channel, m.Declined(submission.offer.tag, *why))

    def _forget(self, submission: Submission) -> None:
        submission.gone = True
        self._open.get(submission.channel, {}).pop(submission.offer.tag, None)  # its channel may be forgotten already
        if self._offered.pop(submission.tag, None) is not None and submission.enqueuer is not None:
            _say(submission.enqueuer, m.Withdraw(submission.tag))
        submission.packets, submission.holding, submission.named = None, Holding(0), 0
        submission.recipients.clear()
        self._count(submission)

    def _count(self, submission: Submission) -> None:
        """Note how much of it is held now."""
        identity = submission.offer.identity
        difference = submission.holding.octets + submission.named - submission.held
        submission.held += difference
        self._held += difference
        self._held_of[identity] += difference
        if not self._held_of[identity]:
            del self._held_of[identity]


def _weight(offer: m.Offer) -> int:
    """What an offer costs in memory."""
    return RECIPIENT_OCTETS + sum(
        map(
            len, (offer.helo, offer.options, offer.reverse_path, offer.forward_path, offer.recipient_options, offer.tls)
        )
    )


def _packets(submission: Submission, fields: bytes) -> Iterator[m.Message]:
    """What the enqueuer is told, with *fields* as the header; made one after the other, as it reads."""
    tag = submission.tag
    yield submission.offer.but(tag=tag)
    for recipient in submission.recipients:
        yield recipient.but(tag=tag)
    blocks = submission.holding.blocks(fields)
    block = next(blocks)
    for following in blocks:
        yield m.Content(tag, last=False, block=block)
        block = following
    yield m.Content(tag, last=True, block=block)


def _say(channel: Channel, message: m.Message) -> None:
    with contextlib.suppress(ChannelClosed):  # Then nobody waits, or `lost` tells who does.
        channel.send(message)
