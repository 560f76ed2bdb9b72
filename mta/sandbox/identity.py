"""Who a process is: groups, gid, uid, capabilities, and the promise never to gain anything again.

A reader would otherwise get wrong: CAP_SETUID survives one change of uid and leads back to 0. So the two roles that must
keep it (localspawn, storekeeper) are safe only together with the seccomp rule that bounds the *arguments* of setresuid.
"""

import os
import struct
from collections.abc import Collection
from typing import Final

from mta.sandbox import kernel

CAP_CHOWN: Final = 0
CAP_SETGID: Final = 6
CAP_SETUID: Final = 7

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_CAPBSET_READ: Final = 23
_PR_CAPBSET_DROP: Final = 24
_PR_SET_SECUREBITS: Final = 28
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4

_CAPABILITY_VERSION_3: Final = 0x20080522
_SIGKILL: Final = 9

# uid 0 means nothing any more, capabilities never come from a uid again, and nobody changes that.
_NOROOT: Final = 0b11
_KEEP_CAPS: Final = 1 << 4
_KEEP_CAPS_LOCKED: Final = 1 << 5
_NO_AMBIENT: Final = 0b11 << 6


def become(uid: int, gid: int, capabilities: Collection[int] = ()) -> None:
    """As root: the uid *uid*, the gid *gid*, no other groups, and of all capabilities only *capabilities*.

    Raises:
        OSError: the kernel refuses a step; the process must end, for it is half dressed.
    """
    for capability in range(_last_capability() + 1):
        kernel.prctl(_PR_CAPBSET_DROP, capability)
    keep = _KEEP_CAPS if capabilities else 0
    kernel.prctl(_PR_SET_SECUREBITS, _NOROOT | keep | _KEEP_CAPS_LOCKED | _NO_AMBIENT)
    change_uid(uid, gid)
    limit_capabilities(capabilities)


def change_uid(uid: int, gid: int) -> None:
    """No groups, *gid*, *uid*: all three kinds of each, in the only order that works.

    Raises:
        OSError: not permitted.
    """
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def limit_capabilities(capabilities: Collection[int] = ()) -> None:
    """Keep at most *capabilities*; inheritable and ambient ones never.

    Raises:
        OSError: not permitted, e.g. one that the process does not have.
    """
    kernel.call("capset", *_capset(capabilities))
    kernel.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)


def steps_of_a_fork() -> list[kernel.Prepared]:
    """What a fork of a role that entered its sandbox still has to lose, after the change of uid, as system calls made ready.

    Its parent has no other groups, no ambient capability, and no new privileges to gain; all of that is inherited.
    """
    return [
        kernel.Prepared("capset", *_capset(())),
        kernel.Prepared("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0),
        kernel.Prepared("prctl", _PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0),
    ]


def _capset(capabilities: Collection[int]) -> tuple[bytes, bytes]:
    mask = sum(1 << capability for capability in capabilities)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    return struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), struct.pack("=6I", low, low, 0, high, high, 0)


def harden() -> None:
    """No new privileges by exec; no core, no ptrace by one's own uid; dies with its parent.

    Comes after the change of uid, which resets two of the three.

    Raises:
        OSError: the kernel refuses.
    """
    kernel.prctl(_PR_SET_DUMPABLE, 0)
    kernel.prctl(_PR_SET_PDEATHSIG, _SIGKILL)
    forbid_new_privileges()


def forbid_new_privileges() -> None:
    """No exec gives more than we have; without it the kernel takes a filter from root only.

    Raises:
        OSError: the kernel refuses.
    """
    kernel.prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _last_capability() -> int:
    """The kernel's highest capability: /proc may not be mounted, so ask until it no longer knows the number."""
    last = -1
    while True:
        try:
            kernel.prctl(_PR_CAPBSET_READ, last + 1)
        except OSError:
            return last
        last += 1
