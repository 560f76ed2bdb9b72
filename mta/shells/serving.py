"""A process that holds many conversations: an event loop, the control channel, the sandbox, then clients until told to stop.

A reader would otherwise get wrong: nothing here knows which role it is. The roster says whom it may ask.
"""

import asyncio
import gc
import socket
from pathlib import Path

import uvloop

from mta import roster, sandbox
from mta.shells.worker import Worker
from mta.wire import control

COLLECT_EVERY = 10_000  # allocations; a conversation leaves little behind in cycles


def main(role: roster.Role) -> int:
    """Be *role* until told to stop; answers the exit status."""
    start = control.begin(role)
    sandbox.refuse_io_uring()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(serve(role, start, loop))
    return 0


async def serve(role: roster.Role, start: control.Start, loop: asyncio.AbstractEventLoop) -> None:
    """Enter the sandbox and hold conversations; returns when they are over.

    The sandbox comes inside the running loop, not before it: what the loop opens when it begins to run, it could not open
    any more.
    """
    await make_one_transport(loop)
    sandbox.enter(role, start, keep=open_descriptors())
    worker = Worker(role, start, loop)
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
