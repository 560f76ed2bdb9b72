"""The self-test of one role's walls: a process that goes through the same door as the role, and then tries what must not be.

Started by the supervisor as `-m mta.sandbox.selftest ROLE`. What is tried stands here and nowhere else: nobody hands anything
in. It is a process of its own and not the role, for where a wall is missing an attempt gets through, and what then happens
must happen to nobody who serves.

A reader would otherwise get wrong: everything is tried twice. Before the walls it has to get through, or its failing behind
them would prove nothing: that is told as `idle`, and not as `held`.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import select
import socket
import sys
from collections.abc import Callable

from mta import roster, sandbox
from mta.record import dataclass
from mta.roster import Promise
from mta.sandbox import kernel
from mta.wire import control
from mta.wire import messages as m

HELD, OPEN, IDLE, JOB = (
    "held",
    "open",
    "idle",
    "job",
)  # refused; got through; refused without walls, too; the role's job
FOLDERS = (
    "mail", "spool/content", "spool/envelope", "spool/progress", "db", "ledger", "snapshot/recipients",
    "snapshot/credentials", "snapshot/certificates", "snapshot/signing", "keys", "log", "trace", "run",
)  # fmt: skip
_ENTRIES = 3  # of a folder, that are tried by name beside the folder itself
_MARGIN = 16
_NO_PROGRAM = "/no/such/program"  # Whoever lets the call through answers that there is none.

_PTRACE_SEIZE, _MAP_NORESERVE = 0x4206, 0x4000
_REFUSED = frozenset({errno.EPERM, errno.EACCES})
_GONE = _REFUSED | {errno.ENOENT}  # of what does not even exist for it
_FULL = frozenset({errno.EINVAL, errno.EMFILE, errno.ENOMEM})  # of more than its share

_libc = ctypes.CDLL(None, use_errno=True)
_word = ctypes.create_string_buffer(b"somebody's secret", 64)


@dataclass(slots=True)
class Target:
    """What attempts aim at."""

    port: int  # somebody listens there on loopback
    bait: int  # a process without walls
    share: tuple[int, int]  # MiB of memory and descriptors that the role may have


@dataclass(frozen=True, slots=True)
class Probe:
    """One attempt. It raises OSError when the kernel refuses; any other answer than one of *refused* has got through."""

    name: str
    attempt: Callable[[Target], None]
    refused: frozenset[int] = _REFUSED
    is_job: bool = False  # what the role is there for

    def answer(self, target: Target) -> int:
        """The kernel's errno, 0 when it was done."""
        try:
            self.attempt(target)
        except OSError as error:
            return error.errno or errno.EIO
        except ValueError:  # mmap's and fcntl's own word for a number the kernel would not take
            return errno.EINVAL
        return 0


def probes_for(role: roster.Role, state: str) -> list[Probe]:
    """All attempts, with what is *role*'s job marked; *state* is the state folder, as it is reached without walls."""
    calls_out = {Promise.CALL_OUT, Promise.CALL_FROM, Promise.CALL_DATABASE, Promise.NAME_SERVERS}
    made = [
        Probe("connect", _connect, is_job=bool(calls_out & role.promises)),
        Probe("listen", _listen),
        Probe("datagram", lambda _: _socket(socket.SOCK_DGRAM), is_job=Promise.NAME_SERVERS in role.promises),
        Probe("raw", lambda _: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()),
        Probe("channel", lambda _: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).close()),
        Probe("execute", lambda _: os.execv(_NO_PROGRAM, [_NO_PROGRAM])),  # noqa: S606 - there is none
        Probe("fork", _fork, _REFUSED | {errno.EAGAIN}, is_job=Promise.SPAWN in role.promises),
        Probe("code", lambda _: mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()),
        Probe("signal", lambda target: os.kill(target.bait, 0)),
        Probe("trace", lambda target: _check(_libc.ptrace(_PTRACE_SEIZE, target.bait, None, None))),
        Probe("memory of another", _read_memory),
        Probe("root", lambda _: os.setresuid(0, 0, 0)),
        Probe("mount", lambda _: _check(_libc.mount(None, None, None, 0, None))),
        Probe("ring", lambda _: os.close(kernel.call("io_uring_setup", 1, bytes(120)))),
        Probe("much memory", _take_memory, _FULL),
        Probe("many descriptors", _take_descriptors, _FULL),
        Probe("read system", lambda _: os.close(os.open("/etc/passwd", os.O_RDONLY)), _GONE),
        Probe("write system", lambda _: _make_in(("/tmp",)), _GONE),  # noqa: S108 - it leaves nothing there
    ]  # fmt: skip
    for folder in FOLDERS:
        made += _probes_of_folder(role, state, folder)
    return made


def _probes_of_folder(role: roster.Role, state: str, folder: str) -> list[Probe]:
    rules = [rule for rule in role.paths if f"{folder}/".startswith(f"{rule.path}/")]
    # As root the state folder becomes the root directory, or there is nothing at all.
    folders = (f"{state.rstrip('/')}/{folder}", f"/{folder}")
    places = [
        place for each in folders for place in (each, *(f"{each}/{entry}" for entry in _closed_entries(folders[0])))
    ]
    writes = any(rule.access is roster.Access.WRITE for rule in rules)
    return [
        Probe(f"read {folder}", lambda _: _open_one(places), _GONE, is_job=bool(rules)),
        Probe(f"write {folder}", lambda _: _make_in(folders), _GONE, is_job=writes),
    ]


def _closed_entries(folder: str) -> list[str]:
    """The first names in *folder* that are not for everybody who comes by; public keys are."""
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if not entry.stat(follow_symlinks=False).st_mode & 0o004 and len(found) < _ENTRIES:
                found.append(entry.name)
    return found


def _any_of(attempts: list[Callable[[], object]]) -> None:
    """The first that is done is enough; else what the first was refused with."""
    first: OSError | None = None
    for attempt in attempts:
        try:
            attempt()
        except OSError as error:
            first = first or error
        else:
            return
    if first is not None:
        raise first


def _open_one(places: list[str]) -> None:
    _any_of([lambda place=place: os.close(os.open(place, os.O_RDONLY | os.O_NONBLOCK)) for place in places])  # type: ignore[misc]


def _make_in(folders: tuple[str, ...]) -> None:
    # A file without a name: it leaves nothing behind, and nobody meets it.
    flags = os.O_TMPFILE | os.O_WRONLY
    _any_of([lambda place=place: os.close(os.open(place, flags, 0o600)) for place in folders])  # type: ignore[misc]


def _check(result: int) -> None:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _socket(kind: int) -> None:
    socket.socket(socket.AF_INET, kind).close()


def _connect(target: Target) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as caller:
        caller.connect(("127.0.0.1", target.port))


def _listen(_: Target) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as called:
        called.bind(("127.0.0.1", 0))
        called.listen()


def _fork(_: Target) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    with contextlib.suppress(OSError):  # It was born, and that is the answer; to wait for it may be refused.
        os.waitpid(pid, 0)


def _read_memory(target: Target) -> None:
    into = ctypes.create_string_buffer(8)
    ours = (ctypes.c_size_t * 2)(ctypes.addressof(into), 8)
    theirs = (ctypes.c_size_t * 2)(
        ctypes.addressof(_word), 8
    )  # The bait is a fork of ours: it has that where we have it.
    _check(_libc.process_vm_readv(target.bait, ours, 1, theirs, 1, 0))


def _take_memory(target: Target) -> None:
    octets = (target.share[0] + _MARGIN) << 20
    mmap.mmap(-1, octets, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE).close()


def _take_descriptors(target: Target) -> None:
    os.close(fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, target.share[1] + _MARGIN))


def put_bait() -> int:
    """A process that holds nothing, has no walls and waits; it ends when we do."""
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        # Not PR_SET_PDEATHSIG: that signal comes only from a parent who might have sent it himself, and behind its walls
        # ours may not.
        end = os.pidfd_open(parent)
        sandbox.close_all_but((end,))
        if os.getppid() == parent:  # Else it died before, and the number may be somebody else's.
            select.select([end], [], [])
    finally:
        os._exit(0)


def outcome_of(probe: Probe, before: int, behind: int) -> tuple[str, int]:
    """What *probe* came to, with the answer that says so, by its errno *before* and *behind* the walls."""
    if probe.is_job:
        return JOB, behind
    if behind not in probe.refused:
        return OPEN, behind
    return (IDLE, before) if before in probe.refused else (HELD, behind)


def main() -> int:
    """Try everything, tell the supervisor each answer, and Ready when it was all.

    Raises:
        OSError: a wall could not be built; then there is no Ready.
    """
    role = roster.role_named(sys.argv[1])
    start = control.begin(role)
    if start.settings.get("database.server") == b"1" and role in (roster.WEB, roster.COMPILER):
        role = roster.beside_server(role)
    connections = roster.connections_of(role, start.settings)
    share = roster.memory_mib_of(role, connections), roster.open_files_of(role, connections)
    probes = probes_for(role, start.text("state"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # A second bait: whom somebody traces already, nobody else can.
        first, second = put_bait(), put_bait()
        before = Target(listening.getsockname()[1], first, share)
        unwalled = {probe.name: probe.answer(before) for probe in probes}
        behind = Target(before.port, second, share)
    sandbox.enter(role, start)
    for probe in probes:
        outcome, answer = outcome_of(probe, unwalled[probe.name], 0 if probe.is_job else probe.answer(behind))
        name = errno.errorcode.get(answer, str(answer)) if answer else "done"
        start.control.send(m.Probed(probe.name.encode(), outcome.encode(), name.encode()))
    start.control.send(m.Ready())
    start.control.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
