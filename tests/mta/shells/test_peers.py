"""Questions and answers told apart by tag; and the answer "away" that we make ourselves."""

import asyncio
import math
from collections.abc import Iterator

import pytest

from mta.shells.peers import AsyncioChannels, Conversations
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, pair


class OnePeer:
    """Stands for `mta.wire.control.Peers`."""

    def __init__(self, channel: Channel | None) -> None:
        self.channel = channel

    def to(self, name: str) -> Channel | None:
        assert name == "enqueuer"
        return self.channel


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    """Ours to the enqueuer, and its end."""
    ours, theirs = pair()
    made = (
        Channel(ours, "enqueuer", permits.readable_by_client("smtpd", "enqueuer")),
        Channel(theirs, "smtpd", permits.readable_by_server("smtpd", "enqueuer")),
    )
    yield made
    for channel in made:
        channel.close()


@pytest.fixture
def talk(channels: tuple[Channel, Channel]) -> Conversations:
    return Conversations(OnePeer(channels[0]), "enqueuer", 10.0)  # type: ignore[arg-type]


TAKEN = m.Taken(1, b"0" * 20)


def test_nobody_to_ask_is_said_at_once() -> None:
    """The asker answers "try later" without waiting."""
    assert Conversations(OnePeer(None), "enqueuer", 10.0).begin(0.0, print) is None  # type: ignore[arg-type]


def test_each_answer_reaches_its_asker_once(talk: Conversations) -> None:
    """A second answer with the same tag, or one with a tag nobody has, reaches nobody."""
    heard: list[tuple[str, object]] = []
    tags = []
    for name in ("first", "second"):
        begun = talk.begin(0.0, lambda answer, name=name: heard.append((name, answer)))
        assert begun is not None
        tags.append(begun[1])
    talk.hear(tags[1], TAKEN)
    talk.hear(tags[1], TAKEN)
    talk.hear(999, TAKEN)
    assert heard == [("second", TAKEN)]


def test_an_overdue_answer_is_none(talk: Conversations) -> None:
    """A process that hangs holds nobody; and time runs only from when everything was said."""
    heard: list[object] = []
    asked, offered = talk.begin(0.0, heard.append), talk.begin(math.inf, heard.append)
    assert asked is not None
    assert offered is not None
    talk.expire(9.9)
    assert heard == []
    talk.expire(10.1)
    assert heard == [None]
    talk.expect(offered[1], 100.0)
    talk.expire(109.0)
    assert heard == [None]
    talk.expire(111.0)
    assert heard == [None, None]


def test_a_lost_channel_answers_all_that_was_asked_over_it(
    talk: Conversations, channels: tuple[Channel, Channel]
) -> None:
    """And nothing that was asked elsewhere, or withdrawn."""
    heard: list[object] = []
    first, second = talk.begin(0.0, heard.append), talk.begin(0.0, heard.append)
    assert first is not None
    assert second is not None
    talk.forget(second[1])
    talk.lost(channels[1])
    assert heard == []
    talk.lost(channels[0])
    assert heard == [None]


def test_a_peer_that_lags_is_caught_up_by_the_loop(channels: tuple[Channel, Channel]) -> None:
    """What the kernel does not take at once arrives, in order, as soon as the peer reads; then `drained` is told."""
    ours, theirs = channels
    loop = asyncio.new_event_loop()
    try:
        waiting, drained = AsyncioChannels(loop), []
        waiting.drained = drained.append
        waiting.add_channel(ours, lambda *_: None, lambda _: None)
        count = 0
        while ours.backlog < 5:
            ours.send(m.Content(count, False, b"x" * 50_000))
            count += 1
        arrived: list[int] = []

        def read() -> None:
            arrived.extend(packet[0].tag for packet in theirs.receive())
            if len(arrived) == count and drained:
                loop.stop()

        loop.add_reader(theirs.fileno(), read)
        loop.call_later(5.0, loop.stop)
        loop.call_later(0.2, read)
        loop.run_forever()
        assert arrived == list(range(count))
        assert drained == [ours]
        loop.remove_reader(theirs.fileno())
    finally:
        ours.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


def test_a_peer_that_ends_is_told_of_once(channels: tuple[Channel, Channel]) -> None:
    """And the loop forgets its descriptor before the number is given to somebody else."""
    ours, theirs = channels
    loop = asyncio.new_event_loop()
    try:
        lost: list[Channel] = []
        AsyncioChannels(loop).add_channel(ours, lambda *_: None, lost.append)
        descriptor = ours.fileno()
        theirs.close()
        loop.call_later(0.1, loop.stop)
        loop.run_forever()
        assert lost == [ours]
        assert not loop.remove_reader(descriptor)
        with pytest.raises(ChannelClosed):
            ours.send(m.Withdraw(1))
    finally:
        loop.close()
