"""Wiring of tls: read the private key, open the certificates' folder, lose the rights, serve."""

import gc
import os
import resource
import sys

from mta import roster, sandbox
from mta.roles.tls.desk import Desk
from mta.seal import TLS_KEY, read_opener
from mta.snapshot.reader import Snapshot
from mta.wire import control
from mta.wire.loop import Loop

KEY = "keys/tls.key"  # root's, and nobody else's: we read it before we give root away
SPARE_DESCRIPTORS = 200  # beside the two of each conversation; less than the roster has to spare


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.TLS
    start = control.begin(role)
    opener = read_opener(start.path(KEY), TLS_KEY)
    folder = start.folder("snapshot/certificates")
    sandbox.enter(role, start, keep=(folder,))
    # A server name that is no text would be told on stderr, with its traceback.
    sys.unraisablehook = lambda _unraisable: None
    loop = Loop()
    desk = Desk(loop, Snapshot(folder), opener, most_conversations())
    peers = control.Peers(
        role, start, loop, {"smtpd": desk.asked, "submissiond": desk.asked, "tls": desk.asked_for_key},
        found=desk.found, lost=desk.lost,
    )  # fmt: skip
    desk.event = peers.event
    loop.run_until_idle()  # the journal should hear what follows
    if opener is None:
        peers.event("no-key", why=f"{KEY} cannot be read: no certificate can be used")
    desk.begin(peers.ready)
    gc.freeze()
    loop.run()
    desk.wind_up()
    return os.EX_OK


def most_conversations() -> int:
    """As many as our descriptors allow."""
    return max(1, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS) // 2)


if __name__ == "__main__":
    sys.exit(main())
