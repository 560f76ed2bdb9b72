"""Cleaner: the order, and what counts as done."""

import os

import pytest

from mta.roles.cleaner.broom import clean
from mta.spool.layout import Folder

ID = b"0123456789abcdef0123"
PARTS = ("envelope", "progress", "content")


@pytest.fixture
def folders(tmp_path):
    for part in PARTS:
        (tmp_path / part).mkdir()
    return [Folder.open(tmp_path, part) for part in PARTS]


def test_the_envelope_goes_first_and_the_content_last(folders, monkeypatch):
    """While there is an envelope the message is owed; content without one is owed to nobody."""
    order = []
    original = Folder.remove
    monkeypatch.setattr(
        Folder, "remove", lambda folder, name: (order.append(folder.descriptor), original(folder, name))[1]
    )
    for folder in folders:
        os.close(folder.create(ID))
    assert clean(ID, folders)
    assert order == [folder.descriptor for folder in folders]
    assert [list(folder.queue_ids()) for folder in folders] == [[], [], []]


def test_what_is_gone_already_is_done(folders):
    """The scheduler asks again after a death in between; progress there need not have been."""
    os.close(folders[2].create(ID))
    assert clean(ID, folders)
    assert clean(ID, folders)


def test_it_stops_at_the_first_that_refuses(folders, monkeypatch):
    """An envelope that cannot be removed keeps its content."""
    os.close(folders[2].create(ID))

    def refuse(folder, name):
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "remove", refuse)
        assert not clean(ID, folders)
    assert folders[2].size(ID) == 0
