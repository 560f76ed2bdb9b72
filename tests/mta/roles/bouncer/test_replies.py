"""Autoreplies at the bouncer: what it asks of whom, when it writes, and that it always says that it is through."""

import email
import hashlib

import pytest

from mta.roles.bouncer.desk import Desk
from mta.roles.bouncer.reading import MAX_HEADER
from mta.roles.bouncer.replies import MAX_WAITING
from mta.wire import messages as m
from tests.mta.roles.bouncer.test_desk import ID, Wire

BOB, ANN = b"bob@here.test", b"ann@away.test"
HEADER = b"From: Ann <ann@away.test>\r\nTo: Bob <bob@here.test>\r\nSubject: hello\r\nMessage-ID: <1@away.test>\r\n"
WORDS = m.ReplyWords(0, b"yes", b"Bob@here.test", b"Bob", b"", b"I am away.", 1_800_000_300, b"ticket")


class Peers:
    def __init__(self):
        self.away, self.said, self.events = set(), [], []

    def tell(self, peer, message):
        if peer in self.away:
            return False
        self.said.append((peer, message))
        return True

    def event(self, name, **pairs):
        self.events.append((name, pairs))


class Rig:
    def __init__(self, *, has_signer=True):
        self.desk = Desk(b"mx.test", clock=lambda: 1_800_000_000.0)
        self.desk.peers = self.peers = Peers()
        self.scheduler = Wire("scheduler")
        if has_signer:
            self.desk.found(Wire("signer"))

    def reply(self, tag=4, reverse_path=ANN):
        self.desk.take(self.scheduler, (m.Reply(tag, ID, b"authority", BOB, reverse_path, b"proof"), ()))

    def hear(self, peer, message):
        """*message* of *peer*, under the tag that the last question had."""
        tag = self.peers.said[-1][1].tag
        getattr(self.desk, f"met_{peer}")(Wire(peer), (message.but(tag=tag), ()))

    def up_to(self, step):
        """As far as before the answer to *step*."""
        self.reply()
        answers = {
            "enqueuer": m.Original(0, False, HEADER),
            "directory": WORDS,
            "signer": m.Signed(0, b"signed", b"DKIM-Signature: x\r\n"),
        }
        for peer, message in answers.items():
            if not self.peers.said or self.peers.said[-1][0] != peer or peer == step:
                return
            self.hear(peer, message)

    @property
    def why(self):
        ((name, pairs),) = self.peers.events
        return pairs.get("why", b"") if name == "reply-withheld" else name

    @property
    def content(self):
        return b"".join(message.block for _, message in self.peers.said if isinstance(message, m.Content))


@pytest.fixture
def rig():
    return Rig()


def test_the_header_the_words_the_signature_and_then_the_answer(rig):
    """Each with what proves that we may: the scheduler's authority, the directory's proof, its ticket."""
    rig.reply()
    tag = rig.peers.said[0][1].tag
    assert rig.peers.said == [("enqueuer", m.OriginalOf(tag, ID, b"authority", False))]
    rig.hear("enqueuer", m.Original(0, False, HEADER))
    assert rig.peers.said[-1] == ("directory", m.ReplyOf(tag, ID, BOB, ANN, b"proof", (BOB,)))
    rig.hear("directory", WORDS)
    peer, sign = rig.peers.said[-1]
    assert (peer, sign.queue_id, sign.address, sign.until, sign.ticket) == (
        "signer",
        ID,
        b"Bob@here.test",
        WORDS.until,
        b"ticket",
    )
    rig.hear("signer", m.Signed(0, b"signed", b"DKIM-Signature: x\r\n"))
    assert rig.peers.said[-2] == ("enqueuer", m.OfferReply(tag, ID, b"authority", False))
    assert rig.scheduler.said == []
    rig.hear("enqueuer", m.Taken(0, b"f" * 20))
    assert rig.scheduler.said == [m.Replied(4)]
    assert rig.peers.events == [("replied", {"queue_id": ID, "final_recipient": BOB, "reverse_path": ANN})]
    assert rig.content == b"DKIM-Signature: x\r\n" + sign.header + b"\r\n" + rig.content.partition(b"\r\n\r\n")[2]
    assert sign.body_hash == hashlib.sha256(rig.content.partition(b"\r\n\r\n")[2]).digest()
    message = email.message_from_bytes(rig.content)
    assert (message["To"], message["Subject"], message.get_payload()) == (
        "<ann@away.test>",
        "Auto: hello",
        "I am away.\r\n",
    )


def test_a_house_without_a_signer_and_a_domain_without_keys_answer_unsigned():
    """As all else that their users send."""
    unsigned = Rig(has_signer=False)
    unsigned.up_to("signer")
    keyless = Rig()
    keyless.up_to("signer")
    keyless.hear("signer", m.Signed(0, b"none", b""))
    for rig in (unsigned, keyless):
        assert rig.content.startswith(b"From: ")
        assert [type(message) for _, message in rig.peers.said[-2:]] == [m.OfferReply, m.Content]


@pytest.mark.parametrize("word", [b"later", b"refused", b"nonsense"])
def test_what_should_be_signed_and_is_not_does_not_go_out(rig, word):
    """Mail that was always signed and suddenly is not looks forged."""
    rig.up_to("signer")
    rig.hear("signer", m.Signed(0, word, b""))
    assert (rig.content, rig.why, rig.scheduler.said) == (b"", b"not-signed", [m.Replied(4)])


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"To: bob@here.test\r\nList-Id: <x>\r\n", b"list"),
        (b"To: bob@here.test\r\nAuto-Submitted: auto-generated\r\n", b"automatic"),
        (b"To: undisclosed-recipients:;\r\n", b"not-addressed"),
        (b"", b"not-addressed"),  # the message is gone, or the authority was none
        (b"To: bob@here.test\r\n" + b"X: " + b"y" * MAX_HEADER, b"cut"),
    ],
)
def test_what_is_not_to_be_answered_is_told_to_nobody_further(rig, header, why):
    rig.reply()
    rig.hear("enqueuer", m.Original(0, False, header[:MAX_HEADER]))
    assert (len(rig.peers.said), rig.why, rig.scheduler.said) == (1, why, [m.Replied(4)])


def test_the_directorys_reason_is_the_reason(rig):
    rig.up_to("directory")
    rig.hear("directory", m.ReplyWords(0, b"answered-before", b"", b"", b"", b"", 0, b""))
    assert (rig.why, rig.scheduler.said) == (b"answered-before", [m.Replied(4)])


def test_a_mailbox_that_cannot_stand_in_a_from_field_does_not_answer(rig):
    rig.up_to("directory")
    rig.hear("directory", WORDS.but(address=b"a b@here.test"))
    assert (rig.why, rig.scheduler.said) == (b"address", [m.Replied(4)])


@pytest.mark.parametrize("peer", ["enqueuer", "directory", "signer"])
@pytest.mark.parametrize("is_lost", [True, False])
def test_whoever_is_away_the_scheduler_hears_at_once_that_there_is_none(rig, peer, is_lost):
    """The message waits for us; and nobody is asked twice."""
    if not is_lost:
        rig.peers.away.add(peer)
    rig.up_to(peer if is_lost else "")
    if is_lost:
        rig.desk.lost(Wire(peer))
    assert (rig.why, rig.scheduler.said) == (peer.encode() + b"-away", [m.Replied(4)])


@pytest.mark.parametrize("reply_code", [452, 550])
def test_a_refusal_of_either_kind_is_the_end(rig, reply_code):
    rig.up_to("none of them")
    rig.hear("enqueuer", m.Declined(0, reply_code, b"", b""))
    assert (rig.why, rig.scheduler.said) == (b"declined", [m.Replied(4)])


def test_more_than_can_be_written_at_once_are_not_written(rig):
    for tag in range(MAX_WAITING + 1):
        rig.reply(tag)
    assert rig.scheduler.said == [m.Replied(MAX_WAITING)]
    assert rig.why == b"busy"


def test_a_lost_scheduler_is_forgotten(rig):
    rig.up_to("directory")
    rig.desk.lost(rig.scheduler)
    said = len(rig.peers.said)
    rig.hear("directory", WORDS)
    assert len(rig.peers.said) == said
    assert rig.scheduler.said == []


def test_a_header_beyond_ascii_is_offered_as_such(rig):
    """RFC 6531: who cannot take it does not get it."""
    rig.up_to("directory")
    rig.hear("directory", WORDS.but(address="jörg@here.test".encode()))
    rig.hear("signer", m.Signed(0, b"none", b""))
    assert rig.peers.said[-2][1].utf_8 is True
