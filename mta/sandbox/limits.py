"""How much a process may use: memory, descriptors, processes.

A reader would otherwise get wrong: RLIMIT_NPROC counts all processes of a uid on the machine. It says something only where
the role has its uid to itself; for roles that start nothing it is 0 all the same, since then it forbids the next one.
"""

import resource

from mta import roster
from mta.roster import Promise, Role

_THREADS = 64  # Of one role; the web server's pool has 40.
_CHILDREN = 4096


def bound(role: Role, *, alone: bool, connections: int = 0) -> None:
    """Set the limits of *role*; `alone` when it has a uid to itself. *connections*: how many the appliance takes at once.

    Raises:
        OSError: a limit is above what the process may have.
    """
    _lower(resource.RLIMIT_CORE, 0)  # What a role holds belongs in no file.
    _lower(resource.RLIMIT_DATA, roster.memory_mib_of(role, connections) << 20)
    _set_files(roster.open_files_of(role, connections))
    _lower(resource.RLIMIT_MEMLOCK, 0)
    _lower(resource.RLIMIT_MSGQUEUE, 0)
    if Promise.WRITE_FILES not in role.promises:
        _lower(resource.RLIMIT_FSIZE, role.file_mib << 20)
    if Promise.SPAWN in role.promises:
        if alone:
            _lower(resource.RLIMIT_NPROC, _CHILDREN)
    elif Promise.THREADS in role.promises:
        if alone:
            _lower(resource.RLIMIT_NPROC, _THREADS)
    else:
        _lower(resource.RLIMIT_NPROC, 0)


def _set_files(value: int) -> None:
    """Soft and hard; root lifts even the hard one, for the administrator asked for that many connections."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (value, value))
    except (ValueError, PermissionError):  # The host allows fewer; `postern check` and `postern up` say so.
        _lower(resource.RLIMIT_NOFILE, value)


def bound_fork(role: Role) -> None:
    """The same for a *role* that is a fork of one that is bound already, as far as it must have less than that one.

    Raises:
        OSError: a limit is above what the process may have.
    """
    resource.setrlimit(resource.RLIMIT_NOFILE, (role.open_files, role.open_files))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _lower(limit: int, value: int) -> None:
    """Soft and hard to *value*, or to what is permitted when that is less."""
    hard = resource.getrlimit(limit)[1]
    bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (bounded, bounded))
