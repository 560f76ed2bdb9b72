"""Bouncer: what it asks of whom, and when it says done."""

import email

import pytest

from mta.roles.bouncer.desk import BLOCK, MAX_REPORTED, Desk
from mta.wire import messages as m

ID = b"0006500000000000abcd"


def _bounce(queue_id, recipients):
    return m.Bounce(2, queue_id, b"", False, False, b"", b"", 0, recipients)


class Wire:
    """A channel that remembers."""

    def __init__(self, peer):
        self.peer, self.closed, self.said = peer, False, []

    def send(self, message):
        self.said.append(message)

    def close(self):
        self.closed = True


class Peers:
    """An enqueuer that is there or not, and a directory, as a rule not."""

    def __init__(self):
        self.there, self.asked = True, []
        self.directory = None

    def tell(self, peer, message):
        if peer == "directory":
            if self.directory is not None:
                self.directory.append(message)
            return self.directory is not None
        assert peer == "enqueuer"
        if self.there:
            self.asked.append(message)
        return self.there


class Rig:
    def __init__(self):
        self.desk = Desk(b"mx.test", clock=lambda: 1_800_000_000.0)
        self.desk.peers = self.peers = Peers()
        self.scheduler = Wire("scheduler")

    def bounce(self, tag=1, recipients=1, reverse_path=b"a@client.test", *, full=False, utf_8=False):
        self.desk.take(
            self.scheduler, (m.Bounce(tag, ID, b"authority", full, utf_8, reverse_path, b"", 0, recipients), ())
        )
        for number in range(recipients):
            path = b"r%d@example.test" % number
            self.desk.take(
                self.scheduler, (m.ReportedRecipient(tag, b"", path, path, b"failed", b"5.1.1", b"no", b""), ())
            )

    def answer(self, message):
        self.desk.met_enqueuer(Wire("enqueuer"), (message, ()))

    def tell(self, message):
        self.desk.met_directory(Wire("directory"), (message, ()))

    @property
    def content(self):
        return b"".join(message.block for message in self.peers.asked if isinstance(message, m.Content))


@pytest.fixture
def rig():
    return Rig()


def test_it_asks_for_the_header_with_the_schedulers_authority_and_offers_what_it_composed(rig):
    """OriginalOf, then OfferDsn and the content in blocks, then Bounced once the enqueuer took it."""
    rig.bounce()
    assert rig.peers.asked == [m.OriginalOf(1, ID, b"authority", False)]
    rig.answer(m.Original(1, False, b"Subject: hello\r\n" + b"X: y\r\n" * 6000))
    assert rig.peers.asked[1] == m.OfferDsn(1, ID, b"authority", False, False)
    blocks = rig.peers.asked[2:]
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    assert len(blocks) > 1
    assert all(len(block.block) <= BLOCK for block in blocks)
    message = email.message_from_bytes(rig.content)
    assert message.get_payload()[1].get_payload()[1]["Final-Recipient"] == "rfc822; r0@example.test"
    assert rig.scheduler.said == []
    rig.answer(m.Taken(1, b"f" * 20))
    assert rig.scheduler.said == [m.Bounced(1, True)]


@pytest.mark.parametrize(("reply_code", "done"), [(550, True), (452, False), (451, False)])
def test_a_refusal_for_good_is_done_and_a_deferral_is_not(rig, reply_code, done):
    """What must not be sent must not be asked for again for days."""
    rig.bounce()
    rig.answer(m.Original(1, False, b""))
    rig.answer(m.Declined(1, reply_code, b"", b""))
    assert rig.scheduler.said == [m.Bounced(1, done)]


@pytest.mark.parametrize("when", ["before", "asked", "offered"])
def test_without_enqueuer_it_says_later_at_once(rig, when):
    """Away, or lost with our question or our offer in hand: the scheduler is not left waiting."""
    rig.peers.there = when != "before"
    rig.bounce()
    if when == "offered":
        rig.answer(m.Original(1, False, b""))
    if when != "before":
        rig.desk.lost(Wire("enqueuer"))
    assert rig.scheduler.said == [m.Bounced(1, False)]
    rig.answer(m.Taken(1, b"f" * 20))
    assert rig.scheduler.said == [m.Bounced(1, False)]


def test_many_recipients_are_named_up_to_a_bound_and_then_counted(rig):
    """A notification of ten thousand names would be refused by everybody."""
    rig.bounce(recipients=MAX_REPORTED + 50)
    rig.answer(m.Original(1, False, b""))
    assert rig.content.count(b"Final-Recipient:") == MAX_REPORTED
    assert b"and 50 more" in rig.content


def test_a_scheduler_that_breaks_the_protocol_is_hung_up_on(rig):
    """Too many recipients, a tag in use, none at all, or no queue id."""
    rig.bounce()
    rig.desk.take(rig.scheduler, (m.ReportedRecipient(1, b"", b"x", b"x", b"failed", b"5", b"", b""), ()))
    assert rig.scheduler.closed
    for bad in (_bounce(ID, 0), _bounce(b"../x", 1)):
        wire = Wire("scheduler")
        rig.desk.take(wire, (bad, ()))
        assert wire.closed


def test_a_lost_scheduler_is_forgotten(rig):
    """Nobody waits for an answer, so nothing is kept."""
    rig.bounce()
    rig.desk.lost(rig.scheduler)
    rig.answer(m.Original(1, False, b""))
    assert len(rig.peers.asked) == 1


def test_with_full_it_asks_for_all_and_gives_all_back(rig):
    """RET=FULL: the authority is for the content, and the content is a part of the notification."""
    rig.bounce(full=True)
    assert rig.peers.asked == [m.OriginalOf(1, ID, b"authority", True)]
    rig.answer(m.Original(1, True, b"Subject: hello\r\n\r\nthe body\r\n"))
    assert rig.peers.asked[1] == m.OfferDsn(1, ID, b"authority", True, False)
    part = email.message_from_bytes(rig.content).get_payload()[2]
    assert part.get_content_type() == "message/rfc822"
    assert part.get_payload()[0].get_payload() == "the body\r\n"


def test_a_notification_with_octets_beyond_ascii_is_offered_as_such(rig):
    """Whoever passes it on must know that it takes 8BITMIME."""
    rig.bounce(full=True)
    rig.answer(m.Original(1, True, "Subject: hello\r\n\r\nGrüße\r\n".encode()))
    assert rig.peers.asked[1] == m.OfferDsn(1, ID, b"authority", True, True)


@pytest.mark.parametrize("first", ["original", "language"])
def test_it_is_written_in_the_language_that_the_directory_tells(rig, first):
    """Whichever of the two answers comes first."""
    rig.peers.directory = []
    rig.bounce()
    assert rig.peers.directory == [m.LanguageOf(1, b"a@client.test", b"r0@example.test")]
    answers = [lambda: rig.answer(m.Original(1, False, b"")), lambda: rig.tell(m.Language(1, b"de"))]
    for answer in answers if first == "original" else reversed(answers):
        assert rig.content == b""
        answer()
    assert b"Subject: Ihre Nachricht konnte nicht zugestellt werden\r\n" in rig.content


def test_without_the_directory_it_is_english(rig):
    """Away from the start, or lost with our question in hand; its late answer changes nothing."""
    rig.peers.directory = []
    rig.bounce()
    rig.answer(m.Original(1, False, b""))
    rig.desk.lost(Wire("directory"))
    assert b"Subject: Mail could not be delivered\r\n" in rig.content
    offered = len(rig.peers.asked)
    rig.tell(m.Language(1, b"de"))
    rig.tell(m.Language(77, b"de"))
    assert len(rig.peers.asked) == offered


def test_for_old_tools_a_failure_is_told_as_qmail_told_it(rig):
    """What cannot be told so, is told as always."""
    rig.desk.qsbmf = True
    rig.bounce()
    rig.answer(m.Original(1, False, b"Subject: hello\r\n"))
    assert b"\r\n\r\nHi. This is the " in rig.content
    rig.peers.asked.clear()
    rig.bounce(tag=2, utf_8=True)
    rig.answer(m.Original(2, False, b"Subject: hello\r\n"))
    assert b"multipart/report" in rig.content
