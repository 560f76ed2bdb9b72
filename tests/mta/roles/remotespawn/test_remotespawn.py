"""The real processes - remotespawn, its nursery, its remotes - between a scheduler, a resolver and hosts that the test plays."""

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from mta import roster
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed
from tests.fakes.mx import Manners, StubMx
from tests.fixtures.lone_role import UID_BASE, readable

pytest_plugins = ["tests.fixtures.lone_role"]

CONTENT = b"Subject: hello\r\n\r\n.dots\r\n"
QUEUE_ID = b"0123456789abcdef0000"
SECONDS = 15.0


class World:
    """remotespawn, and all that it speaks with."""

    def __init__(self, lone_role, state, **settings):
        defaults = {"outbound.allow_loopback": b"true", "outbound.connections_per_destination": b"5"}
        told = {name.replace("__", "."): value for name, value in settings.items()}
        self.role = lone_role(roster.REMOTESPAWN, state, root=os.geteuid() == 0, settings=defaults | told)
        self.state = state
        self.scheduler = self.role.as_client("scheduler")
        self.resolver = self.role.as_server("resolver")
        self.journal = self.role.as_server("journal")
        self.remotes: list[Channel] = []
        self.zone: dict[tuple[bytes, bytes], tuple[bytes, ...]] = {}
        self.asked: list[tuple[bytes, bytes]] = []
        self.answers: dict[int, list[m.Sent]] = {}
        self.done: dict[int, m.SendDone] = {}
        self.aside: list[int] = []
        self.events: list[m.Event] = []
        self._tag = 0
        self.put(QUEUE_ID, CONTENT)

    def put(self, queue_id, octets):
        path = self.state / "spool" / "content" / queue_id.decode()
        path.write_bytes(octets)
        path.chmod(0o644)

    def send(
        self, domain, *recipients, queue_id=QUEUE_ID, options=b"", doubtful=False, route=b"", reverse=b"me@here.test"
    ):
        self._tag += 1
        recipients = recipients or (b"joe@" + domain,)
        self.scheduler.send(
            m.Send(self._tag, queue_id, domain, route, reverse, options, len(CONTENT), len(recipients), doubtful)
        )
        for index, each in enumerate(recipients):
            self.scheduler.send(m.SendRecipient(self._tag, index, each, b""))
        return self._tag

    def wait(self, *tags, seconds=SECONDS):
        """Until these are done; what became of the recipients of the last one."""
        self.serve(lambda: all(tag in self.done for tag in tags), seconds)
        return [(each.action, each.status) for each in self.answers[tags[-1]]]

    def serve(self, is_enough, seconds=SECONDS):
        deadline = time.monotonic() + seconds
        while not is_enough():
            assert time.monotonic() < deadline, (self.answers, self.done, self.events)
            for channel in (self.scheduler, self.resolver, self.journal, *self.remotes):
                if not channel.closed and readable(channel.fileno(), 0.005):
                    self._read(channel)

    def _read(self, channel):
        try:
            for message, descriptors in channel.receive():
                match message:
                    case m.Attach():
                        kinds = permits.readable_by_server("remote", "resolver")
                        self.remotes.append(Channel(socket.socket(fileno=descriptors[0]), "remote", kinds))
                    case m.LookUp(tag, name, kind):
                        self.asked.append((name, kind))
                        records = self.zone.get((name, kind), ())
                        channel.send(m.Found(tag, b"answer" if records else b"none", False, records))
                    case m.Sent():
                        self.answers.setdefault(message.tag, []).append(message)
                    case m.SendWaits(tag):
                        self.aside.append(tag)
                    case m.SendDone():
                        self.done[message.tag] = message
                    case m.Event():
                        self.events.append(message)
        except ChannelClosed:
            channel.close()


@pytest.fixture
def hosts():
    made = []

    def make(manners=None, **where):
        made.append(StubMx(manners, **where))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture
def make_world(lone_role, state):
    made = []

    def make(**settings):
        made.append(World(lone_role, state, **settings))
        return made[-1]

    yield make
    for world in made:
        for channel in world.remotes:
            channel.close()


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_message_reaches_the_host_that_mx_names(make_world, hosts):
    """Dots and all; over one connection when there are more."""
    host = hosts()
    world = make_world(outbound__port=b"%d" % host.port)
    world.zone = {(b"example.test", b"MX"): (b"10 mail.example.test",), (b"mail.example.test", b"A"): (b"127.0.0.1",)}
    assert world.wait(world.send(b"example.test")) == [(b"relayed", b"2.0.0")]
    assert (
        world.wait(world.send(b"example.test", b"joe@example.test", b"ann@example.test"))
        == [(b"relayed", b"2.0.0")] * 2
    )
    assert host.contents == [CONTENT, CONTENT]
    (heard,) = host.heard
    assert heard.commands[:2] == [b"EHLO mx.example.test", b"MAIL FROM:<me@here.test> SIZE=25"]
    sent = world.answers[1][0]
    assert (sent.diagnostic_code, sent.remote_mta) == (b"250 2.0.0 queued as stub", b"mail.example.test (127.0.0.1)")
    assert (world.done[1].host_trouble, world.role.process.poll()) == (False, None)
    if os.geteuid() == 0:
        (nursery,) = children_of(world.role.process.pid)
        (remote,) = children_of(nursery)
        uids = [os.stat(f"/proc/{pid}/task").st_uid for pid in (nursery, remote)]
        owners = [int(Path(f"/proc/{pid}/status").read_text().split("Uid:")[1].split()[0]) for pid in (nursery, remote)]
        assert owners[0] == UID_BASE + roster.NURSERY.number, uids
        assert 0 <= owners[1] - UID_BASE - roster.REMOTE_UIDS_FROM < roster.REMOTE_UIDS


def test_the_second_host_when_the_first_is_dead(make_world, hosts):
    """RFC 5321 5.1. And what does not resolve at all is the destination's trouble."""
    host = hosts()
    world = make_world(outbound__port=b"%d" % host.port)
    world.zone = {
        (b"example.test", b"MX"): (b"20 second.test", b"10 first.test"),
        (b"first.test", b"A"): (b"127.0.0.9",),
        (b"second.test", b"A"): (b"127.0.0.1",),
        (b"null.test", b"MX"): (b"0 .",),
        (b"dead.test", b"MX"): (b"0 first.test",),
    }
    first, second, third = world.send(b"example.test"), world.send(b"null.test"), world.send(b"dead.test")
    assert world.wait(second) == [(b"failed", b"5.1.10")]
    assert world.wait(third) == [(b"delayed", b"4.4.1")]
    assert world.wait(first) == [(b"relayed", b"2.0.0")]
    assert [world.done[tag].host_trouble for tag in (first, second, third)] == [False, False, True]


def test_a_remote_that_is_killed_is_answered_for(make_world, hosts):
    """Delayed, and not the destination's fault; the next message gets another one."""
    host = hosts(Manners(answers={b".": lambda _line: time.sleep(30) or b"250 ok"}))
    world = make_world(outbound__port=b"%d" % host.port)
    world.zone = {(b"example.test", b"A"): (b"127.0.0.1",)}
    tag = world.send(b"example.test")
    world.serve(lambda: bool(host.contents))
    (nursery,) = children_of(world.role.process.pid)
    (remote,) = children_of(nursery)
    os.kill(remote, signal.SIGKILL)
    assert world.wait(tag) == [(b"delayed", b"4.3.0")]
    assert not world.done[tag].host_trouble
    host.manners.answers.clear()
    assert world.wait(world.send(b"example.test")) == [(b"relayed", b"2.0.0")]
    world.serve(lambda: {event.name for event in world.events} >= {b"remote-lost", b"remote-ended"})


def test_hanging_hosts_do_not_take_every_place(make_world, hosts):
    """More of them than places, and doubtful ones besides: a live host's mail goes out all the same."""
    live, silent = hosts(), hosts(Manners(behave=lambda sock, _heard: time.sleep(60)), address="127.0.0.2")
    world = make_world(
        outbound__port=b"%d" % live.port, outbound__max_destinations=b"4",
    )  # fmt: skip
    hanging = hosts(Manners(behave=lambda sock, _heard: time.sleep(60)), address="127.0.0.3", port=live.port)
    assert silent.port != hanging.port
    for number in range(6):
        world.zone[b"hang%d.test" % number, b"A"] = (b"127.0.0.3",)
    world.zone[b"live.test", b"A"] = (b"127.0.0.1",)
    doubtful = [world.send(b"hang%d.test" % number, doubtful=True) for number in range(6)]
    world.serve(lambda: len(hanging.heard) == 2)
    began = time.monotonic()
    assert world.wait(world.send(b"live.test")) == [(b"relayed", b"2.0.0")]
    assert time.monotonic() - began < 20  # whoever hangs does so for a minute
    assert len(hanging.heard) == 2
    assert not [tag for tag in doubtful if tag in world.done]
    healthy = [world.send(b"hang%d.test" % number, doubtful=False) for number in range(6)]
    world.zone[b"other.test", b"A"] = (b"127.0.0.1",)
    assert world.wait(world.send(b"other.test"), seconds=40) == [(b"relayed", b"2.0.0")]
    assert healthy
    hurried = [tag for tag in (*doubtful, *healthy) if tag in world.done]
    assert hurried
    assert all(world.done[tag].host_trouble for tag in hurried)


def test_hosts_that_never_say_their_last_word_take_no_place_for_long(make_world, hosts):
    """They have the content, and may have taken it: they are waited for, but aside; at last the longest is given up, in doubt."""
    live = hosts()
    mute = hosts(Manners(answers={b".": lambda _line: time.sleep(60)}), address="127.0.0.3", port=live.port)
    world = make_world(outbound__port=b"%d" % live.port, outbound__max_destinations=b"2")
    names = [b"mute%d.test" % number for number in range(4)]
    world.zone = {(name, b"A"): (b"127.0.0.3",) for name in names} | {(b"live.test", b"A"): (b"127.0.0.1",)}
    first = [world.send(name) for name in names[:2]]
    world.serve(lambda: len(mute.contents) == 2)
    assert world.wait(world.send(b"live.test"), seconds=20) == [(b"relayed", b"2.0.0")]
    assert world.aside
    assert set(world.aside) <= set(first)
    assert not [tag for tag in first if tag in world.done], "who waits for a last word is not told otherwise"
    mute.manners.answers.clear()
    assert world.wait(world.send(b"mute3.test"), seconds=20) == [(b"relayed", b"2.0.0")]


@pytest.mark.parametrize("which", ["domain", "queue id", "recipients", "order"])
def test_a_scheduler_that_does_not_keep_to_the_protocol_is_hung_up_on(make_world, which):
    """Names become paths, and counts loops."""
    world = make_world()
    good = {"domain": b"example.test", "queue id": QUEUE_ID, "recipients": 1}
    bad = {"domain": b"../x", "queue id": b"../../etc/passwd", "recipients": 0}
    fields = good | ({which: bad[which]} if which in bad else {})
    send = m.Send(1, fields["queue id"], fields["domain"], b"", b"", b"", 5, fields["recipients"])
    world.scheduler.send(send)
    if which == "order":
        world.scheduler.send(m.SendRecipient(1, 1, b"x@example.test", b""))
    world.serve(lambda: world.scheduler.closed)


def test_content_that_is_gone_is_delayed(make_world):
    """And no fault of the destination."""
    world = make_world()
    tag = world.send(b"example.test", queue_id=b"0123456789abcdef9999")
    assert world.wait(tag) == [(b"delayed", b"4.3.0")]
    assert not world.done[tag].host_trouble


def test_it_ends_with_its_children(make_world, hosts):
    """Nobody of them outlives it."""
    host = hosts()
    world = make_world(outbound__port=b"%d" % host.port)
    world.zone = {(b"example.test", b"A"): (b"127.0.0.1",)}
    world.wait(world.send(b"example.test"))
    (nursery,) = children_of(world.role.process.pid)
    (remote,) = children_of(nursery)
    world.role.control.send(m.Stop())
    assert world.role.process.wait(SECONDS) == 0
    deadline = time.monotonic() + SECONDS
    while any(
        Path(f"/proc/{pid}").exists() and " Z" not in Path(f"/proc/{pid}/stat").read_text() for pid in (nursery, remote)
    ):
        assert time.monotonic() < deadline
        time.sleep(0.02)
