"""The waiting of a role, and its channels to the supervisor and to its peers."""

import errno
import os
import socket
import time
from collections.abc import Iterator

import pytest

from mta import roster
from mta.wire import control, permits
from mta.wire import messages as m
from mta.wire.channel import Channel, pair
from mta.wire.loop import Loop


class Role:
    """A cleaner, with the test as its supervisor and its scheduler."""

    def __init__(self) -> None:
        ours, theirs = pair()
        self.supervisor = Channel(ours, "cleaner", permits.TO_SUPERVISOR)
        self.supervisor.send(m.Begin((b"state", b"/nowhere", b"root", b"0")))
        self.start = control.begin(roster.CLEANER, theirs.detach())
        self.loop = Loop()
        self.opened: list[Channel] = [self.supervisor, self.start.control]
        self.heard: list[tuple[int, m.Message]] = []
        self.lost: list[str] = []
        self.reloaded: list[dict[str, bytes]] = []
        self.peers = control.Peers(
            roster.CLEANER, self.start, self.loop,
            {"scheduler": lambda channel, packet: self.heard.append((channel.instance, packet[0]))},
            found=self.opened.append, lost=lambda channel: self.lost.append(channel.peer), reload=self.reloaded.append,
        )  # fmt: skip

    def introduce(self, name: str, *, serving: bool, instance: int = 0) -> Channel:
        """Give it a channel; answers the other end, which may read what the role sends there."""
        ours, theirs = pair()
        self.supervisor.send(m.Peer(name.encode(), instance, serving), (theirs.fileno(),))
        theirs.close()
        self.loop.run_until_idle()
        permitted = (
            permits.readable_by_client(name, "cleaner") if serving else permits.readable_by_server("cleaner", name)
        )
        self.opened.append(Channel(ours, "cleaner", permitted))
        return self.opened[-1]


@pytest.fixture
def role() -> Iterator[Role]:
    made = Role()
    yield made
    for channel in made.opened:
        channel.close()


def test_settings_arrive_with_begin(role: Role) -> None:
    """Text and numbers by their names."""
    assert (role.start.text("state"), role.start.number("root")) == ("/nowhere", 0)


def test_a_peer_is_heard_and_answered(role: Role) -> None:
    """What the supervisor introduces can be talked to."""
    scheduler = role.introduce("scheduler", serving=True)
    scheduler.send(m.Clean((b"0" * 20,)))
    role.loop.run_until_idle()
    assert role.heard == [(0, m.Clean((b"0" * 20,)))]


def test_a_lost_peer_is_told_and_its_successor_taken(role: Role) -> None:
    """Between the two moments there is none; afterwards the new one is the one."""
    journal = role.introduce("journal", serving=False)
    assert role.peers.to("journal") is not None
    journal.close()
    role.loop.run_until_idle()
    assert role.peers.to("journal") is None
    assert role.lost == ["journal"]
    successor = role.introduce("journal", serving=False)
    role.peers.event("cleaned", queue_id="x")
    assert [packet for packet, _ in successor.receive()] == [m.Event(b"cleaned", (b"queue_id", b"x"))]


def test_a_replaced_peer_is_hung_up_on(role: Role) -> None:
    """Two journals at once would split the log: the former channel closes when the next one comes."""
    former = role.introduce("journal", serving=False)
    role.introduce("journal", serving=False)
    assert former._sock.recv(1) == b""
    assert role.peers.to("journal") is not None


def test_events_never_stop_the_mail(role: Role) -> None:
    """Without a journal, and with one that does not read, events vanish and nothing waits or grows."""
    role.peers.event("cleaned")
    role.introduce("journal", serving=False)
    for _ in range(5 * control.MAX_UNREAD_EVENTS):
        role.peers.event("cleaned")
    channel = role.peers.to("journal")
    assert channel is not None
    assert channel.backlog <= control.MAX_UNREAD_EVENTS + 1


def test_what_the_journal_could_not_hear_it_is_told_of(role: Role) -> None:
    """A gap in the log says that it is one, and how large."""
    for _ in range(3):
        role.peers.event("cleaned")
    journal = role.introduce("journal", serving=False)
    role.peers.event("cleaned", queue_id="x")
    role.peers.event("cleaned", queue_id="y")
    names = [(message.name, message.pairs) for message, _ in journal.receive() if isinstance(message, m.Event)]
    assert names[0] == (b"events-lost", (b"count", b"3"))
    assert [name for name, _ in names] == [b"events-lost", b"cleaned", b"cleaned"]


def test_a_peer_that_talks_out_of_turn_is_hung_up_on(role: Role) -> None:
    """The journal has nothing to say to anybody."""
    journal = role.introduce("journal", serving=False)
    journal.send(m.Clean((b"0" * 20,)))
    role.loop.run_until_idle()
    assert role.peers.to("journal") is None


def test_a_role_that_was_hung_up_on_begins_anew(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut off from a server that was not restarted, it ends, since only a restart gives it a new channel; not before."""
    role.introduce("journal", serving=False).close()
    role.loop.run_until_idle()
    assert role.peers.to("journal") is None
    monkeypatch.setattr(control, "MISSED_SECONDS", 0.0)
    with pytest.raises(SystemExit) as end:
        role.peers.event("cleaned")
    assert end.value.code == 111


def test_new_settings_arrive(role: Role) -> None:
    """Reload carries what may change without a stop."""
    role.supervisor.send(m.Reload((b"limits.max_recipients", b"30")))
    role.loop.run_until_idle()
    assert role.reloaded == [{"limits.max_recipients": b"30"}]


def test_stop_ends_the_loop(role: Role) -> None:
    """`run` returns, so that the role can end with status 0."""
    role.supervisor.send(m.Stop())
    role.loop.run()


def test_an_orphan_ends(role: Role) -> None:
    """Without a supervisor nobody would hand us new peers."""
    role.supervisor.close()
    with pytest.raises(SystemExit) as end:
        role.loop.run()
    assert end.value.code == 0


def test_timers_come_in_their_order() -> None:
    """By moment, and at the same moment by age."""
    loop, order = Loop(), []
    for name, seconds in (("third", 0.02), ("first", 0.0), ("second", 0.0)):
        loop.call_later(seconds, lambda name=name: order.append(name))
    until = time.monotonic() + 5
    while len(order) < 3 and time.monotonic() < until:
        loop.run_once(0.05)
    assert order == ["first", "second", "third"]


def test_a_connection_is_told_when_it_stands_and_when_it_cannot() -> None:
    """Writable means decided: the kernel says which, and nobody is told twice."""
    loop, told = Loop(), []
    with socket.create_server(("127.0.0.1", 0)) as there, socket.create_server(("127.0.0.1", 0)) as gone:
        addresses = [there.getsockname(), gone.getsockname()]
        gone.close()
        clients = [socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) for _ in addresses]

        def decided(client: socket.socket) -> None:
            told.append(client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            loop.remove_reader(client.fileno())

        for client, address in zip(clients, addresses, strict=True):
            client.connect_ex(address)
            loop.add_writer(client.fileno(), lambda client=client: decided(client))
        loop.run_until_idle(0.2)
        assert sorted(told) == [0, errno.ECONNREFUSED]
        for client in clients:
            client.close()


def test_batches_are_committed_after_each_round() -> None:
    """What `after_burst` does, it does once for all that arrived together."""
    loop, rounds, seen = Loop(), [], []
    reading, writing = os.pipe()
    loop.add_reader(reading, lambda: seen.append(os.read(reading, 1)))
    loop.after_burst.append(lambda: rounds.append(len(seen)))
    os.write(writing, b"x")
    loop.run_once(1.0)
    assert (seen, rounds) == ([b"x"], [1])
    loop.remove_reader(reading)
    os.write(writing, b"x")
    loop.run_until_idle()
    assert seen == [b"x"]
    os.close(reading)
    os.close(writing)


def test_a_handler_may_hang_up_while_more_is_waiting() -> None:
    """The rest of the burst is not served, and the descriptor's number may come back at once."""
    ours, theirs = pair()
    peer, channel, loop, lost = Channel(ours, "cleaner", frozenset()), None, Loop(), []
    channel = Channel(theirs, "scheduler", permits.readable_by_server("scheduler", "cleaner"))
    loop.add_channel(channel, lambda each, _packet: each.close(), lost.append)
    for _ in range(3):
        peer.send(m.Clean((b"0" * 20,)))
    loop.run_until_idle()
    assert lost == [channel]
    peer.close()
