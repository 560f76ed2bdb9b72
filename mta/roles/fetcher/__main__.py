"""Wiring of fetcher: read the machine's list of authorities, lose the rights, serve."""

import os
import ssl
import sys
import time

from mta import roster, sandbox
from mta.roles.fetcher.desk import Desk
from mta.roles.fetcher.visit import HTTPS_PORT
from mta.wire import control
from mta.wire.asking import Asking
from mta.wire.loop import Loop

AUTHORITIES = "outbound.authorities"
LOOPBACK_TOO = "outbound.allow_loopback"


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.FETCHER
    start = control.begin(role)
    authorities = ssl.create_default_context()
    if start.settings.get(AUTHORITIES):
        authorities.load_verify_locations(start.text(AUTHORITIES))
    authorities.options |= ssl.OP_NO_RENEGOTIATION
    sandbox.enter(role, start, ports={HTTPS_PORT})
    loop = Loop()
    serve(loop, start, authorities).ready()
    loop.run()
    return os.EX_OK


def serve(loop: Loop, start: control.Start, authorities: ssl.SSLContext, port: int = HTTPS_PORT) -> control.Peers:
    """Everything but the walls."""
    asking = Asking(loop)
    private_too = start.settings.get(LOOPBACK_TOO, b"").lower() == b"true"
    desk = Desk(loop, asking, authorities, time.monotonic, private_too=private_too, port=port)
    handlers = {"remote": desk.asked, "resolver": asking.answered}
    peers = control.Peers(roster.FETCHER, start, loop, handlers, lost=lambda channel: asking.lost(channel.peer))
    asking.peers = peers
    return peers


if __name__ == "__main__":
    sys.exit(main())
