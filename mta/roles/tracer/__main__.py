"""Wiring of tracer: open the journal's folder, lose the rights, read on for ever."""

import gc
import os
import sys
from pathlib import Path

from mta import roster, sandbox
from mta.roles.tracer.desk import Desk
from mta.traces import FILE
from mta.wire import control
from mta.wire.loop import Loop


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.TRACER
    start = control.begin(role)
    log = os.open(Path(start.text("state")) / "log", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    sandbox.enter(role, start, keep=(log,))
    loop = Loop()
    days, most = start.number("limits.trace_days"), start.number("limits.trace_size")
    desk = Desk(loop, log, Path(start.text("state")) / FILE, days=days, most_octets=most)
    desk.peers = peers = control.Peers(role, start, loop, {})
    desk.begin()
    peers.ready()
    gc.freeze()
    loop.run()
    desk.close()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
