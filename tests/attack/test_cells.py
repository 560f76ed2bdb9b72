"""smtpd.isolation = "connection": a cell that was taken over, beside another conversation; and the spawner that was.

The attacks of one conversation on another are tried with each wall alone too, and once without any, where they get through.
"""

import contextlib
import errno
import os
import platform
import shutil
import smtplib
import struct
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from mta import roster
from mta.wire import messages as m
from tests.attack import files
from tests.attack.injector import Injected, injected
from tests.attack.probes import NUMBERS, PROBES, REFUSED
from tests.attack.test_claims import channels_of
from tests.attack.test_walls import ENTER, TAKEN_DOWN, UID_BASE, got_through, opened, plant, target_of
from tests.fakes.smtpd_house import SmtpdHouse
from tests.fixtures.house import House, children, wait_until
from tests.fixtures.trees import Tree, copy_of_product

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]

POSTMASTER = "postmaster@mx.house.test"
SETTINGS = {"smtpd.isolation": '"connection"', "smtpd.max_connections_per_client": "0"}
ALL_WALLS = frozenset({"seccomp", "landlock", "root directory", "uid", "hardening", "limits"})

# What CellWalls adds to the walls of its parent, in the terms of TAKEN_DOWN.
OF_CELLS = {
    "seccomp": ("        self._filter()\n", ""),
    "landlock": ("        if ruleset is not None:\n", "        if False:\n"),
    "uid": ("        if uid:\n            os.setresgid", "        if False:\n            os.setresgid"),
    "limits": ("        limits.bound_fork(self._role)\n", ""),
}  # fmt: skip


def without(folder: Path, *walls: str) -> Tree:
    """A copy of the product in which neither roles nor cells build *walls*."""
    tree = copy_of_product(folder)
    for wall in walls:
        for table in (TAKEN_DOWN, OF_CELLS):
            if wall in table:
                tree.replace(ENTER, *table[wall])
    if "hardening" in walls:
        tree.replace("mta/sandbox/identity.py", "_PR_SET_DUMPABLE, 0, 0, 0, 0)", "_PR_SET_DUMPABLE, 1, 0, 0, 0)")
    if "seccomp" in walls:
        tree.replace(ENTER, '    seccomp.install(seccomp.assemble_refusal("io_uring_setup"))\n', "")
    return tree


@dataclass(frozen=True)
class Two:
    """Two conversations: the taken-over one, and one beside it."""

    attacker: int
    victim: int
    session: bytes  # the attacker's


class Spawned(Protocol):
    """As much of a house as two conversations need."""

    def smtp(self) -> smtplib.SMTP:
        """A conversation."""

    def pid(self, role: str) -> int:
        """The process of *role*."""

    def said(self) -> str:
        """What went wrong in it."""


class BetweenFakes:
    """A spawner of cells with nobody real around it: whom a cell could reach through no wall is the one beside it."""

    def __init__(self, house: SmtpdHouse) -> None:
        self._house = house

    def smtp(self) -> smtplib.SMTP:
        return smtplib.SMTP("127.0.0.1", self._house.port, local_hostname="client.test", timeout=30)

    def pid(self, role: str) -> int:
        return self._house.pids[role]

    def said(self) -> str:
        return self._house.output("smtpdspawn")


@contextlib.contextmanager
def neighbours(house: Spawned) -> Iterator[tuple[smtplib.SMTP, int, int]]:
    """The attacker's conversation, its process, and the one beside it. It begins first, so it is the first there is."""
    wait_until(lambda: not children(house.pid("smtpdspawn")), 30, house.said)
    with contextlib.closing(house.smtp()) as one:
        one.ehlo()
        one.mail("someone@client.test")
        [attacker] = children(house.pid("smtpdspawn"))
        with house.smtp() as told:
            told.ehlo()
            [victim] = set(children(house.pid("smtpdspawn"))) - {attacker}
            told.mail("someone@client.test")
            yield one, attacker, victim
            assert told.rset()[0] == 250, "the conversation beside it went on as if nothing had been"


@contextlib.contextmanager
def two(house: House) -> Iterator[Two]:
    """The same in a whole house, with the attacker's session."""
    refused = len(house.events("refused"))
    with neighbours(house) as (one, attacker, victim):
        one.rcpt("nobody@mx.house.test")  # the journal's line about it tells us its session
        event = wait_until(lambda: house.events("refused")[refused:], 30, house.said)[-1]
        yield Two(attacker, victim, event["session"].encode())


def peers_of(pid: int) -> list[int]:
    """The channels of a cell, in the order in which it got them: directory, enqueuer, … journal."""
    unix = {line.split()[6] for line in Path("/proc/net/unix").read_text().splitlines()[1:]}
    return sorted(fd for fd in channels_of(pid) if os.readlink(f"/proc/{pid}/fd/{fd}")[8:-1] in unix)


def opens(victim: Injected, name: str, flags: int = os.O_RDONLY) -> int:
    answer = victim.syscall(NUMBERS["open"], name.encode() + b"\0", flags)
    if answer >= 0:
        victim.syscall(NUMBERS["close"], answer)
    return answer


def reads_memory(cell: Injected, other: int) -> int:
    vector = struct.pack("=QQ", cell.place(b"\0" * 16), 16)
    return cell.syscall(NUMBERS["process_vm_readv"], other, vector, 1, vector, 1, 0)


def takes_socket(cell: Injected, other: int) -> int:
    descriptor = cell.syscall(NUMBERS["pidfd_open"], other, 0)
    if descriptor < 0:
        return descriptor
    answer = cell.syscall(NUMBERS["pidfd_getfd"], descriptor, channels_of(other)[0], 0)
    for each in (descriptor, answer):
        if each >= 0:
            cell.syscall(NUMBERS["close"], each)
    return answer


def becomes(cell: Injected, other: int) -> int:
    uid = Path(f"/proc/{other}").stat().st_uid or int(
        Path(f"/proc/{other}/status").read_text().split("Uid:\t")[1].split()[0]
    )
    return cell.syscall(NUMBERS["setresuid"], uid, uid, uid)


_NEARLY_ALL = frozenset({"uid", "seccomp", "landlock"})

# One conversation on another. By name: the attempt, and which walls stop it where they stand alone.
REACHES: dict[str, tuple[Callable[[Injected, int], int], frozenset[str]]] = {
    "read its memory": (reads_memory, _NEARLY_ALL),
    "/proc/<other>/mem": (lambda cell, other: opens(cell, f"/proc/{other}/mem", os.O_RDWR), _NEARLY_ALL),
    "/proc/<other>/environ": (lambda cell, other: opens(cell, f"/proc/{other}/environ"), _NEARLY_ALL),
    "/proc/<other>/fd": (lambda cell, other: opens(cell, f"/proc/{other}/fd"), _NEARLY_ALL),
    "trace it": (lambda cell, other: cell.syscall(NUMBERS["ptrace"], 1, other, 0, 0), frozenset({"seccomp"})),
    "signal it": (lambda cell, other: cell.syscall(NUMBERS["kill"], other, 0), _NEARLY_ALL),
    "signal its thread": (lambda cell, other: cell.syscall(NUMBERS["tgkill"], other, other, 0), _NEARLY_ALL),
    "take its socket": (takes_socket, _NEARLY_ALL),
    "change its limits": (
        lambda cell, other: cell.syscall(NUMBERS["prlimit64"], other, 7, 0, b"\0" * 16), frozenset({"uid", "seccomp"}),
    ),
}  # fmt: skip


def reached(house: Spawned, wall: str = "") -> dict[str, int]:
    """What got through from one conversation to another, of what *wall* should stop; of all of it when it is empty."""
    found = {}
    with neighbours(house) as (_, attacker, victim), injected(attacker) as cell:
        for name, (attempt, walls) in REACHES.items():
            if wall and wall not in walls:
                continue
            answer = attempt(cell, victim)
            if answer not in REFUSED | {-2}:
                found[name] = answer
    return found


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="postern-cells-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def spawner_of(folder: Path, tree: Tree) -> Iterator[BetweenFakes]:
    """As *tree* builds its walls."""
    folder.mkdir(mode=0o711)
    with SmtpdHouse(folder, "connection", tree=tree) as made:
        yield BetweenFakes(made)


@pytest.fixture(scope="module")
def house(place: Path) -> Iterator[House]:
    with House(place / "house", settings=SETTINGS, awake=True) as made:
        plant(made)
        made.wait_until_known(POSTMASTER)
        yield made


@pytest.mark.must_show
def test_a_taken_over_cell_reaches_nothing_of_the_kernel(house: House) -> None:
    """Every attack there is, with another conversation for a neighbour."""
    with two(house) as pair:
        target = target_of(house, pair.attacker)
        target.other = pair.victim
        with injected(pair.attacker) as cell:
            through = {probe.name: a for probe in PROBES if (a := probe.attempt(cell, target)) not in probe.denied}
            into_the_pool = becomes(cell, pair.victim)
    assert (through, into_the_pool) == ({}, -1)


@pytest.mark.must_show
def test_a_taken_over_cell_opens_no_file(house: House) -> None:
    """Not one of the house, by name or from what it holds, and it holds no folder."""
    foreign = [str(path.relative_to(house.state)) for path in house.state.rglob("*") if path.is_file()]
    with two(house) as pair, injected(pair.attacker) as cell:
        read = [path for path in foreign if any(answer >= 0 for answer in files.ways_to(cell, house.state, path))]
        made = [
            f.path for f in roster.FOLDERS if any(a >= 0 for a in files.ways_to_make(cell, house.state, f"{f.path}/x"))
        ]
        assert cell.folders == {}
    assert len(foreign) > 10
    assert (read, made) == ([], [])


@pytest.mark.must_show
def test_one_conversation_cannot_reach_another(house: House) -> None:
    """Its memory, its descriptors, its process, its limits."""
    assert reached(house) == {}


@pytest.mark.must_show
def test_the_kernel_says_so_of_a_cell(house: House) -> None:
    """/proc: a uid that nobody else has, no groups, no capability, no new privileges, two filters."""
    with two(house) as pair:
        states = [
            dict(line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
            for pid in (pair.attacker, pair.victim)
        ]
    owners = [set(state["Uid"].split()) for state in states]
    assert len(owners[0] | owners[1]) == 2
    assert {state["Groups"].strip() for state in states} == {""}
    assert {state[name] for state in states for name in ("CapPrm", "CapEff", "CapInh", "CapBnd", "CapAmb")} == {
        "0" * 16
    }
    assert {(state["NoNewPrivs"], state["Seccomp"], state["Seccomp_filters"]) for state in states} == {("1", "2", "2")}


def say(cell: Injected, descriptor: int, message: m.Message) -> None:
    packet = message.encode()
    assert cell.syscall(NUMBERS["sendto"], descriptor, packet, len(packet), 0x4040, 0, 0) == len(packet)


def heard(cell: Injected, descriptor: int) -> int:
    """Octets that wait there; 0 when the other end hung up, -11 while nothing came. What is heard is gone."""
    return cell.syscall(45, descriptor, cell.place(b"\0" * 16), 16, 0x40, 0, 0)  # recvfrom, MSG_DONTWAIT


def question(session: bytes) -> m.Message:
    return m.Question(77, session, b"127.0.0.1", b"\0" * 16, b"", POSTMASTER.encode(), 0)


def offer(session: bytes) -> m.Message:
    return m.Offer(
        77, session, b"127.0.0.1", b"\0" * 16, b"x", b"ESMTP", b"", b"", POSTMASTER.encode(), b"", 1, b"\0" * 16
    )


@pytest.mark.must_show
@pytest.mark.parametrize(("place_of_peer", "lie"), [(0, question), (1, offer)], ids=["directory", "enqueuer"])
def test_a_cell_cannot_speak_in_anothers_name(
    house: House, place_of_peer: int, lie: Callable[[bytes], m.Message]
) -> None:
    """Of its own session it is answered; of another's, it is hung up on, and nobody else is."""
    with two(house) as pair:
        peer = peers_of(pair.attacker)[place_of_peer]
        with injected(pair.attacker) as cell:
            say(cell, peer, lie(pair.session))
            assert wait_until(lambda: (n := heard(cell, peer)) != -11 and n, 30, house.said) > 0
            say(cell, peer, lie(b"0123456789abcdef"))
            wait_until(lambda: heard(cell, peer) in (0, -104), 30, house.said)
    assert house.rcpt(POSTMASTER)[0] == 250


def test_a_cell_tells_the_journal_of_its_own_session_only(house: House) -> None:
    """Whatever session a cell names, the event bears that of the channel it came over."""
    said = m.Event(b"refused", (b"session", b"another", b"role", b"scheduler", b"note", b"forged by a cell"))
    with two(house) as pair:
        with injected(pair.attacker) as cell:
            say(cell, peers_of(pair.attacker)[-1], said)
        [event] = wait_until(lambda: [e for e in house.events("refused") if e.get("note")], 30, house.said)
    assert (event["role"], event["session"] != "another") == ("smtpd", True)


@pytest.mark.must_show
def test_a_taken_over_spawner_reaches_nothing_beyond_its_pool(house: House) -> None:
    """Root, another role, a domain, past the pool: all refused; and so is everything that no role may."""
    assert got_through(house, "smtpdspawn") == {}
    assert opened(house, "smtpdspawn") == []
    first = UID_BASE + roster.CELL_UIDS_FROM
    with injected(house.pid("smtpdspawn")) as spawner:
        becoming = spawner.syscall(NUMBERS["setresuid"], -1, first, -1)
    assert becoming != 0, "not even one of the three ids may stay what it is"


def test_a_taken_over_spawner_cannot_speak_for_its_cells(house: House) -> None:
    """Over its own channels it may introduce, and nothing else: a question there, and it is hung up on and replaced."""
    pid = house.pid("smtpdspawn")
    with injected(pid) as spawner:
        for channel in peers_of(pid):
            packet = question(b"0" * 16).encode()
            said = spawner.syscall(NUMBERS["sendto"], channel, packet, len(packet), 0x4040, 0, 0)
            assert said in (len(packet), -errno.EPIPE), "who heard of it before has hung up on all that it speaks over"
        wait_until(lambda: all(heard(spawner, channel) == 0 for channel in peers_of(pid)), 30, house.said)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 9)
    house.wait_for_restart("smtpdspawn", pid)
    wait_until(lambda: house.rcpt(POSTMASTER)[0] == 250, 30, house.said)


@pytest.mark.parametrize("wall", ["uid", "seccomp", "landlock"])
def test_each_wall_alone_keeps_conversations_apart(place: Path, wall: str) -> None:
    """The others are down, and what this one is for is still refused."""
    tree = without(place / f"only-{wall}", *(ALL_WALLS - {wall, "hardening"}))
    with spawner_of(place / wall, tree) as made:
        assert reached(made, wall) == {}


def test_without_walls_one_conversation_reaches_another(place: Path) -> None:
    """Else the tests above would prove nothing."""
    with spawner_of(place / "open", without(place / "no-walls", *ALL_WALLS)) as made:
        assert sorted(set(REACHES) - set(reached(made))) == []
