"""smtpdspawn's judgement without processes: uids, the bound, and what is said to clients and listener."""

import os
import socket
from collections.abc import Callable

import pytest

from mta import roster
from mta.offspring import Uids
from mta.shells.rehearsal import rehearse
from mta.shells.spawner import Birth, Spawner
from mta.shells.spawning import Cells
from mta.wire import control
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed
from tests.fakes.descriptors import open_descriptors
from tests.fakes.house import House


def test_a_uid_is_nobody_elses_while_its_process_lives() -> None:
    """Given in turn, not given twice, and skipped while the kernel knows somebody under it."""
    alive = {101}
    uids = Uids(100, 4, alive.__contains__)
    assert [uids.take(), uids.take(), uids.take()] == [100, 102, 103]
    assert uids.take() is None
    uids.give_back(102)
    assert uids.take() == 102
    alive.clear()
    assert uids.take() == 101


def test_where_all_have_one_uid_there_is_nothing_to_give() -> None:
    """Started by an ordinary user: 0 says, stay who you are."""
    uids = Uids(100, 0, lambda _uid: True)
    assert {uids.take() for _ in range(5)} == {0}


class FakeOffspring:
    """Notes who was forked; a pid of None is a kernel without processes."""

    def __init__(self) -> None:
        self.ended: list[Callable[[int], None]] = []
        self.fails = False

    @property
    def alive(self) -> int:
        return len(self.ended)

    def reap(self) -> None:
        """Nobody ended."""

    def fork(self, _work: Callable[[], int], ended: Callable[[int], None]) -> int:
        if self.fails:
            raise BlockingIOError(11, "no process")
        self.ended.append(ended)
        return 1


class Rig:
    def __init__(self, most: int) -> None:
        self.house = House(roster.SMTPDSPAWN, {})
        self.offspring = FakeOffspring()
        names = roster.servers_of(roster.SMTPDSPAWN)
        uids = Uids(100, 50, lambda _uid: False)
        self.spawner = Spawner(self.house.loop, names, self.offspring, uids, most, live)  # type: ignore[arg-type]
        self.spawner.peers = control.Peers(
            roster.SMTPDSPAWN,
            self.house.start,
            self.house.loop,
            {"listener": self.spawner.take},
            lost=self.spawner.lost,
        )
        self.house.loop.after_burst.append(self.spawner.begin_all)
        self.listener = self.house.client("listener")
        self.directory = self.house.server("directory")

    def connect(self, session: bytes) -> socket.socket:
        client, served = socket.socketpair()
        with served:
            accepted = m.Accepted(session, b"192.0.2.1", 1, b"smtp", b"token")
            self.listener.send(accepted, (served.fileno(),))
        self.house.settle()
        client.settimeout(1)
        return client

    def finished(self) -> list[bytes]:
        return [message.session for message in self.house.hear(self.listener) if isinstance(message, m.Finished)]


def live(_birth: Birth) -> int:
    raise AssertionError("nobody is forked here")


def test_a_cell_is_introduced_and_reported_when_it_is_reaped() -> None:
    """Attach with the session to each peer that is there; Finished after the end, not before."""
    rig = Rig(most=5)
    with rig.house, rig.connect(b"s1"):
        [(attach, (descriptor,))] = list(rig.directory.receive())
        os.close(descriptor)
        assert attach == m.Attach(b"s1")
        assert rig.finished() == []
        rig.offspring.ended.pop()(0)
        assert rig.finished() == [b"s1"]


@pytest.mark.parametrize("why", ["too many", "no process", "stopping"])
def test_who_gets_no_cell_hears_421(why: str) -> None:
    """And the listener hears at once that the conversation is over."""
    rig = Rig(most=1)
    with rig.house, rig.connect(b"s1"):
        rig.spawner.most += why != "too many"
        rig.offspring.fails = why == "no process"
        rig.spawner.stopping = why == "stopping"
        with rig.connect(b"s2") as client:
            assert client.recv(100).startswith(b"421 4.3.2 ")
            assert client.recv(100) == b""
        assert rig.finished() == [b"s2"]


def test_an_introduced_channel_speaks_of_its_session_only() -> None:
    """Its own question reaches the role; another's session, and the channel is closed. The introducer's stays open."""
    heard: list[m.Message] = []
    with House(roster.DIRECTORY, {}) as house:
        control.Peers(
            roster.DIRECTORY, house.start, house.loop, {"smtpd": lambda _channel, packet: heard.append(packet[0])}
        )
        spawner = house.client("smtpdspawn")
        for lie in (False, True):
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            spawner.send(m.Attach(b"own"), (theirs.fileno(),))
            theirs.close()
            cell = Channel(ours, "directory", frozenset({m.Verdict}))
            cell.send(m.Question(1, b"another" if lie else b"own", b"192.0.2.1", b"", b"", b"a@b.test", 0))
            house.settle()
            assert len(heard) == 1
            ours.setblocking(True)
            if lie:
                assert ours.recv(10) == b""
            cell.close()
        assert not spawner.closed


def test_what_is_introduced_and_is_no_socket_ends_the_introducer_and_nobody_else() -> None:
    """A pipe in the place of a channel: who hands that was taken over, and the role that it was handed to goes on."""
    with House(roster.DIRECTORY, {}) as house:
        control.Peers(roster.DIRECTORY, house.start, house.loop, {})
        spawner = house.client("smtpdspawn")
        before = open_descriptors()
        reading, writing = os.pipe()
        spawner.send(m.Attach(b"own"), (reading,))
        os.close(reading)
        os.close(writing)
        house.settle()
        with pytest.raises(ChannelClosed):
            next(spawner.receive())
        assert open_descriptors() < before


def test_the_rehearsal_is_a_conversation_to_its_end() -> None:
    """Or every start of smtpdspawn would fail: it asserts the end of each itself."""
    cells = Cells(roster.SMTPDSPAWN, {"host.name": b"mx.example.test"})
    before = open_descriptors()
    rehearse(roster.SMTPDSPAWN, cells.cell)
    assert open_descriptors() <= before


def test_the_rehearsal_of_submission_logs_in_too() -> None:
    """TLS from the start, a log-in, a sender: what a user's cell will do."""
    settings = {"host.name": b"mx.example.test", "submission.mechanisms": b"PLAIN"}
    cells = Cells(roster.SUBMISSIONSPAWN, settings)
    before = open_descriptors()
    rehearse(roster.SUBMISSIONSPAWN, cells.cell)
    assert open_descriptors() <= before


def cells_channel(birth: Birth, peer: str) -> socket.socket:
    """The cell's end of its channel to *peer*, as a fork would have it."""
    return socket.socket(fileno=os.dup(birth.pairs[peer][0].fileno()))


@pytest.mark.parametrize("outcome", ["speaks", "ends", "peer is gone"])
def test_who_is_seldom_asked_meets_a_cell_at_its_first_word(outcome: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With that word, unread, though the cell has ended meanwhile; without one, never, and nothing stays open.

    A peer that goes before they met is away for the cell at once.
    """
    speaks = outcome == "speaks"
    rig = Rig(most=5)
    monkeypatch.setattr(rig.spawner, "_fork", lambda _birth: True)
    with rig.house:
        journal = rig.house.server("journal")
        conceive = rig.spawner._conceive
        cells: list[socket.socket] = []

        def conceived(listener: Channel, accepted: m.Accepted, client: int) -> Birth | None:
            birth = conceive(listener, accepted, client)
            assert birth is not None
            cells.append(cells_channel(birth, "journal"))
            return birth

        monkeypatch.setattr(rig.spawner, "_conceive", conceived)
        before = open_descriptors()
        with rig.connect(b"s1"):
            assert list(journal.receive()) == []
            if speaks:
                cells[0].send(m.Event(b"refused", ()).encode())
            if outcome == "peer is gone":
                journal.close()
                rig.house.settle()
                assert cells[0].recv(1) == b""
                cells[0].close()
                before -= 2  # the journal's channel, both ends
            cells[0].close()
            rig.house.settle()
            met = [] if journal.closed else list(journal.receive())
            assert [message for message, _ in met] == ([m.Attach(b"s1")] if speaks else [])
            for _, (descriptor,) in met:
                with socket.socket(fileno=descriptor) as end:
                    assert end.recv(1000) == m.Event(b"refused", ()).encode()
        for message, descriptors in rig.directory.receive():
            assert message == m.Attach(b"s1")
            os.close(descriptors[0])
        assert open_descriptors() <= before
