"""Wiring of signer: read the private key, open the folder of signing keys, lose the rights, serve."""

import gc
import os
import sys

from mta import roster, sandbox
from mta.roles.signer.desk import Desk
from mta.roles.signer.keys import Keeper
from mta.seal import SIGNING_KEY, read_opener
from mta.snapshot.reader import Snapshot
from mta.wire import control
from mta.wire.loop import Loop

KEY = "keys/signer.key"  # root's, and nobody else's: we read it before we give root away


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.SIGNER
    start = control.begin(role)
    opener = read_opener(start.path(KEY), SIGNING_KEY)
    folder = start.folder("snapshot/signing")
    sandbox.enter(role, start, keep=(folder,))
    loop = Loop()
    contact = start.settings.get("outbound.tls_reports", b"")
    desk = Desk(Keeper(Snapshot(folder), opener), start.settings[roster.TICKET_KEY], contact=contact)
    desk.peers = control.Peers(
        role, start, loop, {"submitter": desk.asked, "bouncer": desk.asked, "reporter": desk.asked_report}
    )
    loop.run_until_idle()  # the journal should hear what follows
    if opener is None:
        desk.peers.event("no-key", why=f"{KEY} cannot be read: no mail can be signed")
    desk.look()
    desk.peers.ready()
    gc.freeze()
    loop.run()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
