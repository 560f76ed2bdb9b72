"""tlsspawn's judgement without processes: what is left of a handshake for which there is no descriptor, or no process."""

import errno
import socket
from collections.abc import Callable

import pytest

from mta import roster
from mta.offspring import Uids
from mta.roles.tlsspawn import spawner as tlsspawn
from mta.wire import control, permits
from mta.wire import messages as m
from mta.wire.channel import Channel, pair
from tests.fakes.descriptors import open_descriptors
from tests.fakes.house import House


class NoProcesses:
    """A kernel that has none to give."""

    alive = 0

    def fork(self, _work: Callable[[], int], _ended: Callable[[int], None]) -> int:
        raise BlockingIOError(errno.EAGAIN, "no process")


@pytest.mark.parametrize("missing", ["the first pair", "the second pair", "a process"])
def test_a_handshake_for_which_something_is_missing_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    """Its smtpd is told, its client hung up on, its uid free; no descriptor stays, and the next one is served."""
    left = {"the first pair": 0, "the second pair": 1, "a process": 2}[missing]

    def few() -> tuple[socket.socket, socket.socket]:
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENFILE, "no descriptor")
        return pair()

    with House(roster.TLSSPAWN, {}) as house:
        uids = Uids(100, 1, lambda _uid: False)
        made = tlsspawn.Spawner(NoProcesses(), uids, 10, lambda _birth: 0)  # type: ignore[arg-type]
        made.peers = control.Peers(roster.TLSSPAWN, house.start, house.loop, {"smtpd": made.asked})
        keeper, journal, smtpdspawn = house.server("tls"), house.server("journal"), house.client("smtpdspawn")
        monkeypatch.setattr(tlsspawn, "pair", few)
        before = open_descriptors()
        client, served = socket.socketpair()
        ours, theirs = pair()
        with client, served, theirs:
            smtpdspawn.send(m.Attach(b"s1"), (theirs.fileno(),))
            cell = Channel(ours, "tlsspawn", permits.readable_by_client("smtpd", "tlsspawn"))
            cell.send(m.Secure(7, b"s1", b"smtp"), (served.fileno(),))
            served.close()
            house.settle()
            (answer,) = house.hear(cell)
            assert isinstance(answer, m.NotSecured)
            assert client.recv(10) == b""
            cell.close()
        assert uids.take() == 100
        assert open_descriptors() <= before
        assert not keeper.closed
        assert [event.name for event in house.hear(journal) if isinstance(event, m.Event)] == [b"handshake-failed"]
