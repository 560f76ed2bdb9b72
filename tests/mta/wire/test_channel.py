"""Channels over real sockets: what arrives, what makes us hang up, and that nobody waits for anybody."""

import array
import contextlib
import os
import socket
from collections.abc import Iterator

import pytest

from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import MAX_BACKLOG, Channel, ChannelClosed, pair
from mta.wire.netstring import MAX_MESSAGE
from tests.fakes.descriptors import open_descriptors

SMTPD_SENDS = permits.readable_by_server("smtpd", "enqueuer")
LISTENER_SENDS = permits.readable_by_server("listener", "smtpd")


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Channel]]:
    """A raw socket, and the channel of an enqueuer that reads what an smtpd may send."""
    raw, sock = pair()
    channel = Channel(sock, "smtpd", SMTPD_SENDS)
    yield raw, channel
    channel.close()
    raw.close()


@pytest.fixture
def taking() -> Iterator[tuple[socket.socket, Channel]]:
    """A raw socket, and the channel of an smtpd that takes sockets from the listener."""
    raw, sock = pair()
    channel = Channel(sock, "listener", LISTENER_SENDS)
    yield raw, channel
    channel.close()
    raw.close()


def with_rights(raw: socket.socket, packet: bytes, descriptors: list[int]) -> None:
    raw.sendmsg([packet], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])


def test_a_message_arrives(ends: tuple[socket.socket, Channel]) -> None:
    """As it was sent."""
    raw, channel = ends
    raw.send(m.Withdraw(7).encode())
    assert list(channel.receive()) == [(m.Withdraw(7), ())]


@pytest.mark.parametrize(
    "packet",
    [
        b"nonsense",
        b"8:withdraw,",  # a field is missing
        b"8:withdraw,1:7",  # truncated
        m.OfferDsn(1, b"0" * 20, b"x").encode(),  # only the bouncer may
        m.Taken(1, b"0" * 20).encode(),  # an answer, where we answer
        m.Event(b"delivered", ()).encode(),
        b"",
        b"1:x," * 300,
        m.Content(1, last=False, block=b"x" * 61000).encode() + b"x" * (MAX_MESSAGE - 61000),  # over the bound
    ],
)
def test_nonsense_is_hung_up_on(ends: tuple[socket.socket, Channel], packet: bytes) -> None:
    """Malformed, truncated, too long, not permitted here: the channel is closed, and the other end notices."""
    raw, channel = ends
    raw.send(packet)
    with pytest.raises(ChannelClosed):
        list(channel.receive())
    assert channel.closed
    assert raw.recv(1) == b""


def test_a_descriptor_that_nobody_asked_for_is_hung_up_on(ends: tuple[socket.socket, Channel]) -> None:
    """On a channel without descriptors the kernel drops it, and we drop the peer."""
    raw, channel = ends
    before = open_descriptors()
    with_rights(raw, m.Withdraw(7).encode(), [0, 1, 2])
    with pytest.raises(ChannelClosed):
        list(channel.receive())
    assert open_descriptors() <= before - 1


@pytest.mark.parametrize("count", [0, 2, 4, 5, 20])
def test_more_or_fewer_descriptors_than_the_message_carries(taking: tuple[socket.socket, Channel], count: int) -> None:
    """`Accepted` brings one socket. None, several or a flood of them: hang up, and not one stays open."""
    raw, channel = taking
    before = open_descriptors()
    packet = m.Accepted(b"1", b"127.0.0.1", 1, b"smtp", b"x").encode()
    with_rights(raw, packet, [0] * count) if count else raw.send(packet)
    with pytest.raises(ChannelClosed):
        list(channel.receive())
    assert open_descriptors() <= before - 1


@pytest.mark.parametrize(("count", "taken"), [(0, False), (1, False), (2, True), (3, False)])
def test_a_message_of_several_parts_carries_a_descriptor_for_each(count: int, taken: bool) -> None:
    """How many belong to it is said by the message itself."""
    raw, sock = pair()
    channel = Channel(sock, "localspawn", permits.readable_by_server("localspawn", "local"))
    packet = m.Stage((b"1", b"id", b"", b"a@b", b"a", b"2", b"id", b"", b"a@b", b"a")).encode()
    with_rights(raw, packet, [raw.fileno()] * count) if count else raw.send(packet)
    if taken:
        ((_, descriptors),) = channel.receive()
        assert len(descriptors) == count
        for descriptor in descriptors:
            os.close(descriptor)
    else:
        with pytest.raises(ChannelClosed):
            list(channel.receive())
    channel.close()
    raw.close()


def test_a_descriptor_arrives_closed_on_exec(taking: tuple[socket.socket, Channel]) -> None:
    """What we are handed does not leak into what we start."""
    raw, channel = taking
    with_rights(raw, m.Accepted(b"1", b"127.0.0.1", 1, b"smtp", b"x").encode(), [0])
    [(_, descriptors)] = channel.receive()
    assert len(descriptors) == 1
    assert not os.get_inheritable(descriptors[0])
    os.close(descriptors[0])


def test_sending_never_waits_and_nothing_is_lost(ends: tuple[socket.socket, Channel]) -> None:
    """A peer that does not read makes us keep packets, in order; flush sends them when it does."""
    raw, channel = ends
    for number in range(2000):
        channel.send(m.Taken(number, b"0" * 20))
    assert channel.backlog > 0
    found = []
    raw.setblocking(False)
    while len(found) < 2000:
        try:
            found.append(raw.recv(MAX_MESSAGE))
        except BlockingIOError:
            channel.flush()
    assert found == [m.Taken(number, b"0" * 20).encode() for number in range(2000)]
    assert channel.backlog == 0


def test_a_peer_that_never_reads_is_hung_up_on(ends: tuple[socket.socket, Channel]) -> None:
    """Its backlog is bounded; the memory comes back."""
    _, channel = ends
    sent = 0
    while not channel.closed and sent < 2 * MAX_BACKLOG:
        with contextlib.suppress(ChannelClosed):
            channel.send(m.Taken(sent, b"0" * 20))
        sent += 1
    assert channel.closed
    assert channel.backlog == 0


def test_waiting_descriptors_are_our_own_copies(ends: tuple[socket.socket, Channel]) -> None:
    """The caller may close its own at once; on hanging up ours are closed too."""
    _, channel = ends
    while not channel.backlog:
        channel.send(m.Taken(1, b"0" * 20))
    before = open_descriptors()
    reading, writing = os.pipe()
    channel.send(m.Accepted(b"1", b"c", 1, b"smtp", b"x"), (writing,))
    os.close(writing)
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):  # Somebody still holds the other end: our copy.
        os.read(reading, 1)
    channel.close()
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert open_descriptors() <= before - 1


def test_the_end_of_a_peer_is_said_once(ends: tuple[socket.socket, Channel]) -> None:
    """Reading and writing both say ChannelClosed, never a bare OSError."""
    raw, channel = ends
    raw.close()
    with pytest.raises(ChannelClosed):
        list(channel.receive())
    with pytest.raises(ChannelClosed):
        channel.send(m.Taken(1, b""))
    channel.close()


def test_one_channel_cannot_starve_the_others(ends: tuple[socket.socket, Channel]) -> None:
    """A flood is taken in bursts."""
    raw, channel = ends
    for number in range(100):
        raw.send(m.Withdraw(number).encode())
    first = len(list(channel.receive()))
    assert 0 < first < 100
    assert first + len(list(channel.receive())) == 100
