"""All processes of the house and the channels between them: made, replaced one by one, and ended together.

A reader would otherwise get wrong: a channel is never mended. When a role ends, each of its neighbours gets a fresh
channel to its successor, and the successor fresh ones to all of them. And a role that sleeps has channels already: its
clients have their ends, and may ask at any time; the other ends are held here until one of them does.
"""

import contextlib
import functools
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping

from appliance.supervisor.bells import Bells, Client
from appliance.supervisor.plan import SERVICES, Plan
from appliance.supervisor.ports import Listening
from appliance.supervisor.restart import Restarts
from appliance.supervisor.spawn import Streams, spawn
from mta import roster
from mta.record import dataclass, field
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, Packet, pair
from mta.wire.loop import Loop

KEY_OCTETS = 32
LAST_WORDS_SECONDS = 1.0  # for a role that hung up to end by itself, and to say why
STOP_SECONDS = 4.0  # Then SIGKILL: a stop may take five in all.
STAGE_SECONDS = 1.5  # How long the roles that ask may keep those they ask from being told to stop.
SPAWN_AGAIN_SECONDS = 1.0  # after the kernel refused a process
CONFIGURED = ("web", "compiler")  # They may know where the settings file is.


@dataclass(slots=True)
class Member:
    """One process of the house, now or soon again."""

    role: roster.Role
    instance: int
    pid: int = 0  # 0: not running
    control: Channel | None = None
    ready: bool = False
    since: float = 0.0
    restarts: Restarts = field(default_factory=Restarts)
    bells: Bells | None = None  # of one that sleeps: nobody has asked it anything yet

    @property
    def state(self) -> str:
        """How it is with it, in a word."""
        if self.bells is not None:
            return "asleep"
        return "running" if self.ready else "starting" if self.pid else "down"

    @property
    def label(self) -> str:
        """Its name for people."""
        return f"{self.role.name} {self.instance}" if self.role.instances else self.role.name


class Tree:
    """The house. *changed* is told after each start, readiness and end."""

    def __init__(self, plan: Plan, sockets: list[Listening], loop: Loop, changed: Callable[[], None]) -> None:
        self.told: Callable[[m.QueueTold], None] = lambda _: None  # what scheduler answers an operator
        self.untold: Callable[[], None] = lambda: None  # it ended, and answers nothing more
        self.asked: Callable[[Channel, m.Message], None] = lambda _channel, _message: None  # what web wants to know
        self.reaped: Callable[[int], None] = lambda _: None  # a process that ended, whosever it was
        self.members = [
            Member(role, instance)
            for role in roster.started_with(plan["settings"])
            for instance in range(plan["instances"].get(role.name, 1) if role.instances else 1)
        ]
        for member in self.members:
            if member.role.when_asked and not plan["wake_all"]:
                member.bells = Bells(loop, functools.partial(self._start, member))
        self.served = False  # Has everything been ready at once, ever?
        self.stopping = False
        self._plan, self._sockets, self._loop, self._changed = plan, sockets, loop, changed
        self._root = os.geteuid() == 0
        self.streams = Streams()
        names = {name for role in roster.ROLES for name in role.secrets}
        self._keys = {name: os.urandom(KEY_OCTETS) for name in sorted(names)}

    @property
    def ready(self) -> bool:
        """Does every process serve, or would it as soon as it is asked?"""
        return all(member.ready or member.bells is not None for member in self.members)

    @property
    def alive(self) -> bool:
        """Is any process running?"""
        return any(member.pid for member in self.members)

    def start(self) -> None:
        """Start all but those that sleep; the channels carry what is said before the other end listens."""
        for member in self.members:
            if member.bells is None:
                self._start(member)

    def reap(self) -> None:
        """Take note of every process that ended, ours or inherited from a role that ended before its children."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            self.reaped(pid)
            for member in self.members:
                if member.pid == pid:
                    self._ended(member, status)

    def reload(self, settings: Mapping[str, str]) -> None:
        """Tell every role the *settings* that may change without a stop."""
        self._plan["settings"] = dict(settings)
        for member in self.members:
            self._say(member, m.Reload(_flat({name: value.encode() for name, value in settings.items()})))

    def order(self, message: m.QueueOrder) -> bool:
        """Tell scheduler what an operator wants; False: it is away."""
        for member in self.members:
            if member.role is roster.SCHEDULER and member.ready:
                self._say(member, message)
                return True
        return False

    def stop(self) -> None:
        """Stop all, those who ask before those whom they ask; whoever is not gone in time is killed."""
        self.stopping = True
        self._loop.call_later(STOP_SECONDS, self.kill)
        self._stop_next(list(reversed(self.members)), time.monotonic() + STAGE_SECONDS)

    def kill(self) -> None:
        """SIGKILL to what still runs."""
        for member in self.members:
            self._kill(member)

    def _stop_next(self, members: list[Member], until: float) -> None:
        while members and (not members[0].pid or time.monotonic() >= until):
            self._say(members.pop(0), m.Stop())
        if members:
            self._say(members[0], m.Stop())
            # Told again on each call, which costs nothing: a role that is stopping heeds it no more than once.
            self._loop.call_later(0.01, lambda: self._stop_next(members, until))

    def _start(self, member: Member) -> None:
        if self.stopping or member.pid:
            return
        ours, theirs = pair()
        with theirs:
            try:
                member.pid = spawn(member.role.module, theirs, self.streams.of(member.role.name))
            except OSError as error:
                ours.close()
                if not self.served:
                    raise
                # The kernel has no process to give. Of a house that serves, the rest goes on, and this one is tried again.
                self._complain(f"{member.label} cannot be started: {error.strerror}")
                self._loop.call_later(SPAWN_AGAIN_SECONDS, lambda: self._start(member))
                return
        member.control = Channel(ours, member.label, permits.to_supervisor(member.role.name), member.instance)
        member.since, member.ready = time.monotonic(), False
        bells, member.bells = member.bells, None
        self._loop.add_channel(
            member.control, lambda _channel, packet: self._heed(member, packet), lambda _channel: self._hung_up(member)
        )
        self._say(member, m.Begin(_flat(self._settings_of(member))))
        for listening in self._sockets:
            if SERVICES[listening.service] == member.role.name:
                message = m.ListeningSocket(listening.service.encode(), listening.address.encode())
                self._say(member, message, listening.socket.fileno())
        self._connect(member, {} if bells is None else bells.take())

    def _connect(self, member: Member, kept: dict[Client, socket.socket]) -> None:
        """A channel for each edge between *member* and those that run, or sleep until they are asked.

        *kept*: the ends at which it was asked already. It gets them last, when it knows whom it may have to ask itself.
        """
        neighbours = [(edge, other) for edge in roster.EDGES for other in self.members if other is not member]
        for edge, other in neighbours:
            if (edge.client, edge.server) == (member.role.name, other.role.name):
                self._introduce(member, other)
        for edge, other in neighbours:
            if (edge.client, edge.server) == (other.role.name, member.role.name) and other.pid:
                end = kept.pop((other.role.name, other.instance), None)
                if end is None:
                    self._introduce(other, member)
                else:
                    self._hand_over(other, member, end)
        for end in kept.values():
            end.close()  # Who asked has ended meanwhile.

    def _introduce(self, client: Member, server: Member) -> None:
        if not server.pid and server.bells is None:
            return  # It is restarted, and meets everybody then.
        asking, serving = pair()
        with asking:
            self._say(client, m.Peer(server.role.name.encode(), server.instance, serving=False), asking.fileno())
        if server.bells is not None:
            server.bells.hang((client.role.name, client.instance), serving)
        else:
            self._hand_over(client, server, serving)

    def _hand_over(self, client: Member, server: Member, end: socket.socket) -> None:
        with end:
            self._say(server, m.Peer(client.role.name.encode(), client.instance, serving=True), end.fileno())

    def settings(self) -> dict[str, bytes]:
        """What everybody is told."""
        settings = {name: value.encode() for name, value in self._plan["settings"].items()}
        return settings | {"root": b"1" if self._root else b"0"}

    def _settings_of(self, member: Member) -> dict[str, bytes]:
        settings = self.settings() | {"instance": b"%d" % member.instance}
        if member.role.name in CONFIGURED:
            settings["config"] = self._plan["config"].encode()
        return settings | {name: self._keys[name] for name in member.role.secrets}

    def _heed(self, member: Member, packet: Packet) -> None:
        if isinstance(packet[0], m.Ready) and not member.ready:
            member.ready = True
            self.served = self.served or self.ready
            self._changed()
        elif isinstance(packet[0], m.QueueTold) and member.role is roster.SCHEDULER:
            self.told(packet[0])
        elif isinstance(packet[0], m.StandingOf | m.TryWalls) and member.control is not None:
            self.asked(member.control, packet[0])

    def _hung_up(self, member: Member) -> None:
        """Its control channel closed: it is ending, or said what it may not. Either way it ends."""
        pid = member.pid
        self._loop.call_later(LAST_WORDS_SECONDS, lambda: self._kill(member) if member.pid == pid else None)

    def _ended(self, member: Member, status: int) -> None:
        if member.control is not None:
            member.control.close()
        member.pid, member.control, member.ready = 0, None, False
        if member.role is roster.SCHEDULER:
            self.untold()
        if self.stopping:
            return
        delay = member.restarts.delay_after(time.monotonic() - member.since, failed=status != 0)
        self._tell_journal(member, status)
        self._changed()
        self._loop.call_later(delay, lambda: self._start(member))

    def _tell_journal(self, member: Member, status: int) -> None:
        self._complain(f"{member.label} ended with status {os.waitstatus_to_exitcode(status)} and is started again")

    def _complain(self, line: str) -> None:
        # Over the journal's own standard input: the supervisor has no channel to it, as it has none to anybody.
        with contextlib.suppress(BlockingIOError):
            os.write(self.streams.complaining, f"{line}\n".encode())

    def _say(self, member: Member, message: m.Message, *descriptors: int) -> None:
        # It may be gone already: then its end is reaped, and its successor told everything.
        if member.control is not None:
            with contextlib.suppress(ChannelClosed):
                member.control.send(message, descriptors)

    def _kill(self, member: Member) -> None:
        if member.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGKILL)


def _flat(settings: Mapping[str, bytes]) -> tuple[bytes, ...]:
    return tuple(part for name, value in settings.items() for part in (name.encode(), value))
