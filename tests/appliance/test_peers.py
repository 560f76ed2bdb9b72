"""The web process's peers as ordinary calls: what is asked, what is heard, and who is gone."""

import select
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.peers import SourceAway, WebPeers
from mta import roster
from mta.wire import messages as m
from mta.wire.channel import Channel
from tests.fakes.house import House


@pytest.fixture
def house() -> Iterator[House]:
    with House(roster.WEB, {}) as house:
        yield house


def asked_of(channel: Channel) -> m.Message:
    while True:
        select.select([channel.fileno()], [], [], 10)
        for message, _ in channel.receive():
            return message


def test_who_knows_a_recipient_elsewhere_is_asked_and_may_be_gone(house: House) -> None:
    """Its word comes back to who asked; whoever waits hears at once that it ended, and before it came that it is not there."""
    stopped = threading.Event()
    peers = WebPeers(house.start, on_socket=lambda *_: None, on_stop=stopped.set)
    source = house.server("source")
    peers.settle(0.05)
    peers.start()
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(peers.look_for, "joe@hop.test")
        question = asked_of(source)
        assert isinstance(question, m.Exists)
        assert question.address == b"joe@hop.test"
        source.send(m.Existence(question.tag, b"unknown", 300))
        assert told.result(10) == "unknown"
        waiting = pool.submit(peers.look_for, "ann@hop.test")
        asked_of(source)
        source.close()
        with pytest.raises(SourceAway):
            waiting.result(10)
    with pytest.raises(SourceAway):
        peers.look_for("ann@hop.test")
    house.control.send(m.Stop())
    assert stopped.wait(10)
