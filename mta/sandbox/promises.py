"""What each promise of the roster means in system calls, as a table. What stands in none of a role's promises answers EPERM.

A reader would otherwise get wrong: a path cannot be judged here (see seccomp.py), so `openat` is bounded by its flags only;
*which* files is Landlock's, chroot's and the uid's business. No promise has listen or execve, and
the one that has bind cannot say which port: that is Landlock's, too.
"""

import errno
import os
import signal
import socket
from typing import Final

from mta.roster import Promise
from mta.sandbox.seccomp import Check, Conditions, NoneOfBits, Null, OneOf, Rules, Within

_PROT_EXEC: Final = 4
_MSG_FASTOPEN: Final = 0x20000000  # sendmsg with it is a connect() in disguise
_O_TMPFILE: Final = 0o20000000
_SETUID_SETGID: Final = 0o6000

# As glibc's fork() and pthread_create() ask for them. clone3 hides its flags behind a pointer; ENOSYS makes glibc use clone.
_FORK_FLAGS: Final = 0x01200000 | signal.SIGCHLD
_THREAD_FLAGS: Final = 0x3D0F00
ERRORS: Final = {"clone3": errno.ENOSYS}

_FIONBIO, _FIOCLEX, _FIONCLEX, _FIONREAD, _TCGETS = 0x5421, 0x5451, 0x5450, 0x541B, 0x5401
_FCNTL: Final = (
    0, 1030,  # F_DUPFD, F_DUPFD_CLOEXEC
    1, 2, 3, 4,  # F_GETFD, F_SETFD, F_GETFL, F_SETFL
    5, 6, 7, 36, 37, 38,  # record locks, for SQLite
)  # fmt: skip
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA = 1, 4, 15, 16, 0x53564D41
_PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 38, 47

_PLAIN: Final = {
    Promise.STDIO: """
        read write readv writev pread64 pwrite64 preadv pwritev close close_range fstat lseek dup dup2 dup3
        clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage
        munmap mremap madvise brk futex set_robust_list rseq membarrier
        rt_sigaction rt_sigprocmask rt_sigreturn rt_sigtimedwait sigaltstack restart_syscall pause
        sched_yield sched_getaffinity getcpu uname sysinfo getrlimit getrandom exit exit_group
        poll ppoll select pselect6 epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2
        eventfd2 timerfd_create timerfd_settime timerfd_gettime pipe2
        getpid gettid getppid getuid geteuid getgid getegid getgroups getpgrp getpgid getsid getresuid getresgid
    """,
    Promise.CHANNELS: "recvmsg recvfrom getsockopt getsockname getpeername shutdown",
    Promise.CLIENT_SOCKETS: "",
    Promise.ACCEPT: "accept accept4",
    Promise.READ_FILES: """
        newfstatat stat lstat statx access faccessat faccessat2 getdents64 readlink readlinkat fadvise64 getcwd
        statfs fstatfs
    """,
    Promise.WRITE_FILES: """
        newfstatat stat lstat statx access faccessat faccessat2 getdents64 readlink readlinkat fadvise64 getcwd
        statfs fstatfs
        unlink unlinkat rename renameat renameat2 link linkat mkdir mkdirat rmdir ftruncate fallocate
        fsync fdatasync syncfs sync_file_range flock utimensat umask copy_file_range sendfile
    """,
    Promise.THREADS: "",
    Promise.NAME_SERVERS: "connect",
    Promise.CALL_OUT: "connect",
    Promise.CALL_FROM: "",
    Promise.CALL_DATABASE: "connect",
    Promise.CALL_HOOKS: "connect",
    Promise.SPAWN: """
        wait4 waitid capget capset setrlimit landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp
        getpriority
    """,
    Promise.CONVERSE: """
        poll ppoll recvfrom recvmsg read write close shutdown
        munmap mremap madvise brk futex clock_gettime gettimeofday getpid
        rt_sigprocmask rt_sigreturn restart_syscall exit exit_group
    """,
    Promise.CHOWN_DOMAINS: "",
}

# `struct sockaddr_in` and `_in6`, by their sizes: where we call from, never a name of a UNIX socket of usual length.
_IP_ADDRESS_OCTETS: Final = (16, 28)
_IP_BIND_ADDRESS_NO_PORT: Final = 24

_READ_ONLY: Final = NoneOfBits(2, os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | _O_TMPFILE)

_STREAMS: Final = tuple(socket.SOCK_STREAM | socket.SOCK_CLOEXEC | flags for flags in (0, socket.SOCK_NONBLOCK))

_JUDGED: Final[dict[Promise, dict[str, tuple[Conditions, ...]]]] = {
    Promise.STDIO: {
        # Memory that can be written never becomes a program: shell code has nowhere to live.
        "mmap": ((NoneOfBits(2, _PROT_EXEC),),),
        "mprotect": ((NoneOfBits(2, _PROT_EXEC),),),
        "fcntl": ((OneOf(1, _FCNTL),),),
        # Not TIOCSTI, which types into the operator's terminal.
        "ioctl": ((OneOf(1, (_FIONBIO, _FIOCLEX, _FIONCLEX, _FIONREAD, _TCGETS)),),),
        "prlimit64": ((OneOf(0, (0,)), Null(2)),),
        "prctl": ((OneOf(0, (_PR_SET_NAME, _PR_GET_NAME, _PR_SET_VMA)),),),
    },
    Promise.CHANNELS: {
        "sendmsg": ((NoneOfBits(2, _MSG_FASTOPEN),),),
        "sendto": ((NoneOfBits(3, _MSG_FASTOPEN), Null(4)),),
        # The kinds that cannot be sent to an address: an event loop wakes itself with a pair.
        "socketpair": (
            (
                OneOf(0, (socket.AF_UNIX,)),
                OneOf(
                    1,
                    tuple(
                        kind | flags
                        for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET)
                        for flags in (0, socket.SOCK_CLOEXEC, socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
                    ),
                ),
            ),
        ),
    },
    Promise.CLIENT_SOCKETS: {
        "setsockopt": (
            (
                OneOf(1, (socket.SOL_SOCKET,)),
                OneOf(2, (socket.SO_KEEPALIVE, socket.SO_LINGER, socket.SO_SNDBUF, socket.SO_RCVBUF)),
            ),
            (
                OneOf(1, (socket.IPPROTO_TCP,)),
                OneOf(
                    2,
                    (
                        socket.TCP_NODELAY, socket.TCP_CORK, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL,
                        socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT, socket.TCP_QUICKACK,
                    ),
                ),
            ),
        ),
    },
    Promise.ACCEPT: {},
    Promise.READ_FILES: {"openat": ((_READ_ONLY,),)},
    Promise.WRITE_FILES: {
        "openat": ((NoneOfBits(3, _SETUID_SETGID),),),
        "fchmod": ((NoneOfBits(1, _SETUID_SETGID),),),
        "fchmodat": ((NoneOfBits(2, _SETUID_SETGID),),),
        "chmod": ((NoneOfBits(1, _SETUID_SETGID),),),
    },
    Promise.NAME_SERVERS: {
        # No raw sockets and none inside the machine; without bind and listen nobody can call it.
        "socket": (
            (
                OneOf(0, (socket.AF_INET, socket.AF_INET6)),
                OneOf(
                    1,
                    tuple(
                        kind | socket.SOCK_CLOEXEC | flags
                        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
                        for flags in (0, socket.SOCK_NONBLOCK)
                    ),
                ),
                OneOf(2, (0,)),
            ),
        ),
    },
    Promise.CALL_OUT: {
        # As above, but no datagrams: whom it calls must have answered before anything is sent.
        "socket": (
            (
                OneOf(0, (socket.AF_INET, socket.AF_INET6)), OneOf(1, _STREAMS), OneOf(2, (0,)),
            ),
        ),
    },
    Promise.CALL_DATABASE: {
        # As libpq asks for it, which sets close-on-exec afterwards. No sockets inside the machine: others' lie in our folders.
        "socket": ((OneOf(0, (socket.AF_INET, socket.AF_INET6)), OneOf(1, (socket.SOCK_STREAM, *_STREAMS)), OneOf(2, (0,))),),
        "setsockopt": (
            (OneOf(1, (socket.SOL_SOCKET,)), OneOf(2, (socket.SO_KEEPALIVE,))),
            (
                OneOf(1, (socket.IPPROTO_TCP,)),
                OneOf(
                    2,
                    (
                        socket.TCP_NODELAY, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT,
                        socket.TCP_USER_TIMEOUT,
                    ),
                ),
            ),
        ),
    },
    Promise.CALL_FROM: {
        # Whatever it is bound to, nobody can call it: there is no listen, and no datagram socket.
        "bind": ((OneOf(2, _IP_ADDRESS_OCTETS),),),
        "setsockopt": ((OneOf(1, (socket.IPPROTO_IP,)), OneOf(2, (_IP_BIND_ADDRESS_NO_PORT,))),),
    },
    Promise.CALL_HOOKS: {
        "socket": ((OneOf(0, (socket.AF_UNIX,)), OneOf(1, _STREAMS), OneOf(2, (0,))),),
    },
    Promise.THREADS: {"clone": ((OneOf(0, (_THREAD_FLAGS,)),),)},
    Promise.SPAWN: {
        "clone": ((OneOf(0, (_FORK_FLAGS,)),),),
        "setgroups": ((OneOf(0, (0,)),),),
        "prctl": ((OneOf(0, (_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT)),),),
        "prlimit64": ((OneOf(0, (0,)),),),
    },
    Promise.CHOWN_DOMAINS: {},
}  # fmt: skip


_JUDGED[Promise.CONVERSE] = {
    **{name: _JUDGED[Promise.STDIO][name] for name in ("mmap", "mprotect")},
    **{name: _JUDGED[Promise.CHANNELS][name] for name in ("sendmsg", "sendto")},
    "ioctl": ((OneOf(1, (_FIONBIO,)),),),
}


def rules(promises: frozenset[Promise], own_pid: int, pool: tuple[int, int] | None) -> Rules:
    """The system calls of *promises*; *pool* is the first and the last uid that children may have, None where there is one uid."""
    found: dict[str, tuple[Conditions, ...]] = {
        # abort() and raise() must end the process as they should; nobody else's process can be named.
        "tgkill": ((OneOf(0, (own_pid,)),),),
    }
    for promise in sorted(promises, key=lambda each: each.value):
        for name in _PLAIN[promise].split():
            found[name] = ((),)
        for name, alternatives in (_JUDGED[promise] | _pool_rules(promise, pool)).items():
            found[name] = (*found.get(name, ()), *alternatives)
    return found


def _pool_rules(promise: Promise, pool: tuple[int, int] | None) -> dict[str, tuple[Conditions, ...]]:
    if pool is None:
        return {}
    if promise is Promise.SPAWN:
        change = _all_within(pool, 0, 1, 2)
        return {"setresuid": (change,), "setresgid": (change,)}
    if promise is Promise.CHOWN_DOMAINS:
        return {"fchown": (_all_within(pool, 1, 2),), "fchownat": (_all_within(pool, 2, 3),)}
    return {}


def _all_within(pool: tuple[int, int], *arguments: int) -> tuple[Check, ...]:
    return tuple(Within(argument, *pool) for argument in arguments)
