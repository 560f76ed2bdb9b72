"""Wiring of directory: open the recipient snapshot's folder, lose the rights, serve."""

import os
import sys
import time
from pathlib import Path

from mta import roster, sandbox
from mta.roles.directory.desk import Desk
from mta.roles.directory.resolve import MAX_EXPANSION, Resolver
from mta.roles.directory.unknowns import Unknowns
from mta.snapshot.reader import Snapshot
from mta.wire import control
from mta.wire.loop import Loop

PER_CLIENT, IN_TOTAL = 20, 2000  # unknown recipients in a minute, where the settings do not say

FIRST_LOOK_SECONDS = 1.0  # by then the journal is there to hear that there is no snapshot


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.DIRECTORY
    start = control.begin(role)
    folder = os.open(Path(start.text("state")) / "snapshot" / "recipients", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    sandbox.enter(role, start, keep=(folder,))
    loop = Loop()
    serve(loop, start, folder).ready()
    loop.run()
    return 0


def serve(loop: Loop, start: control.Start, folder: int) -> control.Peers:
    """Everything but the walls: the snapshot below *folder*, the desk, its peers."""
    snapshot = Snapshot.open(folder)
    resolver = Resolver(snapshot.get, _number(start, "limits.max_expansion", MAX_EXPANSION))
    unknowns = Unknowns(
        time.monotonic,
        _number(start, "limits.unknown_recipients_per_minute", PER_CLIENT),
        _number(start, "limits.unknown_recipients_in_total", IN_TOTAL),
    )
    desk = Desk(
        loop, snapshot, resolver, unknowns, start.settings[roster.TICKET_KEY], start.settings[roster.SESSION_KEY]
    )
    handlers = {"smtpd": desk.asked, "scheduler": desk.expand, "ledger": desk.used}
    peers = desk.peers = control.Peers(roster.DIRECTORY, start, loop, handlers, lost=desk.lost)
    loop.call_later(FIRST_LOOK_SECONDS, desk.look)
    return peers


def _number(start: control.Start, name: str, default: int) -> int:
    return start.number(name) if name in start.settings else default


if __name__ == "__main__":
    sys.exit(main())
