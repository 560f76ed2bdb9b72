"""Notices at the bouncer: what it asks, and when it says done."""

import pytest

from mta.roles.bouncer.notices import FIRST_TAG, MAX_WAITING
from mta.wire import messages as m
from tests.mta.roles.bouncer.test_desk import Rig, Wire

JOE, UNTIL = b"joe@example.test", 1_800_000_600


@pytest.fixture
def rig():
    rig = Rig()
    rig.desk.notices.peers = rig.peers
    rig.ledger = Wire("ledger")
    return rig


def notice(rig, tag=1, mailbox=JOE):
    rig.desk.notices.take(rig.ledger, (m.Notice(tag, mailbox, b"why", UNTIL, b"authority"), ()))


@pytest.mark.parametrize(("language", "words"), [(b"de", b"Postfach"), (b"en", b"mailbox")])
def test_it_is_offered_in_the_language_of_the_mailbox_with_the_ledgers_authority(rig, language, words):
    """And the ledger hears when it is queued, under its own tag."""
    rig.peers.directory = []
    notice(rig, 7)
    assert rig.peers.directory == [m.LanguageOf(FIRST_TAG, JOE, JOE)]
    rig.tell(m.Language(FIRST_TAG, language))
    assert rig.peers.asked[0] == m.OfferNotice(FIRST_TAG, JOE, UNTIL, b"authority", False)
    assert words in rig.content
    rig.tell(m.Language(FIRST_TAG, language))
    assert len(rig.peers.asked) == 2, "once"
    rig.answer(m.Taken(FIRST_TAG, b"0" * 20))
    assert rig.ledger.said == [m.Noticed(7, True)]


@pytest.mark.parametrize(("reply_code", "done"), [(452, False), (550, True)])
def test_a_refusal_for_good_is_done_and_a_deferral_is_not(rig, reply_code, done):
    """As of notifications."""
    notice(rig)
    rig.answer(m.Declined(FIRST_TAG, reply_code, b"x", b"y"))
    assert rig.ledger.said == [m.Noticed(1, done)]


def test_without_enqueuer_it_is_later_and_without_ledger_nothing(rig):
    """Away from the start, lost meanwhile; and nobody left to be told."""
    rig.peers.there = False
    notice(rig, 1)
    rig.peers.there = True
    notice(rig, 2)
    rig.desk.lost(Wire("enqueuer"))
    assert rig.ledger.said == [m.Noticed(1, False), m.Noticed(2, False)]
    notice(rig, 3)
    rig.desk.lost(rig.ledger)
    rig.answer(m.Taken(FIRST_TAG + 2, b"0" * 20))
    assert len(rig.ledger.said) == 2


def test_a_directory_that_is_lost_makes_it_english_and_too_many_wait(rig):
    """A bound, and no waiting for ever."""
    rig.peers.directory = []
    for tag in range(MAX_WAITING + 1):
        notice(rig, tag)
    assert rig.ledger.said == [m.Noticed(MAX_WAITING, False)]
    rig.desk.lost(Wire("directory"))
    assert len(rig.peers.asked) == 2 * MAX_WAITING
    assert b"was stopped" in rig.content


def test_who_asks_for_something_else_is_hung_up_on(rig):
    """The ledger asks for nothing else."""
    rig.desk.notices.take(rig.ledger, (m.Bounced(1, True), ()))
    assert rig.ledger.closed


def test_a_question_for_consent_goes_out_with_the_compilers_authority_in_the_holders_language(rig):
    """And the compiler hears of it in the same words as the ledger does of a notice."""
    compiler, target, link = Wire("compiler"), b"Bob@away.example", b"https://mx.test/consent/7.aa"
    rig.peers.directory = []
    rig.desk.notices.take(compiler, (m.AskConsent(3, target, JOE, link, UNTIL, b"authority"), ()))
    assert rig.peers.directory == [m.LanguageOf(FIRST_TAG, JOE, JOE)]
    rig.tell(m.Language(FIRST_TAG, b"de"))
    assert rig.peers.asked[0] == m.OfferConsent(FIRST_TAG, target, UNTIL, b"authority", False)
    assert link in rig.content
    assert b"weitergeleitet" in rig.content
    rig.answer(m.Taken(FIRST_TAG, b"0" * 20))
    assert compiler.said == [m.Noticed(3, True)]
