"""Delivering batches into the folder of one domain, in process."""

import errno
import os
import time

import pytest

from mta.roles.local import batch, content
from mta.wire.messages import Write
from tests.fakes.descriptors import open_descriptors

QUEUE_ID = b"00063f8a3c1d2e4f%04x"
CONTENT = b"Received: by mx\r\nSubject: hi\r\n\r\nbody\r\n"


@pytest.fixture
def domain(tmp_path):
    """A domain's folder and a Store on it."""
    folder = tmp_path / "example.org"
    folder.mkdir(mode=0o700)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    yield folder, batch.Store(descriptor, "mx.example.org")
    os.close(descriptor)


@pytest.fixture
def spool(tmp_path):
    """Makes a content file and opens it, closes all at the end."""
    opened = []

    def make(octets=CONTENT):
        path = tmp_path / f"content{len(opened)}"
        path.write_bytes(octets)
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    yield make
    for descriptor in opened:
        os.close(descriptor)


def write(number=1, store=b"joe", recipient=b"joe@example.org", reverse_path=b"ann@example.net", tag=None):
    return Write(number if tag is None else tag, QUEUE_ID % number, reverse_path, recipient, store)


def messages(folder, store="joe"):
    return sorted(folder.glob(f"{store}/Maildir/new/*"))


def leftovers(folder):
    return list(folder.glob("*/Maildir/tmp/*"))


def test_the_first_message_makes_the_maildir_and_is_whole_in_new(domain, spool):
    """Return-Path, Delivered-To, then the content with LF; size in the answer and in the name; nobody else can read it."""
    folder, store = domain

    (answer,) = store.deliver([(write(), spool())])

    assert (answer.action, answer.status) == (b"delivered", b"2.0.0")
    (path,) = messages(folder)
    expected = b"Return-Path: <ann@example.net>\nDelivered-To: joe@example.org\n" + CONTENT.replace(b"\r\n", b"\n")
    assert path.read_bytes() == expected
    assert answer.size == len(expected)
    assert path.name.endswith(f",S={len(expected)}")
    assert path.stat().st_mode & 0o777 == 0o600
    for made in ("joe", "joe/Maildir", "joe/Maildir/tmp", "joe/Maildir/new", "joe/Maildir/cur"):
        assert (folder / made).stat().st_mode & 0o777 == 0o700
    assert leftovers(folder) == []


def test_the_null_reverse_path_is_written_as_it_is(domain, spool):
    folder, store = domain
    store.deliver([(write(reverse_path=b""), spool())])
    assert messages(folder)[0].read_bytes().startswith(b"Return-Path: <>\n")


def test_a_repeated_delivery_replaces_the_file(domain, spool):
    """After a crash the scheduler asks again: one message, not two."""
    folder, store = domain
    for _ in range(3):
        store.deliver([(write(), spool())])
    assert len(messages(folder)) == 1


def test_the_same_delivery_twice_in_one_batch_is_answered_twice_and_written_once(domain, spool):
    """A restarted scheduler may ask for what is still on its way."""
    folder, store = domain
    answers = store.deliver([(write(tag=7), spool()), (write(tag=8), spool())])
    assert [(a.tag, a.action) for a in answers] == [(7, b"delivered"), (8, b"delivered")]
    assert len(messages(folder)) == 1
    assert leftovers(folder) == []


@pytest.mark.parametrize("count", [1, 3, 4, 40])
def test_each_of_a_batch_is_answered_under_its_own_tag(domain, spool, count):
    """Below and above the size from which one syncfs stands for all."""
    folder, store = domain
    jobs = [(write(n, store=b"box%d" % (n % 3)), spool()) for n in range(count)]
    answers = store.deliver(jobs)
    assert sorted(a.tag for a in answers) == list(range(count))
    assert {a.action for a in answers} == {b"delivered"}
    assert len(list(folder.glob("*/Maildir/new/*"))) == count


def test_a_half_written_file_of_a_killed_delivery_is_replaced(domain, spool):
    """The name is the same on purpose, so its leftover stands in the way, and may be half a message."""
    folder, store = domain
    store.deliver([(write(2), spool())])
    name = content.file_name(QUEUE_ID % 1, b"joe@example.org", "mx.example.org")
    (folder / "joe/Maildir/tmp" / name).write_bytes(b"half")

    (answer,) = store.deliver([(write(1), spool())])

    assert answer.action == b"delivered"
    assert all(b"body" in path.read_bytes() for path in messages(folder))
    assert leftovers(folder) == []


def test_a_loop_fails_and_nothing_is_written(domain, spool):
    folder, store = domain
    octets = b"Received: by mx\r\nDelivered-To: joe@example.org\r\n\r\nbody\r\n"
    (answer,) = store.deliver([(write(), spool(octets))])
    assert (answer.action, answer.status) == (b"failed", b"5.4.6")
    assert list(folder.iterdir()) == []


def test_an_address_with_a_line_break_writes_no_header_of_its_own(domain, spool):
    folder, store = domain
    (answer,) = store.deliver([(write(reverse_path=b"a@b>\nX-Evil: yes"), spool())])
    assert (answer.action, answer.status) == (b"failed", b"5.1.7")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("part", ["joe", "joe/Maildir", "joe/Maildir/tmp", "joe/Maildir/new"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_not_a_folder_is_not_followed(domain, spool, tmp_path, part, kind):
    """A link to a folder of somebody else's choice, or a file: delayed, and nothing is written behind it."""
    folder, store = domain
    elsewhere = tmp_path / "elsewhere"
    for name in ("Maildir/tmp", "Maildir/new", "Maildir/cur", "tmp", "new", "cur"):
        (elsewhere / name).mkdir(parents=True)
    (folder / part).parent.mkdir(parents=True, exist_ok=True)
    if kind == "link":
        (folder / part).symlink_to(elsewhere)
    else:
        (folder / part).write_text("in the way")

    (answer,) = store.deliver([(write(), spool())])

    assert (answer.action, answer.status) == (b"delayed", b"4.2.0")
    assert answer.diagnostic_code.startswith(b"ENOTDIR")
    assert [path for path in elsewhere.rglob("*") if not path.is_dir()] == []


def test_a_link_with_the_name_of_the_file_is_replaced_and_not_written_through(domain, spool, tmp_path):
    folder, store = domain
    store.deliver([(write(2), spool())])
    victim = tmp_path / "victim"
    victim.write_bytes(b"keep")
    name = content.file_name(QUEUE_ID % 1, b"joe@example.org", "mx.example.org")
    (folder / "joe/Maildir/tmp" / name).symlink_to(victim)

    (answer,) = store.deliver([(write(1), spool())])

    assert answer.action == b"delivered"
    assert victim.read_bytes() == b"keep"
    assert not any(path.is_symlink() for path in messages(folder))


@pytest.mark.parametrize(
    ("number", "status"), [(errno.ENOSPC, b"4.3.1"), (errno.EDQUOT, b"4.2.2"), (errno.EIO, b"4.3.0")]
)
def test_a_full_disk_delays_and_leaves_nothing(domain, spool, monkeypatch, number, status):
    folder, store = domain

    def full(target, octets):
        raise OSError(number, "no")

    monkeypatch.setattr(content, "_write_all", full)
    (answer,) = store.deliver([(write(), spool())])
    assert (answer.action, answer.status) == (b"delayed", status)
    assert leftovers(folder) == messages(folder) == []

    monkeypatch.undo()
    assert store.deliver([(write(), spool())])[0].action == b"delivered"


def test_one_that_cannot_be_written_does_not_hold_the_others_of_its_batch(domain, spool):
    folder, store = domain
    (folder / "bad").write_text("in the way")
    answers = store.deliver([(write(1, store=b"bad"), spool())] + [(write(n), spool()) for n in range(2, 6)])
    assert {a.tag: a.action for a in answers} == {1: b"delayed"} | dict.fromkeys(range(2, 6), b"delivered")
    assert len(messages(folder)) == 4


@pytest.mark.parametrize("count", [1, 5])
def test_what_could_not_be_synced_is_not_delivered(domain, spool, monkeypatch, count):
    """The disk's no before the rename: delayed, and not to be seen in new/."""
    folder, store = domain
    store.deliver([(write(99), spool())])

    def broken(descriptor):
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr(batch.os, "fsync", broken)
    monkeypatch.setattr(batch, "sync_filesystem", broken)
    answers = store.deliver([(write(n), spool()) for n in range(count)])
    assert {a.action for a in answers} == {b"delayed"}
    assert len(messages(folder)) == 1
    assert leftovers(folder) == []


@pytest.mark.parametrize("count", [1, 5])
def test_bytes_are_synced_before_the_name_and_the_name_before_the_answer(domain, spool, monkeypatch, count):
    """The recorded order of calls, for a single delivery into a known store and for a batch."""
    _folder, store = domain
    store.deliver([(write(99), spool())])
    calls = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(descriptor):
        calls.append("sync " + ("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"))
        real_fsync(descriptor)

    monkeypatch.setattr(batch.os, "fsync", fsync)
    monkeypatch.setattr(batch, "sync_filesystem", lambda descriptor: calls.append("sync all"))
    monkeypatch.setattr(batch.os, "rename", lambda *a, **k: (calls.append("rename"), real_rename(*a, **k)))

    store.deliver([(write(n), spool()) for n in range(count)])

    if count == 1:
        assert calls == ["sync file", "rename", "sync folder"]
    else:
        assert calls == ["sync all", *["rename"] * count, "sync all"]


def test_the_folders_of_a_store_met_for_the_first_time_are_synced_too(domain, spool, monkeypatch):
    """Whoever made them may have been killed before he synced them: a message in a folder that a crash forgets is lost."""
    _folder, store = domain
    store.deliver([(write(1), spool())])
    again = batch.Store(store.folder, store.host)
    synced = []
    real = batch.sync_filesystem
    monkeypatch.setattr(batch, "sync_filesystem", lambda descriptor: (synced.append(descriptor), real(descriptor)))
    again.deliver([(write(2), spool())])
    assert len(synced) == 2
    again.deliver([(write(3), spool())])
    assert len(synced) == 2


def test_what_is_staged_waits_in_tmp_for_localspawn_s_word(domain, spool, monkeypatch):
    """No wait for the disk in here, and no file in new/ before it was said that it is on the disk."""
    folder, store = domain

    def not_ours(descriptor):
        raise AssertionError("localspawn syncs")

    monkeypatch.setattr(batch.os, "fsync", not_ours)
    monkeypatch.setattr(batch, "sync_filesystem", not_ours)

    answers, sizes = store.stage([(write(n, store=b"box%d" % n), spool()) for n in range(3)])
    assert answers == []
    assert [tag for tag, _ in sizes] == [0, 1, 2]
    assert len(leftovers(folder)) == 3
    assert list(folder.glob("*/Maildir/new/*")) == []

    assert store.rename_staged() == []
    assert leftovers(folder) == []
    delivered = sorted(folder.glob("*/Maildir/new/*"))
    assert [path.stat().st_size for path in delivered] == [size for _, size in sizes]
    assert store.rename_staged() == []


def test_the_same_delivery_twice_in_one_stage_is_written_once(domain, spool):
    folder, store = domain
    _, sizes = store.stage([(write(tag=7), spool()), (write(tag=8), spool())])
    assert [tag for tag, _ in sizes] == [7, 8]
    assert store.rename_staged() == []
    assert len(messages(folder)) == 1


def test_of_a_stage_what_cannot_be_written_or_renamed_is_said(domain, spool):
    """And does not hold the others."""
    folder, store = domain
    (folder / "bad").write_text("in the way")
    answers, sizes = store.stage([(write(1, store=b"bad"), spool()), (write(2), spool()), (write(3), spool())])
    assert [(a.tag, a.action) for a in answers] == [(1, b"delayed")]
    assert [tag for tag, _ in sizes] == [2, 3]
    min(leftovers(folder)).unlink()
    assert [(a.tag, a.action) for a in store.rename_staged()] == [(2, b"delayed")]
    assert len(messages(folder)) == 1


def test_stages_keep_no_descriptor(domain, spool):
    _, store = domain
    jobs = [(write(n, store=b"box%d" % n), spool()) for n in range(5)]
    before = open_descriptors()
    for _ in range(3):
        store.stage(jobs)
        store.rename_staged()
    assert open_descriptors() <= before


def test_old_leftovers_are_swept_and_young_ones_are_not(domain, spool):
    folder, store = domain
    store.deliver([(write(), spool())])
    tmp = folder / "joe/Maildir/tmp"
    for name, age in (("old", 37), ("young", 35)):
        (tmp / name).write_text("x")
        moment = time.time() - age * 3600
        os.utime(tmp / name, (moment, moment))

    store.sweep()

    assert [path.name for path in tmp.iterdir()] == ["young"]


def test_a_folder_that_was_taken_away_is_noticed(domain, spool):
    """The domain was removed and its folder with it: not delivered into nowhere, and the process knows that it must end."""
    folder, store = domain
    folder.rmdir()
    (answer,) = store.deliver([(write(), spool())])
    assert answer.action == b"delayed"
    assert store.gone
