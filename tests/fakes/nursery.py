"""Forks the fakes: one interpreter has read all that they are made of, so that each begins within a millisecond or two.

A reader would otherwise get wrong: a fake is the nursery's child, not the test's. The kernel reaps it; whoever wants to know
when it is gone asks its pidfd.
"""

import atexit
import functools
import importlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from mta.wire.control import CONTROL_FD

ROOT = Path(__file__).parents[2]
MOST_OCTETS = 100  # of a module's name, and of a number


def born(module: str, control: int, output: int) -> int:
    """The pid of a new process that runs *module*'s main, with *control* as its descriptor 3 and *output* for what it says."""
    nursery = _nursery()
    socket.send_fds(nursery, [module.encode()], [control, output])
    return int(nursery.recv(MOST_OCTETS))


@functools.cache
def _nursery() -> socket.socket:
    """The way to it. It ends with whoever started it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__], cwd=ROOT, stdin=theirs.fileno(), stdout=subprocess.DEVNULL
        )
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def main() -> int:
    """Make whom one asks for, until nobody asks any more."""
    asked = socket.socket(fileno=0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        name, descriptors, _, _ = socket.recv_fds(asked, MOST_OCTETS, 2)
        if not name:
            return 0
        module = importlib.import_module(name.decode())
        pid = os.fork()
        if not pid:
            _become(asked, *descriptors)
            return int(module.main())
        for descriptor in descriptors:
            os.close(descriptor)
        asked.send(str(pid).encode())


def _become(asked: socket.socket, control: int, output: int) -> None:
    """As if it had been started with these descriptors and no others."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    asked.close()
    for number in (1, 2):
        os.dup2(output, number)
    # Last: one of the two may have this number by chance.
    if control != CONTROL_FD:
        os.dup2(control, CONTROL_FD)
    for descriptor in {control, output} - {CONTROL_FD}:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
