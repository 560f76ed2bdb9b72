"""Promise P3 at the directory: which failures it would have told at RCPT, had anybody asked then."""

import os
import time

import pytest

from mta import roster
from mta.roles.directory import __main__ as directory
from mta.roles.directory import desk
from mta.snapshot.records import Domain
from mta.wire import messages as m
from tests.fakes.house import House
from tests.mta.roles.directory.test_desk import RECORDS, SETTINGS, publish

OPEN = {b"d:open.example": Domain(b"1", validation=b"off")}
OUTSIDER = b"stranger@else.example"


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(desk, "LOOK_SECONDS", 0.0)
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    with House(roster.DIRECTORY, dict(SETTINGS)) as house:
        directory.serve(house.loop, house.start, descriptor)
        publish(tmp_path, RECORDS | OPEN)
        house.ask(house.client("scheduler"), m.Expand(1, b"bob@mx.example"))
        yield house
    os.close(descriptor)


def queue_id_at(moment):
    return b"%016x0001" % int(moment * 1_000_000)


def refusable(house, recipient, *, arrived, reverse_path=OUTSIDER):
    (answer,) = house.ask(house.client("scheduler"), m.Expand(1, recipient, queue_id_at(arrived), reverse_path))
    assert isinstance(answer, m.Unresolved)
    return answer.refusable


def test_what_was_unknown_when_it_came_could_have_been_refused(house):
    """The snapshot has not changed since, so RCPT would have had the same answer."""
    assert refusable(house, b"nobody@mx.example", arrived=time.time() + 1)


def test_what_may_have_become_unknown_since_is_nobodys_fault(house, tmp_path):
    """A mailbox that was removed while mail for it was queued, by this change or by another."""
    arrived = time.time()
    publish(tmp_path, RECORDS | OPEN, change=2)
    assert not refusable(house, b"nobody@mx.example", arrived=arrived)
    assert refusable(house, b"nobody@open.example", arrived=arrived), "that domain refuses nobody, whatever it knows"


@pytest.mark.parametrize("reverse_path", [b"", b"bob@mx.example", b"gone@mx.example"])
def test_our_own_senders_and_nobody_are_no_outsiders(house, reverse_path):
    """Who is ours may hear of it; a null reverse-path hears of nothing."""
    assert not refusable(house, b"nobody@mx.example", arrived=time.time() + 1, reverse_path=reverse_path)


def test_what_is_deferred_is_not_counted(house):
    """Nobody is told anything yet."""
    assert not refusable(house, b"off@mx.example", arrived=time.time() + 1)
