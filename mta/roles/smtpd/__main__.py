"""Wiring of smtpd: an event loop, the control channel, the sandbox, then conversations until told to stop."""

import asyncio
import gc
import socket
import sys
from pathlib import Path

import uvloop

from mta import roster, sandbox
from mta.roles.smtpd.worker import Worker
from mta.wire import control

COLLECT_EVERY = 10_000  # allocations; a conversation leaves little behind in cycles


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    start = control.begin(roster.SMTPD)
    sandbox.refuse_io_uring()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(start, loop))
    return 0


async def serve(start: control.Start, loop: asyncio.AbstractEventLoop) -> None:
    """Enter the sandbox and hold conversations; returns when they are over.

    The sandbox comes inside the running loop, not before it: what the loop opens when it begins to run, it could not open
    any more.
    """
    await make_one_transport(loop)
    sandbox.enter(roster.SMTPD, start, keep=open_descriptors())
    worker = Worker(start, loop)
    worker.peers.ready()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    await worker.done


async def make_one_transport(loop: asyncio.AbstractEventLoop) -> None:
    """With its first stream libuv opens /dev/null, as a spare descriptor; refused, it would try again with each client."""
    ours, theirs = socket.socketpair()
    transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
    transport.close()
    theirs.close()


def open_descriptors() -> set[int]:
    """All we have is the control channel and the loop's own: exec closed the rest. The loop names its own to nobody."""
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


if __name__ == "__main__":
    sys.exit(main())
