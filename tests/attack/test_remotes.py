"""A taken-over remote: it has one destination's messages and calls out, and reaches no file, no neighbour, no other mail.

And the nursery, which makes remotes: it may become them, and holds nothing that they could want.
"""

import errno
import os
import platform
import shutil
import socket
import struct
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.sandbox import confinement
from mta.wire import messages as m
from tests.attack import files
from tests.attack.injector import in_address, injected
from tests.attack.probes import NUMBERS, PROBES, REFUSED, Target
from tests.fakes.mx import Manners, StubMx
from tests.fixtures.house import House, children, wait_until

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]
UID_BASE = 1_900_000_000
SECRET = b"nobody but ann reads this"
OUTWARD = {"connect", "bind", "socket tcp", "socket tcp6"}  # a remote's job; from where, a route may say
SETSOCKOPT, IP_FREEBIND, IP_TRANSPARENT = 54, 15, 19


class World:
    """A house with mail for two next hops that do not answer to the end of the content, so that two remotes live."""

    def __init__(self, house: House) -> None:
        self.house, self._release = house, threading.Event()
        self.hosts = [StubMx(Manners(answers={b".": self._wait})) for _ in range(2)]
        for name, host in zip(("one", "two"), self.hosts, strict=True):
            house.postern("domain", "add", f"{name}.test", "--relay-to", f"127.0.0.1:{host.port}")
            wait_until(lambda name=name: house.rcpt(f"postmaster@{name}.test")[0] == 250, 30, house.said)  # type: ignore[misc]
            house.send(f"postmaster@{name}.test", b"Subject: x\r\n\r\n" + SECRET + b"\r\n")
            wait_until(lambda host=host: host.contents, 30, house.said)  # type: ignore[misc]
        [self.nursery] = children(house.pid("remotespawn"))
        self.victim, self.neighbour = sorted(children(self.nursery))

    def _wait(self, _line: bytes) -> bytes:
        self._release.wait(600)
        return b"250 2.0.0 ok"

    def close(self) -> None:
        self._release.set()
        for host in self.hosts:
            host.close()

    def target(self, pid: int, other: int) -> Target:
        sockets = [int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir() if os.readlink(entry)[:6] == "socket"]
        first = UID_BASE + roster.REMOTE_UIDS_FROM
        house = self.house
        return Target(other, house.pid("supervisor"), house.port("smtp"), first, sockets, roster.REMOTE_UIDS, UID_BASE)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    folder = Path(tempfile.mkdtemp(prefix="postern-remotes-"))
    folder.chmod(0o711)
    made = None
    try:
        with House(folder / "house", awake=True) as house:
            made = World(house)
            yield made
    finally:
        if made is not None:
            made.close()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.must_show
def test_a_remote_reaches_no_file_no_neighbour_and_no_other_message(world: World) -> None:
    """Every probe of the suite, aimed at the remote beside it, whose uid is another; and every file of the house."""
    victim, neighbour, state = world.victim, world.neighbour, world.house.state
    assert Path(f"/proc/{victim}/environ").stat().st_uid == 0  # not dumpable: nobody of its own uid looks in
    uids = {Path(f"/proc/{pid}/status").read_text().split("Uid:\t")[1].split()[0] for pid in (victim, neighbour)}
    assert len(uids) == 2
    target = world.target(victim, neighbour)
    with injected(victim) as taken:
        through = {
            probe.name: answer for probe in PROBES if (answer := probe.attempt(taken, target)) not in probe.denied
        }
        into_the_pool = taken.syscall(NUMBERS["setresuid"], *[target.first_of_pool + 1] * 3)
        paths = list(files.foreign_files(state, roster.REMOTE))
        read = [path for path in paths if any(answer >= 0 for answer in files.ways_to(taken, state, path))]
    assert (set(through) - OUTWARD, into_the_pool, read) == (set(), -1, [])
    spooled = [path for path in paths if path.startswith("spool/content/")]
    assert len(spooled) == 2
    assert "keys/remotespawn.key" in paths


@pytest.mark.must_show
def test_a_remote_says_where_it_calls_from_and_cannot_be_called(world: World) -> None:
    """One of the machine's addresses, no port of its choice (Landlock ABI 4); never listened on, no datagrams, nobody else's."""
    with injected(world.victim) as taken:

        def tcp() -> int:
            descriptor = taken.syscall(NUMBERS["socket"], socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0)
            assert descriptor >= 0, "it could not even do its work"
            return descriptor

        def bind(host: str, port: int) -> int:
            descriptor = tcp()
            address = in_address(host, port)
            return closing(descriptor, taken.syscall(NUMBERS["bind"], descriptor, address, len(address)))

        def closing(descriptor: int, answer: int) -> int:
            taken.syscall(NUMBERS["close"], descriptor)
            return answer

        def set_option(level: int, option: int) -> int:
            descriptor = tcp()
            return closing(descriptor, taken.syscall(SETSOCKOPT, descriptor, level, option, b"\1\0\0\0", 4))

        def listen() -> int:
            descriptor = tcp()
            taken.syscall(NUMBERS["bind"], descriptor, in_address("127.0.0.1", 0), 16)
            return closing(descriptor, taken.syscall(NUMBERS["listen"], descriptor, 1))

        path = struct.pack("=H", socket.AF_UNIX) + b"/taken-over\0"
        answers = {
            "listen": listen(), "a port of its choice": bind("127.0.0.1", 20_025), "25": bind("127.0.0.1", 25),
            "an address that is not ours": set_option(socket.IPPROTO_IP, IP_FREEBIND),
            "anybody's address": set_option(socket.IPPROTO_IP, IP_TRANSPARENT),
            "a port that somebody has": set_option(socket.SOL_SOCKET, socket.SO_REUSEADDR),
            "unix": taken.syscall(NUMBERS["socket"], socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC, 0),
            "udp": taken.syscall(NUMBERS["socket"], socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC, 0),
            "a name in the file system": taken.syscall(NUMBERS["bind"], 3, path, len(path)),
        }  # fmt: skip
        assert bind("127.0.0.77", 0) == 0
        assert bind("192.0.2.77", 0) == -errno.EADDRNOTAVAIL
    if confinement.abi() < confinement.NETWORK_ABI:
        assert answers.pop("a port of its choice") == 0, "without the wall it may have any, or the attempt was clumsy"
    assert set(answers.values()) <= REFUSED, answers


@pytest.mark.must_show
def test_the_nursery_holds_no_mail_and_no_key(world: World) -> None:
    """Remotes are copies of it: what is not there is in none of them. It opens nothing, and leaves its pool for no uid."""
    nursery, state = world.nursery, world.house.state
    key = (state / "keys" / "remotespawn.key").read_bytes()
    for pid in (nursery, world.victim):
        memory = list(memory_of(pid))
        assert not any(key in region for region in memory), pid
        if pid == nursery:
            assert not any(SECRET in region for region in memory)
    with injected(nursery) as taken:
        assert taken.folders == {}
        paths = list(files.foreign_files(state, roster.NURSERY))
        read = [path for path in paths if any(answer >= 0 for answer in files.ways_to(taken, state, path))]
        uid = UID_BASE + roster.DOMAIN_UIDS_FROM
        became = [
            taken.syscall(NUMBERS["setresuid"], each, each, each)
            for each in (0, uid, UID_BASE + roster.SCHEDULER.number)
        ]
    assert (read, became) == ([], [-1, -1, -1])


@pytest.mark.must_show
def test_a_remote_that_lies_is_hung_up_on_and_speaks_for_its_own_messages_only(world: World) -> None:
    """On every channel that it holds: others' words, others' tags, answers that a remote may not give."""
    world.house.settle()
    before = len(world.house.events("relayed"))
    lies = (
        m.Sent(1_000_000, 0, b"relayed", b"2.0.0", b"", b""), m.SendDone(1_000_000, host_trouble=False, retry_after=0),
        m.Poke(), m.Transmit(1, b"", b"", 1, 1),
    )  # fmt: skip
    resolver, remotespawn = world.house.pid("resolver"), world.house.pid("remotespawn")
    with injected(world.victim) as taken:
        for entry in Path(f"/proc/{world.victim}/fd").iterdir():
            for lie in lies:
                packet = lie.encode()
                if os.readlink(entry).startswith("socket:"):
                    taken.syscall(NUMBERS["sendto"], int(entry.name), packet, len(packet), 0x4040, 0, 0)
    wait_until(
        lambda: world.house.events("remote-misbehaved") or world.house.events("remote-lost"), 10, world.house.said
    )
    world.house.settle()
    assert len(world.house.events("relayed")) == before
    assert (world.house.pid("resolver"), world.house.pid("remotespawn")) == (resolver, remotespawn)
    assert world.neighbour in children(world.nursery)


def memory_of(pid: int) -> Iterator[bytes]:
    """What stands in the writable memory of *pid*."""
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if rights.startswith("rw"):
                low, high = (int(part, 16) for part in place.split("-"))
                memory.seek(low)
                try:
                    yield memory.read(high - low)
                except OSError:
                    continue  # a special mapping
