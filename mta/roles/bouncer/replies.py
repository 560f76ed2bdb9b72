"""Autoreplies: what a mailbox answers to a message that it got, from the header that is answered to the signed answer.

A reader would otherwise get wrong: each request ends in one `Replied`, whatever happens, and never in a second attempt. The
message waits in the queue for it; and an answer that is missing does less harm than one too many.
"""

import hashlib
import itertools
import time
from collections.abc import Callable

from mta.message.autoreply import Answer, addressees, can_write, compose_answer, reason_against
from mta.message.glance import Header, read_header
from mta.record import dataclass
from mta.roles.bouncer.reading import MAX_HEADER
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.control import Peers

FIRST_TAG = 1 << 49  # Of those below are the scheduler's and the notices'.
MAX_WAITING = 200
BLOCK = 32 * 1024


@dataclass(slots=True)
class _Waiting:
    channel: Channel
    reply: m.Reply
    header: Header | None = None
    letter: tuple[bytes, bytes] | None = None  # header section and body, when only a signature is missing
    utf_8: bool = False


class Replies:
    """All answers in the making."""

    peers: Peers

    def __init__(self, host: bytes, clock: Callable[[], float] = time.time) -> None:
        self._host, self._clock = host, clock
        self._tags = itertools.count(FIRST_TAG)
        self._waiting: dict[int, _Waiting] = {}
        self.has_signer = False  # this house has one: without its signature nothing goes out

    def take(self, channel: Channel, reply: m.Reply) -> None:
        """The scheduler's request."""
        if len(self._waiting) >= MAX_WAITING:
            self._tell(channel, reply, b"busy")
            return
        tag = next(self._tags)
        self._waiting[tag] = _Waiting(channel, reply)
        if not self.peers.tell("enqueuer", m.OriginalOf(tag, reply.queue_id, reply.authority, False)):
            self.finish(tag, b"enqueuer-away")

    def met_original(self, message: m.Original) -> None:
        """The header section of what is to be answered."""
        waiting = self._waiting.get(message.tag)
        if waiting is None or waiting.header is not None:
            return
        reply, header = waiting.reply, read_header(message.octets, is_whole=len(message.octets) < MAX_HEADER)
        waiting.header = header
        why = reason_against(header, reply.reverse_path)
        whom = () if why else tuple(addressees(header))
        if why or not whom:
            self.finish(message.tag, why or b"not-addressed")
            return
        question = m.ReplyOf(message.tag, reply.queue_id, reply.mailbox, reply.reverse_path, reply.proof, whom)
        if not self.peers.tell("directory", question):
            self.finish(message.tag, b"directory-away")

    def met_words(self, words: m.ReplyWords) -> None:
        """What the mailbox answers, or that it does not."""
        waiting = self._waiting.get(words.tag)
        if waiting is None or waiting.header is None or waiting.letter is not None:
            return
        if words.word != b"yes" or not can_write(words.address):
            self.finish(words.tag, words.word if words.word != b"yes" else b"address")
            return
        reply = waiting.reply
        answer = Answer(
            self._host, reply.queue_id, words.address, words.name, reply.reverse_path, words.subject, words.text,
            int(self._clock()),
        )  # fmt: skip
        head, body = waiting.letter = compose_answer(answer, waiting.header)
        waiting.utf_8 = not head.isascii()
        if not self.has_signer:
            self._offer(words.tag, waiting, b"")
            return
        digest = hashlib.sha256(body).digest()
        request = m.SignReply(words.tag, reply.queue_id, words.address, words.until, words.ticket, digest, head)
        if not self.peers.tell("signer", request):
            self.finish(words.tag, b"signer-away")

    def met_signer(self, signed: m.Signed) -> None:
        """Signatures, or the word that the domain has no key; anything else, and it is not sent."""
        waiting = self._waiting.get(signed.tag)
        if waiting is None or waiting.letter is None:
            return
        if signed.word in (b"signed", b"none"):
            self._offer(signed.tag, waiting, signed.fields)
        else:
            self.finish(signed.tag, b"not-signed")

    def _offer(self, tag: int, waiting: _Waiting, signatures: bytes) -> None:
        assert waiting.letter is not None
        head, body = waiting.letter
        content = signatures + head + b"\r\n" + body
        requests: list[m.Message] = [m.OfferReply(tag, waiting.reply.queue_id, waiting.reply.authority, waiting.utf_8)]
        requests += [
            m.Content(tag, start + BLOCK >= len(content), content[start : start + BLOCK])
            for start in range(0, len(content), BLOCK)
        ]
        if not all(self.peers.tell("enqueuer", request) for request in requests):
            self.finish(tag, b"enqueuer-away")

    def finish(self, tag: int, why: bytes = b"") -> None:
        """The answer is queued; or, for a reason *why*, there is none."""
        waiting = self._waiting.pop(tag, None)
        if waiting is not None:
            self._tell(waiting.channel, waiting.reply, why)

    def _tell(self, channel: Channel, reply: m.Reply, why: bytes) -> None:
        told: dict[str, bytes] = {"why": why} if why else {}
        self.peers.event(
            "reply-withheld" if why else "replied", queue_id=reply.queue_id, final_recipient=reply.mailbox,
            reverse_path=reply.reverse_path, **told,
        )  # fmt: skip
        if channel.closed:
            return
        try:
            channel.send(m.Replied(reply.tag))
        except ChannelClosed:
            return  # The next scheduler finds the message delivered, and asks no more.

    def lost(self, channel: Channel) -> None:
        """Whom we had asked something ended, or who had asked us."""
        for tag, waiting in list(self._waiting.items()):
            if waiting.channel is channel:
                del self._waiting[tag]
            elif channel.peer in ("enqueuer", "directory", "signer"):
                self.finish(tag, channel.peer.encode() + b"-away")
