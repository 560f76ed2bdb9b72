"""Landlock: which folders exist for a process. Everything that the kernel can refuse and no rule allows is refused.

A reader would otherwise get wrong: the rules bind the calling *thread* (and what it starts), so this comes before any other
thread exists. Kernels differ: ABI 1 cannot rename between folders at all, which would break Maildir delivery, so below
ABI 2 there is no Landlock wall, and chroot, uid and seccomp stand alone.
"""

import errno
import os
import struct
from collections.abc import Iterable
from typing import Final

from mta.roster import Access
from mta.sandbox import kernel

_CREATE_RULESET_VERSION: Final = 1
_RULE_PATH_BENEATH: Final = 1
_RULE_NET_PORT: Final = 2

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << bit for bit in range(6))
_MAKE_DIR: Final = 1 << 7
_MAKE_REG: Final = 1 << 8
_REFER: Final = 1 << 13
_TRUNCATE: Final = 1 << 14

_ALL_OF_ABI: Final = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_ALL_FROM_ABI_5: Final = (1 << 16) - 1  # also ioctl on devices
_BIND_TCP: Final = 0b01  # from NETWORK_ABI
_CONNECT_TCP: Final = 0b10
_ANY_FREE_PORT: Final = 0  # as bind(2) has it: the kernel chooses one
_ALL_SCOPES: Final = 0b11  # from ABI 6: abstract UNIX sockets and signals to processes outside
LEAST_ABI: Final = 2
NETWORK_ABI: Final = 4

Folders = Iterable[tuple[int, Access]]  # descriptors, and what may be done below them

_READ: Final = _READ_FILE | _READ_DIR
_ALLOWED: Final = {
    Access.READ: _READ,
    # No devices, no FIFOs, no sockets and no symbolic links: a role makes files and folders.
    Access.WRITE: _READ | _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _MAKE_REG | _REFER | _TRUNCATE,
}


def abi() -> int:
    """The kernel's Landlock ABI; 0 when it has none, or it is switched off."""
    try:
        return kernel.call("landlock_create_ruleset", None, 0, _CREATE_RULESET_VERSION)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EOPNOTSUPP):
            return 0
        raise


def confine(allowed: Folders, ports: Iterable[int] | None = (), *, binds: bool = False) -> bool:
    """From now on only what lies below the *allowed* folders (descriptors) exists; False when the kernel has no such wall.

    Also, where the kernel can: TCP connect to *ports* only (None: to any), no TCP bind, or with *binds* one to an address
    without a port, no signals and no abstract sockets to the world outside.

    Raises:
        OSError: the kernel refuses a rule.
    """
    ruleset = ruleset_of(allowed, ports, binds=binds)
    if ruleset is None:
        return False
    try:
        restrict(ruleset)
    finally:
        os.close(ruleset)
    return True


def restrict(ruleset: int) -> None:
    """From now on *ruleset* (see `ruleset_of`) holds for this process, on top of what holds already.

    Raises:
        OSError: the kernel refuses.
    """
    kernel.call("landlock_restrict_self", ruleset, 0)


def ruleset_of(allowed: Folders, ports: Iterable[int] | None = (), *, binds: bool = False) -> int | None:
    """The descriptor of the rules that `confine` describes; None when the kernel has no such wall.

    Raises:
        OSError: the kernel refuses a rule.
    """
    version = abi()
    if version < LEAST_ABI:
        return None
    files = _ALL_OF_ABI.get(version, _ALL_FROM_ABI_5)
    attributes = [files]
    if version >= NETWORK_ABI:
        attributes.append(_BIND_TCP | _CONNECT_TCP if ports is not None else _BIND_TCP)
    if version >= 6:
        attributes.append(_ALL_SCOPES)
    packed = struct.pack(f"={len(attributes)}Q", *attributes)
    ruleset = kernel.call("landlock_create_ruleset", packed, len(packed), 0)
    try:
        for folder, access in allowed:
            rule = struct.pack("=Qi", _ALLOWED[access] & files, folder)
            kernel.call("landlock_add_rule", ruleset, _RULE_PATH_BENEATH, rule, 0)
        ways = [(_CONNECT_TCP, port) for port in ports or ()] + [(_BIND_TCP, _ANY_FREE_PORT)] * binds
        for way in ways if version >= NETWORK_ABI else ():
            kernel.call("landlock_add_rule", ruleset, _RULE_NET_PORT, struct.pack("=QQ", *way), 0)
    except OSError:
        os.close(ruleset)
        raise
    return ruleset
