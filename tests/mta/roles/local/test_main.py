"""What a local makes of what localspawn says, over a real channel."""

import os

import pytest

from mta.roles.local.__main__ import deliveries_of, one_round
from mta.roles.local.batch import Store
from mta.wire import channel, permits
from mta.wire import messages as m
from tests.fakes.descriptors import open_descriptors

QUEUE_ID = b"00063f8a3c1d2e4f0001"


@pytest.fixture
def rig(tmp_path):
    """localspawn's end, local's end, the local's store, and an opened content."""
    (tmp_path / "domain").mkdir()
    (tmp_path / "content").write_bytes(b"Subject: hi\r\n\r\nbody\r\n")
    folder, content = (os.open(tmp_path / name, os.O_RDONLY) for name in ("domain", "content"))
    ours, theirs = channel.pair()
    near = channel.Channel(ours, "local", permits.readable_by_client("localspawn", "local"))
    far = channel.Channel(theirs, "localspawn", permits.readable_by_server("localspawn", "local"))
    yield near, far, Store(folder, "mx.example.org"), content
    near.close()
    far.close()
    os.close(folder)
    os.close(content)


def delivery(tag, queue_id=QUEUE_ID, store=b"joe"):
    return (tag, queue_id, b"ann@example.net", b"joe@example.org", store)


def test_a_stage_is_answered_with_what_waits_and_the_next_one_renames(rig, tmp_path):
    near, far, store, content = rig
    near.send(m.Stage(delivery(b"7")), (content,))
    one_round(far, store)
    ((answer, _),) = near.receive()
    assert isinstance(answer, m.Staged)
    assert answer.sizes[0] == b"7"
    assert list(tmp_path.glob("domain/joe/Maildir/new/*")) == []

    near.send(m.Stage(()))
    one_round(far, store)
    assert [message for message, _ in near.receive()] == [m.Staged(())]
    (path,) = tmp_path.glob("domain/joe/Maildir/new/*")
    assert path.stat().st_size == int(answer.sizes[1])


def test_what_failed_is_said_before_the_rest(rig, tmp_path):
    near, far, store, content = rig
    (tmp_path / "domain/bad").write_text("in the way")
    near.send(m.Stage((*delivery(b"7", store=b"bad"), *delivery(b"8"))), (content, content))
    one_round(far, store)
    first, second = (message for message, _ in near.receive())
    assert (first.tag, first.action) == (7, b"delayed")
    assert second.sizes[::2] == (b"8",)


def test_its_descriptors_are_closed(rig):
    near, far, store, content = rig
    near.send(m.Stage((*delivery(b"7"), *delivery(b"8", b"00063f8a3c1d2e4f0002"))), (content, content))
    before = open_descriptors()
    one_round(far, store)
    store.rename_staged()
    assert open_descriptors() <= before


@pytest.mark.parametrize(
    "fields",
    [
        delivery(b"7")[:4],
        delivery(b"x"),
        delivery(b"7", queue_id=b"../../etc/passwd0000"),
        delivery(b"7", store=b".."),
    ],
    ids=["too few", "no tag", "queue id", "store"],
)
def test_what_no_localspawn_says_ends_it(fields):
    with pytest.raises(channel.ChannelClosed):
        deliveries_of(m.Stage(fields))
