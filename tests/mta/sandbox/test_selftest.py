"""The self-test: behind whole walls nothing gets through, and where a wall is missing, it says which attempts did."""

import errno
import os
import select
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster
from mta.sandbox import selftest
from mta.sandbox.selftest import HELD, IDLE, JOB, OPEN
from mta.wire import messages as m
from mta.wire import permits
from mta.wire.channel import Channel, ChannelClosed, pair
from mta.wire.control import CONTROL_FD

UID_BASE = 1_900_000_000
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="without root there is neither uid nor root directory to miss")
# What is told to have come up instead of the wall, in the process that tries.
WITHOUT = {
    "seccomp": "sandbox._install = lambda *_: None",
    "landlock": "sandbox.confinement.confine = lambda *_, **__: False",
    "root directory": "sandbox._change_root = lambda *_: None",
    "uid": "sandbox.identity.become = lambda *_: None",
    "limits": "sandbox.limits.bound = lambda *_, **__: None",
}


@pytest.fixture
def state() -> Iterator[Path]:
    """A state folder as root makes it, with something to want in its folders."""
    owners = {"": 0} | {role.name: UID_BASE + role.number for role in roster.ROLES}
    with tempfile.TemporaryDirectory(prefix="postern-selftest-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        for each in roster.FOLDERS:
            place = folder / each.path
            place.mkdir(parents=True, exist_ok=True)
            (place / "wanted").write_text("secret")
            (place / "wanted").chmod(0o600)
            if os.geteuid() == 0:
                os.chown(place, owners[each.owner], owners[each.group])
            place.chmod(each.mode)
        yield folder


def come_to(state: Path, role: str, *missing: str) -> dict[str, tuple[str, str]] | None:
    """What the self-test of *role* tells when the walls *missing* are not built; None: it did not come to its end."""
    ours, theirs = pair()
    program = "; ".join(
        ["import sys", "from mta import sandbox", "from mta.sandbox import selftest", *(WITHOUT[wall] for wall in missing),
         "sys.exit(selftest.main())"]
    )  # fmt: skip
    settings = {
        "state": str(state), "uid_base": str(UID_BASE), "root": "1" if os.geteuid() == 0 else "0",
        "smtpd.max_connections": "1000", "submission.max_connections": "500",
    }  # fmt: skip
    with theirs:
        pid = os.posix_spawn(
            sys.executable, [sys.executable, "-I", "-c", program, role], {},
            file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), CONTROL_FD)],
        )  # fmt: skip
    channel, told = Channel(ours, "self-test", permits.TEST_TO_SUPERVISOR), {}
    channel.send(m.Begin(tuple(part.encode() for one in settings.items() for part in one)))
    whole = False
    while not whole:
        try:
            message, _ = channel.wait()
        except ChannelClosed:
            break
        if isinstance(message, m.Probed):
            told[message.probe.decode()] = (message.outcome.decode(), message.answer.decode())
        whole = isinstance(message, m.Ready)
    channel.close()
    os.waitpid(pid, 0)
    return told if whole else None


def with_outcome(told: dict[str, tuple[str, str]] | None, outcome: str) -> set[str]:
    assert told is not None, "it did not come to its end"
    return {name for name, (came_to, _) in told.items() if came_to == outcome}


@pytest.mark.parametrize("role", ["smtpd", "web", "localspawn"])
def test_behind_whole_walls_nothing_gets_through(state: Path, role: str) -> None:
    """A role that holds nothing, one with files and threads, one that forks: and most of what was tried says something."""
    told = come_to(state, role)
    assert with_outcome(told, OPEN) == set()
    assert len(with_outcome(told, HELD)) >= (30 if os.geteuid() == 0 else 20)


def test_what_a_role_is_there_for_is_no_hole(state: Path) -> None:
    """Its own files, and the calls it makes, are told as its job; nothing else is."""
    told = come_to(state, "scheduler")
    assert with_outcome(told, JOB) == {"read spool/envelope", "read spool/progress", "write spool/progress"}
    assert {"connect", "datagram"} == with_outcome(come_to(state, "resolver"), JOB)


@as_root
def test_a_missing_wall_is_found_out(state: Path) -> None:
    """Without the filter of system calls they are made; without uid, root directory and Landlock all files are there."""
    calls = with_outcome(come_to(state, "smtpd", "seccomp"), OPEN)
    assert {"channel", "code", "datagram", "execute"} <= calls
    assert not any(name.startswith(("read ", "write ")) for name in calls)
    files = with_outcome(come_to(state, "cleaner", "landlock", "root directory", "uid"), OPEN)
    assert {"read mail", "write mail", "read keys", "read db", "write ledger", "read system"} <= files
    assert "execute" not in files
    assert "much memory" in with_outcome(come_to(state, "smtpd", "limits"), OPEN)


@as_root
def test_with_no_wall_at_all_every_attempt_gets_through(state: Path) -> None:
    """Else some attempt would be clumsy, and its failing would prove nothing."""
    told = come_to(state, "smtpd", *WITHOUT)
    assert told is not None
    assert with_outcome(told, OPEN) | with_outcome(told, IDLE) == set(told)
    assert len(with_outcome(told, OPEN)) > 30


def test_a_wall_that_cannot_be_built_ends_the_test_before_its_end(state: Path) -> None:
    """No Ready: whoever asked must not take silence for safety."""
    (state / "db").rename(state / "away")
    assert come_to(state, "web") is None


@pytest.mark.parametrize(
    ("before", "behind", "outcome"),
    [
        (0, errno.EPERM, HELD),
        (errno.ENOENT, errno.EPERM, HELD),  # the call went through, and there was no such program
        (0, 0, OPEN),
        (0, errno.ENOENT, OPEN),
        (errno.EPERM, errno.EPERM, IDLE),  # refused to everybody: that is no wall of ours
        (errno.EPERM, 0, OPEN),
    ],
)
def test_what_an_attempt_came_to_needs_both_answers(before: int, behind: int, outcome: str) -> None:
    probe = selftest.Probe("any", lambda _: None)
    assert selftest.outcome_of(probe, before, behind)[0] == outcome


def test_a_bait_ends_with_who_put_it_though_he_may_signal_nobody_any_more() -> None:
    """Behind its walls a role has another uid than the baits that it put before."""
    reading, writing = os.pipe()
    putter = os.fork()
    if putter == 0:
        try:
            os.write(writing, str(selftest.put_bait()).encode())
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
        finally:
            os._exit(0)
    bait = os.pidfd_open(int(os.read(reading, 20)))
    os.waitpid(putter, 0)
    assert select.select([bait], [], [], 20)[0], "the bait goes on"
    for descriptor in (bait, reading, writing):
        os.close(descriptor)
