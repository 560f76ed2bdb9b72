"""Autoreplies at the scheduler: asked for once, when the mailbox has the message, which waits for it and does not fail by it."""

import pytest

from mta.roles.scheduler.replying import MAX_ASKED
from mta.wire import messages as m
from tests.mta.roles.scheduler._rig import Rig, envelope_of

BOB = b"bob@example.test"


@pytest.fixture
def rig():
    rig = Rig()
    rig.answering[BOB] = (b"bob@example.test", b"proof")
    return rig


def test_who_has_the_message_and_answers_is_asked_to_with_all_that_proves_it(rig):
    queue_id = rig.accept(envelope=envelope_of(BOB))
    rig.run()
    (reply,) = rig.replies
    assert reply == m.Reply(reply.tag, queue_id, b"header authority of " + queue_id, BOB, b"a@client.test", b"proof")
    assert rig.hands.envelopes == {}


def test_two_addresses_of_one_mailbox_are_answered_once(rig):
    rig.expansions[b"info@example.test"] = [BOB]
    rig.accept(envelope=envelope_of(BOB, b"info@example.test"))
    rig.run()
    assert len(rig.replies) == 1


def test_what_is_not_delivered_is_not_answered_until_it_is(rig):
    rig.outcomes[BOB] = (b"delayed", b"4.2.2")
    rig.accept(envelope=envelope_of(BOB))
    rig.run()
    assert rig.replies == []
    del rig.outcomes[BOB]
    rig.later(4000)
    assert len(rig.replies) == 1


def test_what_was_delivered_before_is_not_answered_again_when_the_message_is_tried_for_others(rig):
    rig.outcomes[b"ann@example.test"] = (b"delayed", b"4.2.2")
    rig.accept(envelope=envelope_of(BOB, b"ann@example.test"))
    rig.run()
    rig.later(4000)
    assert len(rig.replies) == 1


def test_the_message_waits_for_the_answer_and_is_through_when_the_bouncer_ends(rig):
    """Its header must still be there; but nobody is asked a second time."""
    rig.silent.add("bouncer")
    rig.accept(envelope=envelope_of(BOB))
    rig.run()
    assert len(rig.hands.envelopes) == 1
    rig.queue.lost("bouncer", rig.now)
    rig.run()
    assert rig.hands.envelopes == {}
    assert rig.replies == []


def test_without_bouncer_or_with_too_many_at_once_there_is_no_answer_and_the_mail_is_through(rig):
    rig.hands.away.add("bouncer")
    rig.accept(envelope=envelope_of(BOB))
    rig.run()
    assert rig.hands.envelopes == {}
    rig.hands.away.clear()
    rig.silent.add("bouncer")
    for number in range(2, MAX_ASKED + 4):
        rig.accept(number, envelope_of(BOB))
    rig.run()
    assert len(rig.hands.envelopes) == MAX_ASKED
    assert [pairs["why"] for name, pairs in rig.hands.events if name == "reply-withheld"] == ["busy"] * 3


def test_an_answer_that_nobody_waits_for_is_passed_over(rig):
    rig.queue.replied(m.Replied(77), rig.now)
    rig.accept(envelope=envelope_of(BOB))
    rig.run()
    assert len(rig.replies) == 1
