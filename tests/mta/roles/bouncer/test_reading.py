"""What a forwarding asks of a header: yes, no, or nobody can look now."""

import pytest

from mta.roles.bouncer.reading import MAX_HEADER, MAX_WAITING
from mta.wire import messages as m
from tests.mta.roles.bouncer.test_desk import ID, Wire
from tests.mta.roles.bouncer.test_replies import Rig

INVOICE = b"Subject: =?utf-8?q?Your_Invoice?=\r\n"


@pytest.fixture
def rig():
    return Rig()


@pytest.fixture
def directory():
    return Wire("directory")


def ask(rig, directory, header, spam=b"", subjects=(), tag=9):
    rig.desk.met_directory(directory, (m.Judge(tag, ID, b"glance", spam, tuple(subjects)), ()))
    assert rig.peers.said[-1] == ("enqueuer", m.OriginalOf(rig.peers.said[-1][1].tag, ID, b"glance", False))
    rig.hear("enqueuer", m.Original(0, False, header))
    return directory.said[-1].word


@pytest.mark.parametrize(
    ("header", "spam", "subjects", "word"),
    [
        (INVOICE, b"", [b"INVOICE"], b"yes"),
        (INVOICE, b"", [b"offer", b"invoice"], b"yes"),
        (INVOICE, b"", [b"offer"], b"no"),
        (b"X: y\r\n", b"", [b"x"], b"no"),  # no subject
        (b"Subject: =?no-such?q?invoice?=\r\n", b"", [b"in voice"], b"no"),
        (INVOICE + b"X-Spam-Flag: YES\r\n", b"yes", [b"invoice"], b"yes"),
        (INVOICE + b"X-Spam-Flag: YES\r\n", b"no", [b"invoice"], b"no"),
        (INVOICE, b"no", [], b"yes"),
        (INVOICE, b"yes", [], b"no"),
    ],
)
def test_all_that_is_asked_must_be_so(rig, directory, header, spam, subjects, word):
    assert ask(rig, directory, header, spam, subjects) == word
    assert directory.said == [m.Judged(9, word)]


@pytest.mark.parametrize(
    ("spam", "subjects", "word"), [(b"no", [], b"no"), (b"yes", [], b"no"), (b"", [b"invoice"], b"yes")]
)
def test_of_a_header_that_goes_on_unseen_only_what_was_seen_is_believed(rig, directory, spam, subjects, word):
    """A mark may follow; the subject has been seen."""
    header = (INVOICE + b"X: " + b"y" * MAX_HEADER)[:MAX_HEADER]
    assert ask(rig, directory, header, spam, subjects) == word


def test_without_enqueuer_or_with_too_many_it_is_later(rig, directory):
    rig.peers.away.add("enqueuer")
    rig.desk.met_directory(directory, (m.Judge(1, ID, b"", b"yes", ()), ()))
    rig.peers.away.clear()
    for tag in range(2, MAX_WAITING + 3):
        rig.desk.met_directory(directory, (m.Judge(tag, ID, b"", b"yes", ()), ()))
    assert directory.said == [m.Judged(1, b"later"), m.Judged(MAX_WAITING + 2, b"later")]
    rig.desk.lost(Wire("enqueuer"))
    assert len(directory.said) == MAX_WAITING + 2


def test_a_directory_that_says_anything_else_is_hung_up_on_and_a_lost_one_is_forgotten(rig, directory):
    rig.desk.met_directory(directory, (m.Judge(1, ID, b"", b"yes", ()), ()))
    rig.desk.lost(directory)
    rig.hear("enqueuer", m.Original(0, False, INVOICE))
    assert directory.said == []
    rig.desk.met_directory(directory, (m.Usage(1, 0, 0), ()))
    assert directory.closed
