"""What code that took a role over would try, as a table: adding an attack costs a line, adding a role none.

A probe answers what the kernel answered. `denied` says which answers mean that a wall stood; anything else means that the
attempt got through to the kernel's own business, even where that then found its arguments poor.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from mta.roster import CELL_UIDS, CELL_UIDS_FROM, DOMAIN_UIDS, DOMAIN_UIDS_FROM
from tests.attack.injector import Injected, in_address

EPERM = -errno.EPERM
REFUSED = frozenset({-errno.EPERM, -errno.EACCES})

NUMBERS = {
    "read": 0, "open": 2, "close": 3, "mmap": 9, "mprotect": 10, "dup": 32, "socket": 41, "connect": 42, "sendto": 44,
    "sendmsg": 46, "bind": 49, "listen": 50, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "kill": 62, "fcntl": 72,
    "shmget": 29, "msgget": 68, "symlink": 88, "ptrace": 101, "setuid": 105, "setgid": 106, "setgroups": 116,
    "setresuid": 117, "setresgid": 119, "setfsuid": 122, "rt_sigqueueinfo": 129, "mknod": 133, "personality": 135,
    "setpriority": 141, "prctl": 157, "chroot": 161, "acct": 163, "mount": 165, "umount2": 166, "sethostname": 170,
    "iopl": 172, "init_module": 175, "setxattr": 188, "sched_setaffinity": 203, "tgkill": 234, "mq_open": 240,
    "add_key": 248, "request_key": 249, "keyctl": 250, "openat": 257, "unshare": 272, "perf_event_open": 298,
    "prlimit64": 302, "name_to_handle_at": 303, "open_by_handle_at": 304, "setns": 308, "process_vm_readv": 310,
    "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "memfd_create": 319, "bpf": 321, "execveat": 322,
    "userfaultfd": 323, "pidfd_send_signal": 424, "io_uring_setup": 425, "open_tree": 428, "fsopen": 430,
    "pidfd_open": 434, "pidfd_getfd": 438, "openat2": 437, "ioctl": 16, "setitimer": 38, "fchownat": 260, "fchmodat": 268,
}  # fmt: skip


@dataclass
class Target:
    """What is around the victim: whom and what it may try to touch."""

    other: int  # the pid of another role
    supervisor: int
    port: int  # where somebody listens
    first_of_pool: int  # the first uid that a spawner's children may have; of other roles: that domains may have
    sockets: list[int] = field(default_factory=list)  # the victim's own descriptors that are sockets
    pool_size: int = DOMAIN_UIDS
    uid_base: int = 1_900_000_000


@dataclass(frozen=True)
class Probe:
    """One attempt. `wall`: which of the walls stops it where it stands alone."""

    name: str
    attempt: Callable[[Injected, Target], int]
    denied: frozenset[int] = frozenset({EPERM})
    wall: str = "seccomp"
    unless: frozenset[str] = frozenset()  # a spawner forks: that is its job


def call(name: str, *arguments: int | bytes) -> Callable[[Injected, Target], int]:
    """A probe that makes one system call and closes what it got."""
    closes = name in ("open", "openat", "socket", "memfd_create", "io_uring_setup", "userfaultfd", "pidfd_open", "bpf")

    def attempt(victim: Injected, _target: Target) -> int:
        answer = victim.syscall(NUMBERS[name], *arguments)
        if closes and answer >= 0:
            victim.syscall(NUMBERS["close"], answer)
        return answer

    return attempt


def _at_other(name: str, *arguments: int | bytes) -> Callable[[Injected, Target], int]:
    """A probe whose first argument is another role's pid."""
    return lambda victim, target: victim.syscall(NUMBERS[name], target.other, *arguments)


def _uid_of_other(target: Target) -> int:
    return Path(f"/proc/{target.other}").stat().st_uid


def _uid_of_domain(target: Target) -> int:
    return target.uid_base + DOMAIN_UIDS_FROM + 7


def _uid_of_cell(target: Target) -> int:
    return target.uid_base + CELL_UIDS_FROM + CELL_UIDS - 1


def _worst(answers: list[int]) -> int:
    """The answer that got furthest: any that is not a refusal."""
    return next((answer for answer in answers if answer not in REFUSED), answers[0] if answers else EPERM)


def _on_sockets(name: str, *arguments: int | bytes) -> Callable[[Injected, Target], int]:
    return lambda victim, target: _worst([victim.syscall(NUMBERS[name], fd, *arguments) for fd in target.sockets])


def _connect(victim: Injected, target: Target) -> int:
    address = in_address("127.0.0.1", target.port)
    return _worst([victim.syscall(NUMBERS["connect"], fd, address, len(address)) for fd in target.sockets])


def _fast_open(victim: Injected, target: Target) -> int:
    """sendto with MSG_FASTOPEN connects without connect()."""
    address = in_address("127.0.0.1", target.port)
    return _worst(
        [victim.syscall(NUMBERS["sendto"], fd, b"x", 1, 0x20000000, address, len(address)) for fd in target.sockets]
    )


def _send_to_address(victim: Injected, target: Target) -> int:
    address = struct.pack("=H", socket.AF_UNIX) + b"\0somewhere"
    return _worst([victim.syscall(NUMBERS["sendto"], fd, b"x", 1, 0, address, len(address)) for fd in target.sockets])


def _read_other(victim: Injected, target: Target) -> int:
    vector = struct.pack("=QQ", victim.place(b"\0" * 16), 16)
    return victim.syscall(NUMBERS["process_vm_readv"], target.other, vector, 1, vector, 1, 0)


def _proc_mem(victim: Injected, target: Target) -> int:
    answers = []
    for pid in (target.other, target.supervisor, 1):
        for name in ("mem", "environ", "root/etc/passwd", "fd"):
            answer = victim.syscall(NUMBERS["open"], f"/proc/{pid}/{name}\0".encode(), os.O_RDONLY)
            if answer >= 0:
                victim.syscall(NUMBERS["close"], answer)
            answers.append(answer)
    return _worst_open(answers)


def _worst_open(answers: list[int]) -> int:
    return next((answer for answer in answers if answer >= 0), answers[0])


def _become(name: str, wanted: Callable[[Target], int]) -> Callable[[Injected, Target], int]:
    """The effective id alone, which can be taken back, then all three."""

    def attempt(victim: Injected, target: Target) -> int:
        uid = wanted(target)
        answer = victim.syscall(NUMBERS[name], -1, uid, -1)
        if answer == 0:
            victim.syscall(NUMBERS[name], -1, 0, -1)
            return answer
        return victim.syscall(NUMBERS[name], uid, uid, uid)

    return attempt


_GONE = frozenset({-errno.EPERM, -errno.EACCES, -errno.ENOENT})
_SPAWNERS = frozenset({"localspawn", "storekeeper", "smtpdspawn", "submissionspawn", "tlsspawn"})
_FOR_DOMAINS, _FOR_CELLS = frozenset({"localspawn", "storekeeper"}), frozenset({"smtpdspawn"})
_ASKS_OUTSIDE = frozenset({"resolver", "source", "fetcher"})  # their sockets are judged by tests of their own
_SIGCHLD, _FORK, _NEW_USER, _EXEC_MEMORY = 17, 0x01200011, 0x10000000, 7

PROBES = (
    # the network
    *(
        Probe(f"socket {name}", call("socket", family, kind, 0))
        for name, family, kind in (
            ("unix", 1, 5), ("unix datagram", 1, 2), ("netlink", 16, 3), ("packet", 17, 3), ("raw", 2, 3), ("vsock", 40, 1),
        )
    ),
    *(
        Probe(f"socket {name}", call("socket", family, kind | socket.SOCK_CLOEXEC, 0), unless=_ASKS_OUTSIDE)
        for name, family, kind in (("tcp", 2, 1), ("tcp6", 10, 1))
    ),
    Probe("socket udp", call("socket", 2, 2 | socket.SOCK_CLOEXEC, 0), unless=frozenset({"resolver"})),
    Probe("connect", _connect, unless=_ASKS_OUTSIDE),
    Probe("bind", _on_sockets("bind", in_address("127.0.0.1", 0), 16)),
    Probe("listen", _on_sockets("listen", 1)),
    Probe("connect by fast open", _fast_open),
    Probe("send to an address", _send_to_address),
    # new programs
    Probe("fork", call("clone", _FORK, 0, 0, 0, 0), unless=_SPAWNERS),
    Probe("fork sharing memory", call("clone", 0x100 | _SIGCHLD, 0, 0, 0, 0)),
    Probe("fork, the old call", call("fork")),
    Probe("vfork", call("vfork")),
    Probe("new user namespace by clone", call("clone", _NEW_USER | _SIGCHLD, 0, 0, 0, 0)),
    Probe("execve", call("execve", b"/no/such/program\0", 0, 0)),
    Probe("execveat", call("execveat", -100, b"/no/such/program\0", 0, 0, 0)),
    Probe("memfd for exec", call("memfd_create", b"x\0", 0)),
    Probe("writable memory that runs", call("mmap", 0, 4096, _EXEC_MEMORY, 0x22, -1, 0)),
    Probe("memory made to run", lambda victim, _: victim.syscall(NUMBERS["mprotect"], victim.place(b"\0") & ~4095, 4096, 5)),
    # other processes
    Probe("kill", _at_other("kill", 0), wall="uid"),
    Probe("kill all", call("kill", -1, 0)),
    Probe("tgkill", lambda victim, target: victim.syscall(NUMBERS["tgkill"], target.other, target.other, 0)),
    Probe("sigqueue", _at_other("rt_sigqueueinfo", 0, struct.pack("=iii116x", 0, 0, -1))),
    Probe("pidfd", _at_other("pidfd_open", 0)),
    Probe("descriptor of another", call("pidfd_getfd", 0, 3, 0)),
    Probe("signal by pidfd", call("pidfd_send_signal", 0, 0, 0, 0)),
    Probe("ptrace", lambda victim, target: victim.syscall(NUMBERS["ptrace"], 1, target.other, 0, 0)),
    Probe("memory of another", _read_other, wall="uid"),
    Probe("memory of another, writing", _at_other("process_vm_writev", 0, 0, 0, 0, 0)),
    Probe("/proc/<other>", _proc_mem, denied=_GONE, wall="uid"),
    Probe("limits of another", _at_other("prlimit64", 7, 0, b"\0" * 16), wall="uid"),
    Probe("processors of another", _at_other("sched_setaffinity", 8, b"\xff" * 8)),
    Probe("kcmp", lambda victim, _: victim.syscall(NUMBERS["kcmp"], victim.pid, victim.pid, 1, 0, 0)),
    # identity
    Probe("setresuid 0", _become("setresuid", lambda _: 0), wall="uid"),
    Probe("setresgid 0", _become("setresgid", lambda _: 0), wall="uid"),
    Probe("setresuid to another role", _become("setresuid", _uid_of_other), wall="uid"),
    Probe("setresgid to another role", _become("setresgid", _uid_of_other), wall="uid"),
    Probe("setresuid below the pool", _become("setresuid", lambda target: target.first_of_pool - 1), wall="uid"),
    Probe("setresuid past the pool", _become("setresuid", lambda target: target.first_of_pool + target.pool_size), wall="uid"),
    Probe("setresgid past the pool", _become("setresgid", lambda target: target.first_of_pool + target.pool_size), wall="uid"),
    Probe("setresuid to a domain", _become("setresuid", _uid_of_domain), wall="uid", unless=_FOR_DOMAINS),
    Probe("setresgid to a domain", _become("setresgid", _uid_of_domain), wall="uid", unless=_FOR_DOMAINS),
    Probe("setresuid to a cell", _become("setresuid", _uid_of_cell), wall="uid", unless=_FOR_CELLS),
    Probe("setuid", call("setuid", 0), wall="uid"),
    Probe("setgid", call("setgid", 0), wall="uid"),
    Probe("setgroups", call("setgroups", 1, struct.pack("=I", 0)), wall="uid"),
    # the kernel's wide surface
    Probe("io_uring", call("io_uring_setup", 1, b"\0" * 120)),
    Probe("bpf", call("bpf", 0xFFFF, 0, 0)),
    Probe("userfaultfd", call("userfaultfd", 1)),
    Probe("keyctl", call("keyctl", 0, -3, 0)),
    Probe("add_key", call("add_key", 0, 0, 0, 0, 0)),
    Probe("request_key", call("request_key", 0, 0, 0, 0)),
    Probe("perf", call("perf_event_open", 0, 0, -1, -1, 0)),
    Probe("unshare", call("unshare", 0x80000000)),
    Probe("setns", call("setns", 0, 0)),
    Probe("mount", call("mount", 0, 0, 0, 0, 0)),
    Probe("umount", call("umount2", b"/no/such/place\0", 0)),
    Probe("open_tree", call("open_tree", -100, b"/no/such/place\0", 1)),
    Probe("fsopen", call("fsopen", b"nosuchfs\0", 0)),
    Probe("chroot", call("chroot", b"/no/such/place\0")),
    Probe("open by handle", call("open_by_handle_at", -100, 0, 0)),
    Probe("module", call("init_module", 0, 0, 0)),
    Probe("module from a file", call("finit_module", -1, 0, 0)),
    Probe("iopl", call("iopl", 4)),
    Probe("acct", call("acct", b"/no/such/place\0")),
    Probe("host name", call("sethostname", 0, 1 << 20)),
    Probe("personality", call("personality", 0xFFFFFFFF)),
    Probe("prctl beyond the list", call("prctl", 37, 0, 0, 0, 0)),
    Probe("shared memory", call("shmget", 12345, 4096, 0)),
    Probe("message queue", call("msgget", 12345, 0)),
    Probe("posix message queue", call("mq_open", b"nothing\0", 0, 0, 0)),
    Probe("type into the terminal", call("ioctl", 0, 0x5412, b"x")),
    Probe("device node", call("mknod", b"/no/such/place/x\0", 0o20666, 0x0101)),
    Probe("symbolic link", call("symlink", b"/etc/passwd\0", b"/no/such/place/x\0")),
    Probe("extended attribute", call("setxattr", b"/no/such/place\0", 0, 0, 0, 0)),
    Probe("openat2", call("openat2", -100, b"/etc/passwd\0", 0, 0)),
)  # fmt: skip
