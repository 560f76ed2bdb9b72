"""Policies over a restart: two places in one file, and whatever becomes of one of them."""

import os

import pytest

from mta import places
from mta.roles.fetcher import desk, shelf
from mta.roles.fetcher.shelf import Kept, Shelf
from mta.security.sts import MAX_AGE_SECONDS, Policy
from tests.mta.roles.fetcher._rig import DOMAIN, page, says

POLICY = Policy("enforce", 86_400, ("mx.remote.test", "*.remote.test"))


def kept(domain="remote.test", **rest):
    return Kept(**{"domain": domain, "id": "1", "until": 87_400.0, "fetched": 1000.0, "policy": POLICY} | rest)


@pytest.fixture
def file(tmp_path):
    descriptor = os.open(tmp_path / "known", os.O_RDWR | os.O_CREAT, 0o600)
    yield descriptor
    os.close(descriptor)


def test_what_was_stored_last_is_loaded(file):
    """In the same order, whatever was stored before; a new file holds nothing."""
    assert Shelf(file).load() == []
    first = Shelf(file)
    for number in range(5):
        first.store([kept(f"d{each}.test") for each in range(number, number + 3)])
    second = Shelf(file)
    assert [each.domain for each in second.load()] == ["d4.test", "d5.test", "d6.test"]
    assert second.load()[0] == kept("d4.test")
    second.store([kept("then.test")])
    assert [each.domain for each in Shelf(file).load()] == ["then.test"]


@pytest.mark.parametrize("at", range(0, 260, 13))
def test_a_write_that_was_cut_short_leaves_the_one_before(file, at):
    """Wherever the power went away."""
    one = Shelf(file)
    one.store([kept("before.test")])
    old = os.pread(file, shelf.FILE_OCTETS, 0)
    one.store([kept("after.test")])
    new = os.pread(file, shelf.FILE_OCTETS, 0)
    assert len(old) != len(new) or old != new
    start = next(place for place in range(len(new)) if old[place : place + 1] != new[place : place + 1])
    os.ftruncate(file, 0)
    os.pwrite(file, new[: start + at], 0)
    os.pwrite(file, old[start + at :], start + at)
    assert [each.domain for each in Shelf(file).load()] in (["before.test"], ["after.test"])


@pytest.mark.parametrize(
    "wrong",
    [
        {"until": 999.0}, {"until": 1000.0 + MAX_AGE_SECONDS + 1}, {"domain": "-.test"}, {"domain": "a b"},
        {"policy": Policy("whatever", 5, ("a.test",))}, {"policy": Policy("enforce", 5, ("a.test\nno field",))},
        {"policy": Policy("enforce", 5, ())},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_left_out(file, wrong):
    """A former process may have been taken over: the file is read like a stranger's."""
    Shelf(file).store([kept("one.test"), kept(**wrong), kept("two.test")])
    assert [each.domain for each in Shelf(file).load()] == ["one.test", "two.test"]


def test_there_is_an_end_to_it_and_what_was_used_last_stays(file, monkeypatch):
    """The file never grows past its size, which is also the process's limit."""
    monkeypatch.setattr(shelf, "PLACE_OCTETS", 1000)
    Shelf(file).store([kept(f"d{number}.test") for number in range(50)])
    found = [each.domain for each in Shelf(file).load()]
    assert 3 < len(found) < 50
    assert found[-1] == "d49.test"
    assert os.fstat(file).st_size <= 2000


def test_octets_of_anybody_are_no_policies(file):
    """Noise, and a length beyond the file."""
    os.pwrite(file, os.urandom(4096), 0)
    assert Shelf(file).load() == []
    os.pwrite(file, places._HEAD.pack(shelf._MAGIC, 1, 1 << 60, bytes(32)), 0)
    assert Shelf(file).load() == []


def test_a_start_forgets_no_policy(rig_at, serve, monkeypatch, tmp_path):
    """RFC 8461 10.2: who can hide record and web server after our start does not end the demand."""
    monkeypatch.setattr(desk, "KEEP_SECONDS", 0.05)
    server = serve(says(page()))
    where = os.open(tmp_path / "known", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        rig = rig_at(server.port, shelf=Shelf(where))
        [first] = rig.fetch(DOMAIN)
        rig.house.serve_for(0.2)
        server.close()
        again = rig_at(server.port, shelf=Shelf(where))
        again.record = None
        [second] = again.fetch(DOMAIN)
        assert (second.mode, second.patterns) == (first.mode, first.patterns)
        assert first.mode == b"enforce"
    finally:
        os.close(where)


def test_a_disk_that_takes_nothing_is_told_of(rig_at, serve, monkeypatch, tmp_path):
    """And mail goes on."""
    monkeypatch.setattr(desk, "KEEP_SECONDS", 0.05)
    (tmp_path / "known").touch()
    where = os.open(tmp_path / "known", os.O_RDONLY)
    try:
        rig = rig_at(serve(says(page())).port, shelf=Shelf(where))
        [answer] = rig.fetch(DOMAIN)
        rig.house.serve_for(0.2)
        assert answer.mode == b"enforce"
        assert rig.told("policies-not-kept")
    finally:
        os.close(where)
