"""Wiring of authenticator: read the private key, open the credential snapshot's folder, lose the rights, serve."""

import os
import sys
import time
from pathlib import Path

from mta import roster, sandbox
from mta.roles.authenticator.desk import Desk
from mta.roles.authenticator.patience import Patience
from mta.seal import PASSWORD_HASH, read_opener
from mta.snapshot.reader import Snapshot
from mta.wire import control
from mta.wire.loop import Loop

KEY = "keys/authenticator.key"  # root's, and nobody else's: we read it before we give root away


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.AUTHENTICATOR
    start = control.begin(role)
    state = Path(start.text("state"))
    opener = read_opener(state / KEY, PASSWORD_HASH)
    folder = os.open(state / "snapshot" / "credentials", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    sandbox.enter(role, start, keep=(folder,))
    loop = Loop()
    desk = Desk(loop, Snapshot(folder), opener, Patience(time.monotonic))
    peers = serve(loop, start, desk)
    loop.run_until_idle()  # the journal should hear what follows
    if opener is None:
        peers.event("no-key", why=f"{KEY} cannot be read: no password can be checked")
    peers.ready()
    loop.run()
    desk.close()
    return 0


def serve(loop: Loop, start: control.Start, desk: Desk) -> control.Peers:
    """Everything but the walls: threads and peers."""
    desk.begin()
    peers = desk.peers = control.Peers(roster.AUTHENTICATOR, start, loop, {"web": desk.asked})
    return peers


if __name__ == "__main__":
    sys.exit(main())
