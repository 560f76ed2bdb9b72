"""Wiring of reporter: open the one file, lose the rights, serve."""

import os
import sys
import time
from pathlib import Path

from mta import roster, sandbox
from mta.places import Places
from mta.roles.reporter.desk import Desk, House
from mta.wire import control
from mta.wire.asking import Asking
from mta.wire.loop import Loop

FILE = "reports/seen"
MAGIC = b"tls-seen-1"
PLACE_OCTETS = 4 << 20  # 40,000 rows of ordinary length take two thirds of it


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.REPORTER
    start = control.begin(role)
    file = open_file(Path(start.text("state")))
    sandbox.enter(role, start, keep=(file,))
    loop = Loop()
    peers, desk = serve(loop, start, Places(file, MAGIC, PLACE_OCTETS))
    peers.ready()
    loop.run()
    desk.keep()
    return os.EX_OK


def open_file(state: Path) -> int:
    """The descriptor of the file with the counts; each write to it returns when the disk has it.

    Raises:
        OSError: there is no such folder, or it is not ours.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_DSYNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(state / FILE, flags, 0o600)


def serve(loop: Loop, start: control.Start, places: Places) -> tuple[control.Peers, Desk]:
    """Everything but the walls."""
    asking = Asking(loop)
    house = House(start.settings["host.name"], start.settings["outbound.tls_reports"])
    desk = Desk(loop, asking, house, places, time.time)
    handlers = {"remotespawn": desk.seen} | dict.fromkeys(
        ("resolver", "fetcher", "signer", "enqueuer"), asking.answered
    )
    peers = control.Peers(roster.REPORTER, start, loop, handlers, lost=lambda channel: asking.lost(channel.peer))
    asking.peers = peers
    return peers, desk


if __name__ == "__main__":
    sys.exit(main())
