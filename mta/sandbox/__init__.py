"""The one door between a role that has begun and a role that serves. What it loses, and in which order, is fixed here.

A reader would otherwise get wrong: nothing can be fetched afterwards. Whatever a role needs - modules, folders, keys - it
must hold before; folders it keeps as descriptors (`keep`), for as root its root directory becomes the state folder, and
the folders between may be closed to it.

The walls, each standing alone: an own uid without capabilities, another root directory, Landlock, an allow-list of system
calls, limits. Started by an ordinary user there is neither uid nor root directory; the others stand.
"""

import os
from collections.abc import Collection

from mta import roster
from mta.sandbox import confinement, identity, kernel, limits, promises, seccomp
from mta.sandbox.preloading import preload
from mta.wire import control

__all__ = ["CellWalls", "confine_domain", "enter", "preload", "refuse_io_uring"]

_EMPTY = "run/empty"  # The root directory of roles without files; the supervisor makes it.
_STANDARD = (0, 1, 2)


def enter(
    role: roster.Role, start: control.Start, *, keep: Collection[int] = (), ports: Collection[int] | None = ()
) -> None:
    """Lose everything that *role* was not promised.

    *keep*: descriptors it holds beside its control channel. *ports*: to which it may connect over TCP, if it may at all;
    None: to any.

    Afterwards the setting `state` says by which path the state folder is reached: as root that is "/".

    Raises:
        OSError: a wall could not be built. The process must end: it is neither inside nor outside.
    """
    preload()
    state, root = start.text("state"), start.number("root") == 1
    uid_base = start.number("uid_base")
    folders = [(_open(os.path.join(state, rule.path)), rule.access) for rule in role.paths]  # noqa: PTH118
    limits.bound(role, alone=root, connections=roster.connections_of(role, start.settings))
    close_all_but({*_STANDARD, start.control.fileno(), *keep, *(descriptor for descriptor, _ in folders)})
    if root:
        _change_root(state if role.paths else os.path.join(state, _EMPTY))  # noqa: PTH118
        start.settings["state"] = b"/"
        identity.become(uid_base + role.number, uid_base + _group_number(role), _capabilities(role))
    else:
        identity.limit_capabilities()
    identity.harden()
    confinement.confine(folders, ports, binds=_binds(role))
    for descriptor, _ in folders:
        os.close(descriptor)
    _install(role, _pool(role, uid_base) if root else None)


def refuse_io_uring() -> None:
    """For a process that makes a libuv loop before it enters: have io_uring refused from now on.

    A ring made before would carry system calls past every later filter, and libuv makes one whatever its settings say. When
    it cannot, it does without; when it has one and may not use it, it ends the process.

    Raises:
        OSError: the kernel refuses the filter.
    """
    identity.forbid_new_privileges()
    seccomp.install(seccomp.assemble_refusal("io_uring_setup"))


def confine_domain(uid: int, folder: int, *, keep: Collection[int] = ()) -> None:
    """Make this process, a fresh fork of localspawn or storekeeper, the servant of one domain.

    *uid* is the domain's, 0 where the appliance has only one; *folder* is its folder's descriptor: below it the process
    may write, nowhere else. No way back, no further process.

    Raises:
        OSError: a wall could not be built. The process must end.
    """
    limits.bound(roster.LOCAL, alone=False)
    close_all_but({*_STANDARD, folder, *keep})
    if uid:
        identity.change_uid(uid, uid)
    identity.limit_capabilities()
    identity.harden()
    confinement.confine([(folder, roster.Access.WRITE)])
    _install(roster.LOCAL, None)


class CellWalls:
    """What a cell puts up around itself. Made once by whoever forks cells, after it entered: a cell then only has to enter.

    *role* says what the cell keeps. *ports*: as for `enter`.

    Raises:
        OSError: the kernel refuses the rules.
    """

    def __init__(self, role: roster.Role = roster.CELL, *, ports: Collection[int] | None = ()) -> None:
        self._role = role
        self._steps = identity.steps_of_a_fork()
        ruleset = confinement.ruleset_of((), ports, binds=_binds(role))
        if ruleset is not None:
            self._steps.append(kernel.Prepared("landlock_restrict_self", ruleset, 0))
        # No pid is its own: what it may signal is nobody, itself included.
        program = seccomp.assemble(promises.rules(role.promises, 0, None), promises.ERRORS)
        self._filter = seccomp.Installation(program)

    def enter(self, uid: int, keep: Collection[int]) -> None:
        """Make this process, a fresh fork, a cell: under *uid* (0 where the appliance has only one), with *keep* and no more.

        Its root directory stays the empty one of its parent, and so do those limits that are as low as its own. No way back,
        no further process.

        Raises:
            OSError: a wall could not be built. The process must end.
        """
        limits.bound_fork(self._role)
        if uid:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        for step in self._steps:
            step()
        close_all_but((*_STANDARD, *keep))
        self._filter()


def close_all_but(kept: Collection[int]) -> None:
    """Close every descriptor that is not in *kept*."""
    low = 0
    for descriptor in sorted(kept):
        if low < descriptor:  # An empty range at 0 would wrap round and close all there are.
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, 1 << 30)


def _open(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _change_root(path: str) -> None:
    # Descriptors of folders outside would lead out again; the roster's paths all lie inside, and the others were closed.
    os.chroot(path)
    os.chdir("/")


def _group_number(role: roster.Role) -> int:
    return roster.role_named(role.group).number if role.group else role.number


def _binds(role: roster.Role) -> bool:
    return roster.Promise.CALL_FROM in role.promises


def _capabilities(role: roster.Role) -> list[int]:
    found = []
    if roster.Promise.SPAWN in role.promises:
        found += [identity.CAP_SETUID, identity.CAP_SETGID]
    if roster.Promise.CHOWN_DOMAINS in role.promises:
        found.append(identity.CAP_CHOWN)
    return found


def _pool(role: roster.Role, uid_base: int) -> tuple[int, int]:
    """The first and the last uid of *role*'s children; nobody asks it of a role without any."""
    first, count = role.pool
    return uid_base + first, uid_base + first + count - 1


def _install(role: roster.Role, pool: tuple[int, int] | None) -> None:
    rules = promises.rules(role.promises, os.getpid(), pool)
    seccomp.install(seccomp.assemble(rules, promises.ERRORS))
