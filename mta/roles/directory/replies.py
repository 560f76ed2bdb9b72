"""Autoreplies, as far as the snapshot and the ledger know: which mailbox has one now, whom it may answer, in which words.

A reader would otherwise get wrong: the bouncer, which asks, has read a stranger's header, and is believed in nothing that
matters. That the message came for this mailbox our own proof says; to whom the message was written it may invent, and gets
with that an answer to whoever wrote it, which is all that it could have had anyway.
"""

import hashlib
import time
from collections.abc import Callable

from mta.message.quoted_body import body_of
from mta.record import dataclass, replace
from mta.roles.directory.doors import Origin
from mta.roles.directory.resolve import Final, Resolver
from mta.roles.directory.senders import Sender, Senders
from mta.snapshot.records import ADDRESS, AUTOREPLY, Autoreply, Mailbox, Record, unpack_record
from mta.vocabulary import Word
from mta.wire import messages as m
from mta.wire import tickets
from mta.wire.asking import Asking, Hear
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.netstring import pack

LEDGER_SECONDS = 5.0  # nobody waits but a message that is delivered
DIGEST_OCTETS = 16

Get = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a mailbox answers, as it stood when it was asked for."""

    sender: Sender
    address: bytes  # as its owner wrote it
    autoreply: Autoreply


class Replies:
    """Looks up with *get*; every method may raise what that raises, and RecordError."""

    def __init__(
        self, get: Get, resolver: Resolver, senders: Senders, asking: Asking, key: bytes, clock: Callable[[], float] = time.time
    ) -> None:  # fmt: skip
        """*key*: the ticket key. *clock* gives seconds since 1970."""
        self._get, self._resolver, self._senders, self._asking = get, resolver, senders, asking
        self._key, self._clock = key, clock

    def of(self, question: m.Expand, end: Final) -> tuple[bytes, bytes]:
        """The address key of the mailbox *end* when it answers this message, if its header allows, and the proof; or nothing."""
        if not question.sender or question.identity == end.key or self._autoreply(end.key) is None:
            return b"", b""
        return end.key, tickets.reply_proof(self._key, question.queue_id, end.key, question.sender)

    def asked(self, channel: Channel, question: m.ReplyOf) -> None:
        """What does the mailbox answer?"""
        answer = self._judge(question)
        if isinstance(answer, bytes):
            _say(channel, _no(question, answer))
            return

        def heard(memory: m.Message | None) -> None:
            if isinstance(memory, m.Answering) and memory.yes:
                self._spend(channel, question, answer)
            else:
                is_known = isinstance(memory, m.Answering)
                _say(channel, _no(question, b"answered-before" if is_known else b"ledger-away"))

        whom = pack([question.mailbox, question.reverse_path.lower()])
        digest = hashlib.blake2b(whom, digest_size=DIGEST_OCTETS).digest()
        if not self._ask(lambda tag: m.MayAnswer(tag, digest, question.queue_id), heard):
            heard(None)

    def _judge(self, question: m.ReplyOf) -> _Answer | bytes:  # noqa: PLR0911 - one for each reason
        """The answer, or in a word why there is none."""
        key, path = question.mailbox, question.reverse_path
        if not tickets.reply_proof_holds(self._key, question.proof, question.queue_id, key, path):
            return b"refused"
        autoreply, mailbox = self._autoreply(key), self._record(ADDRESS + key)
        if autoreply is None or not isinstance(mailbox, Mailbox):
            return b"gone"
        if not self._resolver.leads_to(question.addressees, key):
            return b"not-addressed"
        if self._resolver.leads_to((path,), key):
            return b"own"
        sender = self._senders.find(key)
        if sender is None or sender.braked:
            return b"suspended"
        if not self._resolver.lets_out(Origin(key, key), path):
            return b"stays-inside"
        return _Answer(sender, mailbox.address, autoreply)

    def _spend(self, channel: Channel, question: m.ReplyOf, answer: _Answer) -> None:
        """It counts as what its owner sends; but whom he did not choose is nothing unusual for him."""

        def heard(spent: m.Message | None) -> None:
            word = self._senders.heed(answer.sender, spent)
            _say(channel, self._words(question, answer) if word is Word.ACCEPT else _no(question, word.value))

        spender = replace(answer.sender, brake=False)
        if not self._ask(lambda tag: spender.spend(tag, question.reverse_path), heard):
            heard(None)

    def _ask(self, make: Callable[[int], m.Message], hear: Hear) -> bool:
        return self._asking.ask("ledger", make, LEDGER_SECONDS, hear)

    def _words(self, question: m.ReplyOf, answer: _Answer) -> m.ReplyWords:
        said, until = answer.autoreply, int(self._clock()) + tickets.ANSWER_SECONDS
        digest = hashlib.sha256(body_of(said.text)).digest()
        ticket = tickets.answer_ticket(self._key, question.queue_id, answer.address, digest, until)
        return m.ReplyWords(question.tag, b"yes", answer.address, said.name, said.subject, said.text, until, ticket)

    def _autoreply(self, key: bytes) -> Autoreply | None:
        record = self._record(AUTOREPLY + key)
        return record if isinstance(record, Autoreply) and record.holds(self._clock()) else None

    def _record(self, key: bytes) -> Record | None:
        octets = self._get(key)
        return None if octets is None else unpack_record(octets)


def nothing(question: m.ReplyOf) -> m.ReplyWords:
    """The answer where the snapshot cannot be read."""
    return _no(question, b"no-snapshot")


def _no(question: m.ReplyOf, why: bytes) -> m.ReplyWords:
    return m.ReplyWords(question.tag, why, b"", b"", b"", b"", 0, b"")


def _say(channel: Channel, words: m.ReplyWords) -> None:
    try:
        channel.send(words)
    except ChannelClosed:
        return  # The bouncer is gone, and the message with it: nobody is answered.
