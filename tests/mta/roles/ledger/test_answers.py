"""Whom a mailbox answered by itself: once a week, over restarts, and never more than there is room for."""

import sqlite3

import pytest

from mta import roster
from mta.roles.ledger import __main__ as ledger
from mta.roles.ledger import answers
from mta.roles.ledger.answers import KEPT_SECONDS, Answers
from mta.wire import messages as m
from tests.fakes.house import House

NOW = 1_700_000_000


@pytest.fixture
def database():
    database = sqlite3.connect(":memory:")
    database.executescript(answers.SCHEMA)
    yield database
    database.close()


def test_a_sender_is_answered_once_a_week_also_by_whoever_opens_the_store_next(database):
    kept = Answers(database)
    assert kept.answer(b"ann", b"q1", NOW)
    assert not kept.answer(b"ann", b"q2", NOW + 1)
    assert not Answers(database).answer(b"ann", b"q3", NOW + KEPT_SECONDS - 1)
    assert kept.answer(b"ben", b"q4", NOW + 1)
    assert kept.answer(b"ann", b"q5", NOW + KEPT_SECONDS)


def test_the_same_message_may_be_answered_again(database):
    """Who asked may have ended before he could use the answer; a crash must not cost the one answer of the week."""
    kept = Answers(database)
    assert kept.answer(b"ann", b"q1", NOW)
    assert kept.answer(b"ann", b"q1", NOW + 60)
    assert not kept.answer(b"ann", b"q2", NOW + KEPT_SECONDS - 1)
    assert kept.answer(b"ann", b"q2", NOW + KEPT_SECONDS)


def test_a_clock_that_was_put_back_answers_nobody_twice(database):
    kept = Answers(database)
    assert kept.answer(b"ann", b"q1", NOW)
    assert not kept.answer(b"ann", b"q2", NOW - 30 * 86_400)


def test_without_room_nobody_new_is_answered_until_somebody_is_forgotten(database):
    """Forgetting the oldest instead would let whoever invents senders have the real ones answered again and again."""
    kept = Answers(database, most=2)
    assert kept.answer(b"ann", b"q1", NOW)
    assert kept.answer(b"ben", b"q2", NOW + 10)
    assert not kept.answer(b"eve", b"q3", NOW + 20)
    assert not kept.answer(b"ann", b"q4", NOW + 30)
    assert kept.answer(b"eve", b"q5", NOW + KEPT_SECONDS)
    assert kept.prune(NOW + 2 * KEPT_SECONDS) == 2
    assert database.execute("SELECT count(*) FROM answered").fetchone() == (0,)


def test_the_directory_asks_at_its_channel_and_a_new_ledger_knows(tmp_path):
    """It is on the disk when the role has ended; forgotten only when its week is over."""
    (tmp_path / "ledger").mkdir()
    for yes in (True, False):
        with House(roster.LEDGER, {"state": str(tmp_path).encode(), roster.NOTICE_KEY: b"n" * 32}) as house:
            book, _ = ledger.serve(house.loop, house.start)
            queue_id = b"q-first" if yes else b"q-later"
            assert house.ask(house.client("directory"), m.MayAnswer(3, b"d" * 16, queue_id)) == [m.Answering(3, yes)]
            book.expire()
            book.close()
