"""The door, from the inside: a process that went through it tries everything, for each set of promises."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta import roster

NOBODY = 65534
# Attempts in Python, by one who has the whole interpreter; each answers "ok" or the name of the refusal.
_PROBE = """
import ctypes, json, os, resource, socket, subprocess, sys, threading
libc = ctypes.CDLL(None, use_errno=True)
spare = os.open("/dev/null", os.O_RDONLY)
from mta import roster, sandbox
from mta.wire import control, permits
from mta.wire.channel import Channel, pair
name, state, root, user = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
sandbox.preload()  # Where the interpreter lies, the user below may not be able to enter.
if user:
    os.setgroups([]); os.setresgid(user, user, user); os.setresuid(user, user, user)
role = roster.role_named(name)
ours, theirs = pair()
settings = {"state": state.encode(), "uid_base": b"1900000000", "root": root.encode()}
start = control.Start(Channel(theirs, "supervisor", permits.FROM_SUPERVISOR), settings)
held = [os.open(f"{state}/{rule.path}", os.O_RDONLY | os.O_DIRECTORY) for rule in role.paths]
sandbox.enter(role, start, keep=(*held, ours.fileno()))
def raw(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "raw")
def thread():
    one = threading.Thread(target=lambda: None); one.start(); one.join()
def fork():
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
def below(folder, flags):
    os.close(os.open("probe", flags, 0o600, dir_fd=folder))
tries = {
    "outside": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
    "above": lambda: os.close(os.open("../../../../../etc/passwd", os.O_RDONLY, dir_fd=held[0])) if held else os.open("/", 0),
    "tcp": lambda: socket.socket().close(),
    "unix": lambda: socket.socket(socket.AF_UNIX).close(),
    "datagram pair": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "fork": fork,
    "thread": thread,
    "kill": lambda: os.kill(os.getppid(), 0),
    "root": lambda: os.setresuid(0, 0, 0),
    "past the pool": lambda: os.setresuid(1901100000, 1901100000, 1901100000),
    "more memory": lambda: bytearray((role.memory_mib + 100) << 20),
    "limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20)),
    "memfd": lambda: os.close(os.memfd_create("x")),
    "spare descriptor": lambda: os.fstat(spare) and os.read(spare, 1),
    "io_uring": lambda: raw(425, 1, ctypes.create_string_buffer(120)),
    "setuid file": lambda: os.close(os.open("suid", os.O_CREAT | os.O_WRONLY, 0o4755, dir_fd=held[0])) if held else os.open("/", 0),
    "write": lambda: below(held[0], os.O_CREAT | os.O_WRONLY) if held else os.open("/", 0),
    "read": lambda: below(held[0], os.O_RDONLY) if held else os.open("/", 0),
    "stream pair": lambda: [end.close() for end in socket.socketpair()],
    "exception": lambda: (_ for _ in ()).throw(PermissionError("always")),
    "late codec": lambda: "x".encode("idna"),
    "pool": lambda: os.setresuid(*[1900000000 + (role.pool[0] or 100000)] * 3),
}
found = {}
for what, attempt in tries.items():
    try:
        attempt(); found[what] = "ok"
    except (OSError, MemoryError, RuntimeError, ValueError) as error:
        found[what] = type(error).__name__
found["state"] = start.text("state")
os.write(1, json.dumps(found).encode())
"""

FILES = {"outside", "above", "read", "write", "setuid file"}
ALWAYS_REFUSED = {
    "outside", "above", "tcp", "unix", "datagram pair", "exec", "kill", "root", "past the pool", "more memory", "limit",
    "memfd", "spare descriptor", "io_uring", "setuid file", "exception",
}  # fmt: skip


@pytest.fixture
def state() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="postern-sandbox-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


def probe(state: Path, name: str, *, user: int = 0) -> dict[str, str]:
    role = roster.role_named(name)
    (state / "run" / "empty").mkdir(parents=True, exist_ok=True)
    for rule in role.paths:
        folder = state / rule.path
        folder.mkdir(parents=True, exist_ok=True)
        uid = user or 1_900_000_000 + role.number
        if os.geteuid() == 0:
            os.chown(folder, uid, uid)
    if role.paths:
        (state / role.paths[0].path / "probe").touch(mode=0o666)
        (state / role.paths[0].path / "probe").chmod(0o666)
    root = "1" if os.geteuid() == 0 and not user else "0"
    result = subprocess.run(
        [sys.executable, "-I", "-c", _PROBE, name, str(state), root, str(user)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def expected(role: roster.Role, *, root: bool) -> set[str]:
    """What the roster promises this role of all that is tried."""
    promises, allowed = role.promises, {"stream pair", "late codec", "state"}
    writes = role.paths and role.paths[0].access is roster.Access.WRITE
    if role.paths and promises & {roster.Promise.READ_FILES, roster.Promise.WRITE_FILES}:
        allowed.add("read")
    if writes and roster.Promise.WRITE_FILES in promises:
        allowed.add("write")
    if roster.Promise.THREADS in promises:
        allowed.add("thread")
    if roster.Promise.NAME_SERVERS in promises:
        allowed.add("tcp")
    if roster.Promise.CALL_OUT in promises:
        allowed.add("tcp")
    if roster.Promise.CALL_HOOKS in promises:
        allowed.add("unix")
    if roster.Promise.SPAWN in promises:
        allowed |= {"fork", "pool"} if root else {"fork"}
    return allowed


@pytest.mark.parametrize("name", [role.name for role in roster.ROLES])
def test_a_role_can_do_what_it_was_promised_and_nothing_else(state: Path, name: str) -> None:
    """Both halves: every refusal that must be, and every promise that must hold, or the role would die of its walls."""
    found = probe(state, name)
    assert {what for what, answer in found.items() if answer == "ok"} | {"state"} == expected(
        roster.role_named(name), root=os.geteuid() == 0
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another ordinary user needs root")
@pytest.mark.parametrize("name", ["smtpd", "enqueuer", "authenticator", "localspawn", "web"])
def test_an_ordinary_user_has_every_wall_but_the_uid(state: Path, name: str) -> None:
    """Without root there is no uid and no root directory to change; nothing that is refused above is allowed here."""
    found = probe(state, name, user=NOBODY)
    through = {what for what, answer in found.items() if answer == "ok"}
    assert through & ALWAYS_REFUSED == set()
    assert through | {"state"} == expected(roster.role_named(name), root=False)
    assert found["state"] == str(state)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its root directory")
def test_the_state_folder_is_the_root_directory_afterwards(state: Path) -> None:
    """So a path for SQLite can be named, though the folders above are closed."""
    assert probe(state, "web")["state"] == "/"
