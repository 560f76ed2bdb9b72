"""Roles that sleep until they are asked: the tree with processes that are none, its channels being real."""

import os
import select
import socket
from collections.abc import Iterator

import pytest

from appliance.supervisor import tree
from appliance.supervisor.bells import Bells
from appliance.supervisor.plan import Plan
from appliance.supervisor.tree import Member, Tree
from mta import roster
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, pair
from mta.wire.loop import Loop

SETTINGS = {
    "smtpd.isolation": "worker",
    "listen.panel": "a port",
    "listen.submission": "a port",
    "outbound.tls_reports": "x",
}
SLEEPERS = {role.name for role in roster.started_with(SETTINGS) if role.when_asked}
FIRST_PID = 900_000_000  # above any real one, so that nobody is ever killed by it


class Born:
    """What a process would be: its end of the control channel, and whom it was told of."""

    def __init__(self, name: str, control: Channel) -> None:
        self.name, self.control = name, control
        self.settings: dict[bytes, bytes] = {}
        self.channels = [control]
        self.asks: dict[str, Channel] = {}
        self.serves: dict[str, Channel] = {}
        self.met: list[str] = []

    def hear(self) -> None:
        """Take in what the supervisor said so far."""
        while (packet := self.control.receive_one()) is not None:
            message, descriptors = packet
            if isinstance(message, m.Begin | m.Reload):
                self.settings.update(zip(message.pairs[::2], message.pairs[1::2], strict=True))
            elif isinstance(message, m.Peer):
                peer = message.role.decode()
                self.met.append(peer)
                name = self.name
                permitted = (
                    permits.readable_by_server(peer, name)
                    if message.serving
                    else permits.readable_by_client(name, peer)
                )
                self.channels.append(Channel(socket.socket(fileno=descriptors[0]), peer, permitted))
                (self.serves if message.serving else self.asks)[peer] = self.channels[-1]

    def end(self) -> None:
        """Hang up on everybody."""
        for channel in self.channels:
            channel.close()


class Household:
    """A tree, and everybody whom it started."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, wake_all: bool = False) -> None:
        self.started: dict[str, list[Born]] = {}
        self.fails = 0  # so many processes cannot be had
        self.pids = 0
        monkeypatch.setattr(tree, "spawn", self._spawn)
        plan: Plan = {
            "state": "/nowhere", "config": "/nowhere.toml", "uid_base": 1000, "wake_all": wake_all, "listen": {},
            "instances": {}, "settings": dict(SETTINGS),
        }  # fmt: skip
        self.loop = Loop()
        self.changes = 0
        self.tree = Tree(plan, [], self.loop, self._changed)
        self.tree.start()

    def _spawn(self, module: str, control: socket.socket, _streams: tuple[int, int, int]) -> int:
        if self.fails:
            self.fails -= 1
            raise BlockingIOError("no process to be had")
        name = next(role.name for role in roster.ROLES if role.module == module)
        own = Channel(control.dup(), "supervisor", permits.FROM_SUPERVISOR)
        self.started.setdefault(name, []).append(Born(name, own))
        self.pids += 1
        return FIRST_PID + self.pids

    def _changed(self) -> None:
        self.changes += 1

    def role(self, name: str) -> Born:
        """The latest process of it, which heard what it was told."""
        born = self.started[name][-1]
        born.hear()
        return born

    def member(self, name: str) -> Member:
        return next(member for member in self.tree.members if member.role.name == name)

    def ready(self) -> None:
        """All who were started say that they serve."""
        for name in self.started:
            self.role(name).control.send(m.Ready())
        self.loop.run_until_idle()

    def end(self, name: str) -> None:
        """Its process ends, and with it its channels."""
        self.role(name).end()
        self.loop.run_until_idle()

    def close(self) -> None:
        """Leave no descriptor open."""
        for born in (each for several in self.started.values() for each in several):
            if not born.control.closed:
                born.hear()
            born.end()
        for member in self.tree.members:
            if member.control is not None:
                member.control.close()
            if member.bells is not None:
                for end in member.bells.take().values():
                    end.close()
        streams = self.tree.streams
        for each in (streams.nothing, streams.complaints, streams.complaining, streams.stdout, streams.stderr):
            os.close(each)
        self.loop.close()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Household]:
    made = Household(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def wakeful(monkeypatch: pytest.MonkeyPatch) -> Iterator[Household]:
    made = Household(monkeypatch, wake_all=True)
    yield made
    made.close()


def asks_nothing_yet(home: Household) -> None:
    home.loop.run_until_idle()
    assert SLEEPERS.isdisjoint(home.started)


def test_who_is_not_asked_sleeps_and_the_house_is_ready(home: Household) -> None:
    """No process, no pid; everybody who may ask has a channel all the same."""
    asks_nothing_yet(home)
    assert {"source", "fetcher", "signer", "remotespawn"} <= SLEEPERS
    assert {home.member(name).state for name in SLEEPERS} == {"asleep"}
    assert not home.tree.ready
    home.ready()
    assert home.tree.ready
    assert home.tree.served
    assert "remotespawn" in home.role("scheduler").asks
    assert {"source", "resolver"} <= set(home.role("directory").asks)


def test_the_first_question_wakes_whom_it_is_for_and_nobody_else(home: Household) -> None:
    """What was said first, and the descriptors beside it, arrive as if it had always been there."""
    home.ready()
    home.role("directory").asks["source"].send(m.Exists(7, b"joe@example.test"))
    home.loop.run_until_idle()
    assert [name for name in SLEEPERS if name in home.started] == ["source"]
    source = home.role("source")
    assert home.member("source").state == "starting"
    packet = source.serves["directory"].receive_one()
    assert packet is not None
    assert packet[0] == m.Exists(7, b"joe@example.test")
    assert {"resolver", "journal"} <= set(source.asks)
    source.control.send(m.Ready())
    home.loop.run_until_idle()
    assert home.member("source").state == "running"
    source.serves["directory"].send(m.Existence(7, b"accept", 60))
    answer = home.role("directory").asks["source"].receive_one()
    assert answer is not None
    assert isinstance(answer[0], m.Existence)


def test_descriptors_beside_the_first_message_arrive(home: Household) -> None:
    """The supervisor looks whether there is something, and takes nothing off the channel."""
    rung: list[bool] = []
    bells = Bells(home.loop, lambda: rung.append(True))
    ours, theirs = socket.socketpair()
    asking, serving = pair()
    with ours, theirs, asking:
        bells.hang(("remotespawn", 0), serving)
        Channel(asking, "resolver", frozenset()).send(m.Attach(b"a session"), (theirs.fileno(),))
        home.loop.run_until_idle()
        assert rung == [True]
        [end] = bells.take().values()
        with end:
            packet = Channel(end, "remotespawn", frozenset({m.Attach})).receive_one()
        assert packet is not None
        with socket.socket(fileno=packet[1][0]) as arrived:
            ours.send(b"x")
            assert arrived.recv(1) == b"x"


def test_whoever_wakes_may_ask_others_that_sleep(home: Household) -> None:
    """A chain: directory asks source, source asks resolver. It knows them before it is handed the question."""
    home.ready()
    home.role("directory").asks["source"].send(m.Exists(1, b"joe@example.test"))
    home.loop.run_until_idle()
    source = home.role("source")
    assert source.met.index("resolver") < source.met.index("directory")
    assert "resolver" not in home.started
    source.asks["resolver"].send(m.LookUp(1, b"mx.example.test", b"A"))
    home.loop.run_until_idle()
    packet = home.role("resolver").serves["source"].receive_one()
    assert packet is not None
    assert isinstance(packet[0], m.LookUp)


def test_a_client_that_ends_wakes_nobody(home: Household) -> None:
    """Nor does its successor, which has a channel of its own; nothing is left open of the first."""
    home.ready()
    descriptors = len(os.listdir("/proc/self/fd"))
    former = home.role("scheduler")
    home.end("scheduler")
    asks_nothing_yet(home)
    home.tree._ended(home.member("scheduler"), 0)
    home.loop.run_until_idle(0.05)
    assert home.role("scheduler") is not former
    asks_nothing_yet(home)
    assert len(os.listdir("/proc/self/fd")) == descriptors
    home.role("scheduler").asks["remotespawn"].send(m.SendRecipient(1, 0, b"joe@example.test", b""))
    home.loop.run_until_idle()
    assert home.role("remotespawn").serves["scheduler"].receive_one() is not None


def test_an_empty_packet_is_no_question(home: Household) -> None:
    """Whoever sends one hangs up on himself, as with a role that is awake."""
    home.ready()
    channel = home.role("directory").asks["source"]
    channel._sock.send(b"")  # type: ignore[attr-defined]
    asks_nothing_yet(home)
    assert select.select([channel], [], [], 0)[0]
    home.role("web").asks["source"].send(m.Exists(1, b"joe@example.test"))
    home.loop.run_until_idle()
    assert {"directory", "web"} <= set(home.role("source").serves)
    assert "source" in home.role("directory").met[-1:]


def test_who_was_woken_and_ends_is_restarted_at_once(home: Household) -> None:
    """It was needed once; its clients meet its successor."""
    home.ready()
    home.role("web").asks["resolver"].send(m.LookUp(1, b"mx.example.test", b"A"))
    home.loop.run_until_idle()
    home.role("resolver")
    home.end("resolver")
    home.tree._ended(home.member("resolver"), 9)
    assert home.member("resolver").state == "down"
    home.loop.run_until_idle(0.05)
    assert len(home.started["resolver"]) == 2
    assert home.member("resolver").state == "starting"
    assert {"web", "directory"} <= set(home.role("resolver").serves)


def test_settings_that_changed_meanwhile_are_what_it_begins_with(home: Household) -> None:
    home.ready()
    home.tree.reload(SETTINGS | {"outbound.bounce_format": "qsbmf"})
    asks_nothing_yet(home)
    home.role("ledger").asks["bouncer"].send(m.Notice(1, b"joe@example.test", b"why", 1, b""))
    home.loop.run_until_idle()
    assert home.role("bouncer").settings[b"outbound.bounce_format"] == b"qsbmf"


def test_a_stop_does_not_wake_anybody(home: Household) -> None:
    """Neither what is asked meanwhile, nor that everybody hangs up."""
    home.ready()
    asking = home.role("directory").asks["source"]
    for member in home.tree.members:
        member.pid = 0
    home.tree.stop()
    asking.send(m.Exists(1, b"joe@example.test"))
    for name in list(home.started):
        home.end(name)
    asks_nothing_yet(home)
    assert not home.tree.alive


def test_where_no_process_is_to_be_had_it_is_tried_again(home: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question waits in its channel; the rest of the house goes on."""
    monkeypatch.setattr(tree, "SPAWN_AGAIN_SECONDS", 0.01)
    home.ready()
    home.fails = 2
    home.role("directory").asks["source"].send(m.Exists(1, b"joe@example.test"))
    home.loop.run_until_idle()
    assert "source" not in home.started
    assert home.member("source").state == "asleep"
    while "source" not in home.started:
        home.loop.run_once(0.1)
    assert home.role("source").serves["directory"].receive_one() is not None


def test_a_house_that_wants_all_awake_starts_all(wakeful: Household) -> None:
    assert set(wakeful.started) == {role.name for role in roster.started_with(SETTINGS)}
    assert not wakeful.tree.ready
    wakeful.ready()
    assert wakeful.tree.ready


def test_whoever_sleeps_is_asked_by_somebody() -> None:
    """Else it would sleep for ever; and of several instances nobody says which one a question wakes."""
    for role in roster.ROLES:
        if role.when_asked:
            assert any(edge.server == role.name for edge in roster.EDGES), role.name
            assert not role.instances, role.name
