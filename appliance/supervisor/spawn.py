"""Starts one role as a fresh interpreter: descriptors 0 to 3 and nothing else, no environment, a session of its own.

A reader would otherwise get wrong: a role is born as root and gives it away itself (mta/sandbox), since it must import from
a folder that its own uid may not be able to enter.
"""

import fcntl
import os
import signal
import socket
import sys

from mta.wire.control import CONTROL_FD

_ABOVE_STANDARD = (
    10  # Descriptors that are moved to 0…3 must themselves lie above, or one move would overwrite another.
)


class Streams:
    """Where the roles' standard streams lead. Held by the supervisor for its whole life, so that restarts find the same."""

    def __init__(self) -> None:
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        complaints, complaining = os.pipe2(os.O_CLOEXEC)
        self.nothing = _raised(nothing)
        # What roles cry on stderr is read by the journal: a taken-over role must not write to the operator's terminal.
        self.complaints, self.complaining = _raised(complaints), _raised(complaining)
        os.set_blocking(self.complaining, False)  # A role never waits for its log.
        self.stdout, self.stderr = _raised(os.dup(1)), _raised(os.dup(2))

    def of(self, role: str) -> tuple[int, int, int]:
        """The standard input, output and error of *role*."""
        if role == "journal":
            return self.complaints, self.stdout, self.stderr
        return self.nothing, self.nothing, self.complaining


def spawn(module: str, control: socket.socket, streams: tuple[int, int, int], *arguments: str) -> int:
    """Start *module* with its *arguments* and its end of the control channel; answers the pid.

    Raises:
        OSError: the kernel has no process to give.
    """
    end = _raised(os.dup(control.fileno()))
    places = [(streams[0], 0), (streams[1], 1), (streams[2], 2), (end, CONTROL_FD)]
    try:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-m", module, *arguments],
            {},
            file_actions=[(os.POSIX_SPAWN_DUP2, source, target) for source, target in places],
            setsid=True,  # Ctrl-C is for the supervisor alone, and no role has a terminal to type into.
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )
    finally:
        os.close(end)


def _raised(descriptor: int) -> int:
    """The same file under a number above those of the standard streams; closed by exec."""
    raised = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STANDARD)
    os.close(descriptor)
    return raised
