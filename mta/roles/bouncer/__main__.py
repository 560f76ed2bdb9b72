"""Wiring of bouncer: lose the rights, serve."""

import sys

from mta import roster, sandbox
from mta.roles.bouncer.desk import Desk
from mta.wire import control
from mta.wire.loop import Loop


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.BOUNCER
    start = control.begin(role)
    sandbox.enter(role, start)

    loop = Loop()
    desk = Desk(start.settings["host.name"])
    handlers = {"scheduler": desk.take, "enqueuer": desk.met_enqueuer}
    desk.peers = control.Peers(role, start, loop, handlers, lost=desk.lost)
    desk.peers.ready()
    loop.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
