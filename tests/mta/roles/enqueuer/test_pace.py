"""How many messages of one client are taken in a minute."""

import pytest

from mta.roles.enqueuer.store import Pace
from mta.wire import messages as m
from tests.mta.roles.enqueuer._rig import Rig, answers, offer


def test_a_client_that_sends_too_fast_is_told_to_wait_and_others_are_not(monkeypatch):
    """Also an IPv6 client that takes another address of its /64; after two minutes all is forgotten."""
    now = [1000.0]
    pace = Pace(2, (b"192.0.2.128/25",), lambda: now[0])
    assert [pace.is_too_fast(b"192.0.2.1") for _ in range(4)] == [False, False, True, True]
    assert [pace.is_too_fast(b"2001:db8::%x" % host) for host in range(3)] == [False, False, True]
    assert not any(pace.is_too_fast(b"192.0.2.200") for _ in range(10))
    assert not any(Pace(0).is_too_fast(b"192.0.2.1") for _ in range(10))
    now[0] += 120
    assert not pace.is_too_fast(b"192.0.2.1")


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def test_the_message_that_is_one_too_many_is_declined_for_now_and_leaves_nothing(rig):
    """4yz: whoever sends it keeps it."""
    rig.store._pace = Pace(1)
    smtpd = rig.client("smtpd")
    for tag in (1, 2):
        smtpd.send(offer(tag=tag))
        smtpd.send(m.Content(tag, True, b"Subject: x\r\n\r\nx\r\n"))
    rig.settle()
    taken, declined = sorted(answers(smtpd), key=lambda answer: answer.tag)
    assert (type(taken), declined.reply_code, declined.status) == (m.Taken, 451, b"4.7.1")
    assert len(list(rig.content.queue_ids())) == 1
