"""The list of uids: none given twice, none given before the disk has it."""

import os

import pytest

from mta.roles.storekeeper import uids as module
from mta.roles.storekeeper.hands import Hands, Job
from mta.roles.storekeeper.uids import NoUidLeft, Uids, UidsUnreadable
from mta.wire.loop import Loop

FIRST = 5000


@pytest.fixture
def mail(tmp_path):
    descriptor = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    yield descriptor
    os.close(descriptor)


def test_each_domain_has_a_uid_of_its_own_and_keeps_it(mail):
    """Asked again, and after a restart."""
    uids = Uids(mail, FIRST, 100)
    given = {name: uids.of(name) for name in ("a.example", "b.example", "c.example")}
    assert sorted(given.values()) == [5000, 5001, 5002]
    assert {name: uids.of(name) for name in given} == given

    again = Uids(mail, FIRST, 100)
    assert {name: again.known(name) for name in given} == given
    assert again.of("d.example") == 5003


def test_the_range_ends(mail):
    uids = Uids(mail, FIRST, 2)
    uids.of("a.example"), uids.of("b.example")
    with pytest.raises(NoUidLeft):
        uids.of("c.example")
    assert uids.of("a.example") == FIRST


def test_a_job_for_a_domain_without_a_uid_is_reported_and_ends_nobody(mail):
    """The range used up is a state of the house, not a reason for storekeeper to stop."""
    loop = Loop()
    hands = Hands(loop, offspring=None)
    uids = Uids(mail, FIRST, 1)
    uids.of("a.example")
    words = []
    hands.add("b.example", lambda: (uids.of("b.example"), -1), Job(lambda folder: None, words.append))
    loop.run_until_idle()
    assert words == ["EUSERS: all 1 uids for domains are given"]


def test_a_torn_last_line_is_forgotten_and_its_uid_was_given_to_nobody(mail, tmp_path):
    """A crash in the middle of the append."""
    Uids(mail, FIRST, 100).of("a.example")
    path = tmp_path / ".uids"
    whole = path.read_bytes()
    path.write_bytes(whole + b"b.example 50")

    uids = Uids(mail, FIRST, 100)

    assert uids.known("b.example") is None
    assert uids.of("c.example") == 5001
    assert Uids(mail, FIRST, 100).known("c.example") == 5001


@pytest.mark.parametrize(
    "spoil",
    [
        lambda octets: octets.replace(b"5000", b"5001", 1),
        lambda octets: octets.replace(b"a.example", b"x.example", 1),
        lambda octets: octets + octets,
        lambda octets: b"\n" + octets,
        lambda octets: b"".join(reversed(octets.splitlines(keepends=True))),
    ],
    ids=["another uid", "another domain", "twice", "empty line", "wrong order"],
)
def test_a_damaged_list_stops_it(mail, tmp_path, spoil):
    """Rather no new mailbox than one uid for two customers."""
    uids = Uids(mail, FIRST, 100)
    uids.of("a.example"), uids.of("b.example")
    path = tmp_path / ".uids"
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(UidsUnreadable):
        Uids(mail, FIRST, 100)


def test_a_uid_is_synced_before_it_is_given(mail, monkeypatch):
    uids = Uids(mail, FIRST, 100)
    calls = []
    monkeypatch.setattr(module.os, "fsync", lambda descriptor: calls.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    uids.of("a.example")
    assert calls[0].endswith("/.uids")


def test_a_full_disk_gives_no_uid_and_leaves_no_half_line(mail, tmp_path, monkeypatch):
    uids = Uids(mail, FIRST, 100)
    uids.of("a.example")
    before = (tmp_path / ".uids").read_bytes()

    def full(descriptor):
        raise OSError(28, "full")

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError):
        uids.of("b.example")
    monkeypatch.undo()
    assert (tmp_path / ".uids").read_bytes() == before
    assert uids.known("b.example") is None
    assert uids.of("c.example") == 5001


def test_with_one_uid_for_all_there_is_no_list(mail, tmp_path):
    """Started by an ordinary user: 0 says `stay who you are`."""
    uids = Uids(mail, 0, 0)
    assert uids.of("a.example") == uids.known("b.example") == 0
    assert list(tmp_path.iterdir()) == []
