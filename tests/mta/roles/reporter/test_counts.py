"""What reports are made of: bounded, by the day, and the same after it was written down."""

import pytest

from mta.roles.reporter import counts
from mta.roles.reporter.counts import Counts
from mta.wire import messages as m

TODAY = 20_000


def seen(**changed):
    given = {
        "day": TODAY, "domain": b"remote.test", "policy": b"sts", "mx": b"mx.remote.test", "result": b"success", "sessions": 1,
    }  # fmt: skip
    return m.TlsSeen(**given | changed)


def rows_of(found):
    return {(day, domain): dict(found.of(day, domain)) for day, domain in found.due(TODAY + 1)}


def test_what_is_written_down_is_read_as_it_was():
    first, second = Counts(), Counts()
    for number in range(300):
        first.add(seen(day=TODAY - number % 3, domain=b"d%d.test" % (number % 7), sessions=number + 1), TODAY)
    second.restore(first.packed(1 << 20), TODAY)
    assert rows_of(second) == rows_of(first)
    assert len(rows_of(first)) == 21


@pytest.mark.parametrize(
    "wrong",
    [
        {"day": TODAY + 1}, {"day": TODAY - 3}, {"domain": b"-.test"}, {"domain": b"\xff.test"}, {"policy": b"x"},
        {"result": b"x"}, {"sessions": 0}, {"mx": b"\xff"}, {"mx": b"m" * 256},
    ],
)  # fmt: skip
def test_what_makes_no_sense_or_is_too_old_is_left_out(wrong):
    found = Counts()
    found.add(seen(**wrong), TODAY)
    assert rows_of(found) == {}


@pytest.mark.parametrize(
    "octets", [b"", b"x", b"1:a,", b"5:20000,11:remote.test,3:sts,0:,7:success,2:-1,", b"9" * 5000]
)
def test_a_file_of_nonsense_is_an_empty_one(octets):
    found = Counts()
    found.restore(octets, TODAY)
    assert rows_of(found) == {}


def test_hosts_without_end_are_counted_without_their_names():
    """No session is left out of what a domain is told."""
    found = Counts()
    for number in range(1000):
        found.add(seen(mx=b"mx%d.remote.test" % number), TODAY)
    rows = found.of(TODAY, b"remote.test")
    assert len(rows) == counts.MAX_ROWS_EACH + 1
    assert sum(rows.values()) == 1000


def test_domains_without_end_take_a_bounded_room(monkeypatch):
    """In memory and in the file; those that came first are told."""
    monkeypatch.setattr(counts, "MAX_DOMAINS", 10)
    found = Counts()
    for number in range(50):
        found.add(seen(domain=b"d%d.test" % number), TODAY)
    assert len(rows_of(found)) == 10
    short = Counts()
    short.restore(found.packed(200), TODAY)
    assert 0 < len(rows_of(short)) < 10
    for day, domain in list(found.due(TODAY + 1)):
        found.forget(day, domain)
    assert rows_of(found) == {}
    found.add(seen(), TODAY)
    assert len(rows_of(found)) == 1, "there is room again"
