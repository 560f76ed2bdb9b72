"""Nothing but a queue id names a file."""

import os

import pytest

from mta.spool.layout import Folder

ID = b"0123456789abcdef0123"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "spool").mkdir()
    return Folder.open(tmp_path, "spool")


@pytest.mark.parametrize("name", [b"", b"..", b"../x", b"a" * 21, ID.upper(), ID + b"\n", ID[:19] + b"/", b"\0" * 20])
def test_what_is_not_a_queue_id_names_no_file(folder, name):
    """Every operation refuses it before the kernel sees it."""
    for operation in (folder.create, folder.append, folder.size, folder.remove, lambda n: folder.read(n, 9)):
        with pytest.raises(ValueError, match="queue id"):
            operation(name)


def test_a_file_is_made_once_read_in_bounds_listed_and_removed(folder, tmp_path):
    """create refuses what is there; read stops where it is told; strangers' files are passed over."""
    os.close(folder.create(ID))
    with pytest.raises(FileExistsError):
        folder.create(ID)
    for _ in range(2):
        descriptor = folder.append(ID)
        os.write(descriptor, b"x" * 50_000)
        os.close(descriptor)
    (tmp_path / "spool" / "lost+found").mkdir()
    assert [folder.read(ID, limit) for limit in (3, 100_000, 200_000)] == [b"xxx", b"x" * 100_000, b"x" * 100_000]
    assert (folder.size(ID), list(folder.queue_ids())) == (100_000, [ID])
    assert [folder.remove(ID), folder.remove(ID)] == [True, False]
    assert (folder.read(ID, 9), folder.size(ID), list(folder.queue_ids())) == (None, None, [])


def test_a_link_in_the_folder_is_not_followed(folder, tmp_path):
    """Whoever could write into the folder could otherwise make the enqueuer read another file."""
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "spool" / ID.decode()).symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic"):
        folder.read(ID, 99)


def test_two_lists_at_once_do_not_disturb_each_other(folder):
    """Each has a place of its own in the folder."""
    names = [b"%020x" % number for number in range(300)]
    for name in names:
        os.close(folder.create(name))
    first = folder.queue_ids()
    head = [next(first) for _ in range(10)]
    assert sorted(folder.queue_ids()) == names
    assert sorted(head + list(first)) == names


def test_syncfs_reports_what_it_is_told(folder):
    """It works on a folder, and fails on what is none."""
    folder.sync_file_system()
    with pytest.raises(OSError, match="Bad file descriptor"):
        Folder(-1).sync_file_system()
