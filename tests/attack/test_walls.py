"""A role that somebody took over, live, with its real descriptors: what it can do beyond its own job, which is nothing.

The same attacks run against copies of the product whose walls were taken down, all or all but one: there they get through,
so this suite can fail.
"""

import contextlib
import errno
import os
import platform
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.sandbox import confinement
from mta.wire.control import CONTROL_FD
from tests.attack import files
from tests.attack.injector import in_address, injected
from tests.attack.probes import NUMBERS, PROBES, REFUSED, Probe, Target
from tests.fixtures.house import House
from tests.fixtures.trees import Tree, copy_of_product

pytestmark = [
    pytest.mark.attack,
    pytest.mark.skipif(os.geteuid() != 0, reason="taking a process over by ptrace needs root"),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the injector knows the registers of x86_64 only"),
]

# Of what is not always listened on.
EVERYWHERE = {f"listen.{service}": "a port" for service in (*roster.SUBMISSION, *roster.WEB.listens)}
REPORTING = {"outbound.tls_reports": '"tls-reports@example.test"'}
ROLES = [role.name for role in roster.started_with({"smtpd.isolation": "worker", **EVERYWHERE, **REPORTING})]
UID_BASE = 1_900_000_000  # as `init` writes it where uids are not scarce
SETSOCKOPT = 54
ENTER = "mta/sandbox/__init__.py"
ABI = "mta/sandbox/confinement.py"
TAKEN_DOWN = {
    "seccomp": ("    _install(role, _pool(role, uid_base) if root else None)\n", ""),
    "landlock": ("    confinement.confine(folders, ports, binds=_binds(role))\n", ""),
    "root directory": (
        """        _change_root(state if role.paths else os.path.join(state, _EMPTY))  # noqa: PTH118
        start.settings["state"] = b"/"
""",
        "",
    ),
    "uid": (
        "        identity.become(uid_base + role.number, uid_base + _group_number(role), _capabilities(role))\n",
        "        pass\n",
    ),
    "hardening": ("    identity.harden()\n    confinement", "    identity.kernel.prctl(38, 1)\n    confinement"),
    "limits": (
        "    limits.bound(role, alone=root, connections=roster.connections_of(role, start.settings))\n",
        "",
    ),
}  # fmt: skip


def without(folder: Path, *walls: str) -> Tree:
    """A copy of the product in which *walls* are not built."""
    tree = copy_of_product(folder)
    for wall in walls:
        tree.replace(ENTER, *TAKEN_DOWN[wall])
    if "seccomp" in walls:
        tree.replace(ENTER, '    seccomp.install(seccomp.assemble_refusal("io_uring_setup"))\n', "")
    return tree


def with_landlock_abi(folder: Path, most: int) -> Tree:
    """A copy of the product that takes the kernel for an older one."""
    tree = copy_of_product(folder)
    tree.replace(ABI, "return kernel.call(", f"return min({most}, 9) and kernel.call(")
    tree.replace(ABI, "    version = abi()\n", f"    version = min(abi(), {most})\n")
    return tree


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    # Not pytest's folder, which is closed to other uids: without another root directory, roles must come by.
    folder = Path(tempfile.mkdtemp(prefix="postern-attack-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def start(folder: Path, tree: Tree | None = None) -> House:
    """A house with something in it to want."""
    made = {"submission": True, "panel": True, "settings": REPORTING, "awake": True}
    house = House(folder, tree=tree, **made) if tree else House(folder, **made)
    house.start()
    plant(house)
    return house


def plant(house: House) -> None:
    """A file in every folder, so that there is something to open."""
    for folder in roster.FOLDERS:
        if folder.path and not folder.path.startswith("run/"):
            planted = house.state / folder.path / "0123456789abcdef0123"
            planted.write_bytes(b"secret")
            # Some folders let others pass on to what lies below; what lies in them is as closed as whoever puts it there.
            planted.chmod(0o600 if folder.path in ("keys", "mail", "hooks") else 0o644)
    store = house.state / "mail" / "other.test"
    store.mkdir(mode=0o700)
    os.chown(store, UID_BASE + 150_000, UID_BASE + 150_000)
    (store / "letter").write_bytes(b"secret")


@pytest.fixture(scope="module")
def house(place: Path) -> Iterator[House]:
    with house_ending(start(place / "house")) as made:
        yield made


def target_of(house: House, pid: int, pool: tuple[int, int] = (0, 0)) -> Target:
    others = [other for other in house.pids("cleaner") + house.pids("ledger") if other != pid]
    # Not the way to the supervisor: where no wall stands the junk gets through, and it would end the role under our hands.
    sockets = [
        int(entry.name)
        for entry in Path(f"/proc/{pid}/fd").iterdir()
        if os.readlink(entry).startswith("socket:") and int(entry.name) != CONTROL_FD
    ]
    first, size = pool if pool[1] else (roster.DOMAIN_UIDS_FROM, roster.DOMAIN_UIDS)
    return Target(others[0], house.pid("supervisor"), house.port("smtp"), UID_BASE + first, sockets, size, UID_BASE)


def got_through(house: House, role: str, probes: tuple[Probe, ...] = PROBES) -> dict[str, int]:
    """The probes that no wall stopped when *role* made them, and the kernel's answer."""
    pid = house.pid(role)
    found = {}
    with injected(pid) as victim:
        target = target_of(house, pid, roster.role_named(role).pool)  # now that it stands still, its descriptors too
        for probe in probes:
            if role in probe.unless:
                continue  # It may, and would be another than it was for whoever asks next.
            answer = probe.attempt(victim, target)
            if answer not in probe.denied:
                found[probe.name] = answer
    return found


def opened(house: House, role: str) -> list[str]:
    """Files of others that *role* could open, and folders of others in which it could make one."""
    judged, found = roster.role_named(role), []
    foreign = sorted(files.foreign_files(house.state, judged))
    with injected(house.pid(role)) as victim:
        for path in foreign:
            found += [f"read {path}"] * any(answer >= 0 for answer in files.ways_to(victim, house.state, path))
        for path in files.readable_only(judged):
            planted = f"{path}/planted-by-{role}"
            found += [f"make {planted}"] * any(a >= 0 for a in files.ways_to_make(victim, house.state, planted))
        for path in ("etc/passwd", "etc/shadow", "proc/self/environ"):
            ways = (f"/{path}", f"{files.CLIMB}/{path}")
            answers = [files._open(victim, fd, way, os.O_RDONLY, 0) for fd in (-100, *victim.folders) for way in ways]
            found += [f"read /{path}"] * any(answer >= 0 for answer in answers)
    return found


@pytest.mark.must_show
@pytest.mark.parametrize("role", ROLES)
def test_a_taken_over_role_reaches_nothing_of_the_kernel(house: House, role: str) -> None:
    """No socket, program, process, identity or odd corner of the kernel, whatever system call it makes."""
    assert got_through(house, role) == {}


@pytest.mark.must_show
@pytest.mark.parametrize("role", ROLES)
def test_a_taken_over_role_opens_nothing_of_others(house: House, role: str) -> None:
    """Every file of the house outside its own list, by name and up from each folder it holds, to read and to make."""
    assert opened(house, role) == []


@pytest.mark.must_show
def test_a_taken_over_resolver_asks_on_the_servers_port_and_listens_nowhere(house: House) -> None:
    """Its sockets cannot be bound, listened on, set or sent from; TCP leads to the servers' port only (Landlock ABI 4)."""
    asked = int(house.setting("dns.servers").rpartition(":")[2].strip('"]'))
    elsewhere, servers = (in_address("127.0.0.1", port) for port in (house.port("smtp"), asked))
    answers = {}
    with injected(house.pid("resolver")) as victim:
        for name, kind in (("tcp", 1), ("udp", 2)):
            descriptor = victim.syscall(NUMBERS["socket"], 2, kind | socket.SOCK_CLOEXEC, 0)
            assert descriptor >= 0, "it could not even do its work"
            answers[name] = {
                "bind": victim.syscall(NUMBERS["bind"], descriptor, in_address("0.0.0.0", 0), 16),
                "listen": victim.syscall(NUMBERS["listen"], descriptor, 1),
                "set": victim.syscall(SETSOCKOPT, descriptor, 1, 2, b"\1\0\0\0", 4),
                "send": victim.syscall(NUMBERS["sendto"], descriptor, b"x", 1, 0, elsewhere, 16),
                "elsewhere": victim.syscall(NUMBERS["connect"], descriptor, elsewhere, 16) if name == "tcp" else -13,
            }
            reached = victim.syscall(NUMBERS["connect"], descriptor, servers, 16)
            assert reached in (0, -errno.ECONNREFUSED)
            victim.syscall(NUMBERS["close"], descriptor)
    if confinement.abi() < confinement.NETWORK_ABI:
        assert answers["tcp"].pop("elsewhere") == 0, "without the wall it leads anywhere, or the attempt was clumsy"
    assert {answer for each in answers.values() for answer in each.values()} <= REFUSED


@pytest.mark.must_show
def test_a_taken_over_fetcher_calls_web_servers_only_and_cannot_be_called(house: House) -> None:
    """TCP leads to port 443 only (Landlock ABI 4); no datagrams, nothing to listen on, no socket of the host's programs."""
    elsewhere, web = (in_address("127.0.0.1", port) for port in (house.port("smtp"), 443))
    with injected(house.pid("fetcher")) as victim:
        descriptor = victim.syscall(NUMBERS["socket"], 2, 1 | socket.SOCK_CLOEXEC, 0)
        assert descriptor >= 0, "it could not even do its work"
        answers = {
            "bind": victim.syscall(NUMBERS["bind"], descriptor, in_address("0.0.0.0", 0), 16),
            "listen": victim.syscall(NUMBERS["listen"], descriptor, 1),
            "set": victim.syscall(SETSOCKOPT, descriptor, 1, 2, b"\1\0\0\0", 4),
            "udp": victim.syscall(NUMBERS["socket"], 2, 2 | socket.SOCK_CLOEXEC, 0),
            "raw": victim.syscall(NUMBERS["socket"], 2, 3 | socket.SOCK_CLOEXEC, 0),
            "elsewhere": victim.syscall(NUMBERS["connect"], descriptor, elsewhere, 16),
        }
        reached = victim.syscall(NUMBERS["connect"], descriptor, web, 16)
        assert reached in (0, -errno.ECONNREFUSED, -errno.EISCONN)
        victim.syscall(NUMBERS["close"], descriptor)
    if confinement.abi() < confinement.NETWORK_ABI:
        assert answers.pop("elsewhere") == 0, "without the wall it leads anywhere, or the attempt was clumsy"
    assert set(answers.values()) <= REFUSED, answers


@pytest.mark.must_show
def test_a_taken_over_source_calls_out_over_tcp_and_cannot_be_called(house: House) -> None:
    """To call out is its job; its sockets cannot be bound, listened on or set, and there are none without a connection."""
    elsewhere = in_address("127.0.0.1", house.port("smtp"))
    with injected(house.pid("source")) as victim:
        descriptor = victim.syscall(NUMBERS["socket"], 2, 1 | socket.SOCK_CLOEXEC, 0)
        assert descriptor >= 0, "it could not even do its work"
        answers = {
            "bind": victim.syscall(NUMBERS["bind"], descriptor, in_address("0.0.0.0", 0), 16),
            "listen": victim.syscall(NUMBERS["listen"], descriptor, 1),
            "set": victim.syscall(SETSOCKOPT, descriptor, 1, 2, b"\1\0\0\0", 4),
            "unix datagram": victim.syscall(NUMBERS["socket"], 1, 2 | socket.SOCK_CLOEXEC, 0),
            "unix packets": victim.syscall(NUMBERS["socket"], 1, 5 | socket.SOCK_CLOEXEC, 0),
            "raw": victim.syscall(NUMBERS["socket"], 2, 3 | socket.SOCK_CLOEXEC, 0),
        }
        assert victim.syscall(NUMBERS["connect"], descriptor, elsewhere, 16) == 0
        victim.syscall(NUMBERS["close"], descriptor)
    assert set(answers.values()) <= REFUSED


@pytest.mark.parametrize("role", ROLES)
def test_the_kernel_says_so_too(house: House, role: str) -> None:
    """/proc: an own uid, no groups, no capabilities beyond the spawners' two or three, no new privileges, filtered."""
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{house.pid(role)}/status").read_text().splitlines()
        if ":\t" in line
    )
    allowed = {"localspawn": 0xC0, "storekeeper": 0xC1}.get(role, 0)
    number = roster.role_named(role).number
    assert set(status["Uid"].split()) == {str(UID_BASE + number)}
    assert status["Groups"].strip() == ""
    assert (int(status["CapPrm"], 16), int(status["CapEff"], 16)) == (allowed, allowed)
    assert {status[name] for name in ("CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_no_two_roles_share_a_uid(house: House) -> None:
    """Each role's uid is its own."""
    owners = {Path(f"/proc/{house.pid(role)}/environ").stat().st_uid for role in ROLES}
    numbers = [re.search(r"Uid:\t(\d+)", Path(f"/proc/{house.pid(role)}/status").read_text())[1] for role in ROLES]
    assert len(set(numbers)) == len(ROLES)
    assert owners == {0}, "a role's /proc entries belong to root: no other process of its uid can look in"


@pytest.mark.parametrize("role", ROLES)
def test_a_taken_over_role_cannot_eat_the_machine(house: House, role: str) -> None:
    """Memory and descriptors end at the roster's bound."""
    judged = roster.role_named(role)
    with injected(house.pid(role)) as victim:
        memory = victim.syscall(9, 0, (judged.memory_mib + 64) << 20, 3, 0x4022, -1, 0)
        if memory > 0:
            victim.syscall(11, memory, (judged.memory_mib + 64) << 20)
        beyond = victim.syscall(72, 0, 0, judged.open_files + 16)
        raised = victim.syscall(302, 0, 7, b"\xff" * 16, 0)
    assert memory == -12, "more memory than promised"
    assert beyond < 0, "more descriptors than promised"
    assert raised in REFUSED, "it lifted its own limit"


def test_with_all_walls_down_every_attack_succeeds(place: Path) -> None:
    """Else the tests above would prove nothing: each refusal comes from a wall, not from a clumsy attempt."""
    house = start(place / "none", without(place / "no-walls", *TAKEN_DOWN))
    with house_ending(house):
        for role in ("smtpd", "directory", "web"):
            through = got_through(house, role)
            assert sorted({probe.name for probe in PROBES if role not in probe.unless} - set(through)) == []
            assert {found.split()[0] for found in opened(house, role)} == {"read", "make"}
            assert len(opened(house, role)) > 2 * len(roster.FOLDERS) - 12


def test_seccomp_alone_stops_what_is_its_own(place: Path) -> None:
    """No other wall stands, the process is root, and no system call outside its promises gets through."""
    house = start(place / "seccomp", without(place / "only-seccomp", "landlock", "root directory", "uid", "limits"))
    with house_ending(house):
        for role in ROLES:
            assert got_through(house, role, of_wall("seccomp")) == {}
        assert opened(house, "directory") != [], "seccomp cannot judge paths; it did not have to be tried for this"
        assert opened(house, "smtpd") == [], "a role without files cannot even open"


def test_the_uid_alone_stops_what_is_its_own(place: Path) -> None:
    """No filter, no Landlock, the whole file system in view: another's memory, signals, ids and folders are closed."""
    house = start(place / "uid", without(place / "only-uid", "landlock", "root directory", "seccomp"))
    with house_ending(house):
        for role in ("smtpd", "listener", "directory", "enqueuer", "cleaner", "web", "journal", "ledger"):
            assert got_through(house, role, of_wall("uid")) == {}
        for role in ("smtpd", "web"):
            assert [found for found in opened(house, role) if "/etc/" not in found and "/proc/" not in found] == []


def test_landlock_alone_stops_what_is_its_own(place: Path) -> None:
    """As root, unfiltered: outside the role's folders nothing opens and nothing can be made."""
    house = start(place / "landlock", without(place / "only-landlock", "root directory", "seccomp", "uid", "hardening"))
    with house_ending(house):
        for role in ROLES:
            assert opened(house, role) == []


@pytest.mark.parametrize("abi", [0, 2])
def test_older_kernels_lose_one_wall_and_nothing_else(place: Path, abi: int) -> None:
    """Debian 12's own kernel has Landlock ABI 2; others have none. The other walls stop every attack by themselves."""
    house = start(place / f"abi{abi}", with_landlock_abi(place / f"landlock-{abi}", abi))
    with house_ending(house):
        for role in ROLES:
            assert got_through(house, role) == {}
            seen = opened(house, role)
            # compiler has web's group, for both write the database: Landlock alone keeps it from what web reads besides.
            beside = [each for each in seen if role == "compiler" and abi == 0 and each.startswith("read trace/")]
            assert seen == beside


def of_wall(wall: str) -> tuple[Probe, ...]:
    return tuple(probe for probe in PROBES if probe.wall == wall)


@contextlib.contextmanager
def house_ending(house: House) -> Iterator[House]:
    """*house*, stopped afterwards."""
    try:
        yield house
    finally:
        house.__exit__()
