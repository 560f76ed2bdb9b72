"""Wiring of smtpd: an event loop, the control channel, the sandbox, then conversations until told to stop."""

import asyncio
import gc
import sys
from pathlib import Path

import uvloop

from mta import roster, sandbox
from mta.roles.smtpd.worker import Worker
from mta.wire import control

COLLECT_EVERY = 10_000  # allocations. A conversation leaves little behind in cycles; looking after each 700 costs 5 %


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.SMTPD
    start = control.begin(role)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    # The first run opens what the loop needs (its signal pipe among it); in the sandbox it could not.
    loop.run_until_complete(asyncio.sleep(0))
    sandbox.enter(role, start, keep=open_descriptors())
    worker = Worker(start, loop)
    worker.peers.ready()
    gc.freeze()
    gc.set_threshold(COLLECT_EVERY)
    loop.run_forever()
    return 0


def open_descriptors() -> set[int]:
    """All we have is the control channel and the loop's own: exec closed the rest. The loop names its own to nobody."""
    return {int(path.name) for path in Path("/proc/self/fd").iterdir()}


if __name__ == "__main__":
    sys.exit(main())
