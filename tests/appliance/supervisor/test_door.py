"""The door for operators' orders, over real sockets: who is answered, under which tag, and who is let in at all."""

import os
import socket
import stat

import pytest

from appliance.supervisor import door
from appliance.supervisor.door import MAX_ASKERS, NAME, Door
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed
from mta.wire.loop import Loop

AWAY = m.QueueTold(5, last=True, pairs=door._AWAY)


class Rig:
    """A door, a scheduler that is there or not, and operators."""

    def __init__(self, run):
        self.run, self.loop, self.is_there = run, Loop(), True
        self.ordered = []
        self.door = Door(run, self.loop, self.order)
        self.open = []

    def order(self, order):
        if self.is_there:
            self.ordered.append(order)
        return self.is_there

    def operator(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        folder = os.open(self.run, os.O_RDONLY | os.O_DIRECTORY)
        sock.connect(f"/proc/self/fd/{folder}/{NAME}")
        os.close(folder)
        self.open.append(Channel(sock, "supervisor", permits.TO_OPERATOR))
        self.loop.run_until_idle()
        return self.open[-1]

    def ask(self, operator, tag=5):
        operator.send(m.QueueOrder(tag, b"list", b"all", b"", b"", 9))
        self.loop.run_until_idle()

    def tell(self, order, *, last=True, pairs=(b"done", b"1")):
        self.door.told(m.QueueTold(order.tag, last, pairs))
        self.loop.run_until_idle()

    def close(self):
        self.door.close()
        for channel in (*self.open, *self.door._askers):
            channel.close()


@pytest.fixture
def rig(tmp_path):
    rig = Rig(tmp_path)
    yield rig
    rig.close()


def heard(operator):
    return [message for message, _ in operator.receive()]


def test_two_operators_with_the_same_tag_each_hear_their_own_answer(rig):
    """Scheduler sees a tag of ours, given once; each answer goes back under the asker's, to the last of it and no further."""
    first, second = rig.operator(), rig.operator()
    rig.ask(first)
    rig.ask(second)
    one, two = rig.ordered
    assert one.tag != two.tag
    rig.tell(two, pairs=(b"done", b"2"))
    rig.tell(one, last=False, pairs=(b"queue_id", b"x"))
    rig.tell(one)
    rig.tell(one)
    assert heard(second) == [m.QueueTold(5, True, (b"done", b"2"))]
    assert heard(first) == [m.QueueTold(5, False, (b"queue_id", b"x")), m.QueueTold(5, True, (b"done", b"1"))]


def test_who_asks_while_scheduler_is_away_or_ends_is_told_so(rig):
    """At once, and once; nobody waits for an answer that cannot come."""
    operator = rig.operator()
    rig.is_there = False
    rig.ask(operator)
    assert heard(operator) == [AWAY]
    rig.is_there = True
    rig.ask(operator)
    rig.door.away()
    rig.door.away()
    assert heard(operator) == [AWAY]


def test_an_answer_for_somebody_who_is_gone_is_nobodys(rig):
    """Nor does it end the supervisor."""
    operator = rig.operator()
    rig.ask(operator)
    operator.close()
    rig.loop.run_until_idle()
    rig.tell(rig.ordered[0])
    assert rig.door._asked == {}
    other = rig.operator()
    rig.ask(other)
    rig.tell(rig.ordered[-1])
    assert len(heard(other)) == 1


@pytest.mark.parametrize("packet", [b"junk", m.Clean((b"0" * 20,)).encode(), m.QueueTold(1, True, ()).encode(), b""])
def test_who_says_anything_but_an_order_is_hung_up_on(rig, packet):
    """Others' words too: who may order something of the queue may not speak for a role."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.connect(str(rig.run / NAME)) if len(str(rig.run)) < 90 else sock.connect(os.path.relpath(rig.run / NAME))
    rig.loop.run_until_idle()
    sock.send(packet)
    rig.loop.run_until_idle()
    sock.settimeout(5)
    assert sock.recv(10) == b""
    sock.close()
    assert (rig.ordered, rig.door._askers) == ([], set())


def test_no_more_than_so_many_are_let_in_and_a_place_is_free_again_when_one_goes(rig):
    """Whoever comes too many is hung up on, and keeps nobody else from asking."""
    operators = [rig.operator() for _ in range(MAX_ASKERS + 1)]
    with pytest.raises(ChannelClosed):
        heard(operators[-1])
    operators[0].close()
    rig.loop.run_until_idle()
    rig.ask(rig.operator())
    assert len(rig.ordered) == 1


def test_the_socket_is_for_its_owner_alone_and_replaces_a_predecessors(tmp_path):
    """One that a killed supervisor left must not keep the next from starting."""
    first = Rig(tmp_path)
    first.close()
    assert (tmp_path / NAME).exists()
    second = Rig(tmp_path)
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600
    second.ask(second.operator())
    assert len(second.ordered) == 1
    second.close()
