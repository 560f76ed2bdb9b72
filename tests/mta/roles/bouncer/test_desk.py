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
    """An enqueuer that is there or not."""

    def __init__(self):
        self.there, self.asked = True, []

    def tell(self, peer, message):
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
