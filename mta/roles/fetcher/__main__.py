"""Wiring of fetcher: read the machine's list of authorities, open the one file, lose the rights, serve."""

import os
import ssl
import sys
import time
from pathlib import Path

from mta import roster, sandbox
from mta.roles.fetcher.desk import Desk
from mta.roles.fetcher.posts import Posts, listed
from mta.roles.fetcher.shelf import Shelf
from mta.roles.fetcher.visit import HTTPS_PORT
from mta.wire import control
from mta.wire.asking import Asking
from mta.wire.loop import Loop

AUTHORITIES = "outbound.authorities"
SHELF = "policies/known"
LOOPBACK_TOO = "outbound.allow_loopback"


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.FETCHER
    start = control.begin(role)
    authorities = ssl.create_default_context()
    if start.settings.get(AUTHORITIES):
        authorities.load_verify_locations(start.text(AUTHORITIES))
    authorities.options |= ssl.OP_NO_RENEGOTIATION
    shelf = open_shelf(Path(start.text("state")))
    sandbox.enter(role, start, keep=(shelf,), ports={HTTPS_PORT, *(port for _, port in listed(start.settings))})
    loop = Loop()
    peers, desk = serve(loop, start, authorities, Shelf(shelf))
    peers.ready()
    loop.run()
    desk.keep()
    return os.EX_OK


def open_shelf(state: Path) -> int:
    """The descriptor of the file with the policies; each write to it returns when the disk has it.

    Raises:
        OSError: there is no such folder, or it is not ours.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_DSYNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(state / SHELF, flags, 0o600)


def serve(
    loop: Loop, start: control.Start, authorities: ssl.SSLContext, shelf: Shelf | None = None, port: int = HTTPS_PORT
) -> tuple[control.Peers, Desk]:
    """Everything but the walls."""
    asking = Asking(loop)
    private_too = start.settings.get(LOOPBACK_TOO, b"").lower() == b"true"
    desk = Desk(loop, asking, authorities, time.time, shelf=shelf, private_too=private_too, port=port)
    posts = Posts(loop, asking, authorities, listed(start.settings))
    handlers = {"remote": desk.asked, "reporter": desk.asked, "resolver": asking.answered, "compiler": posts.asked}
    peers = control.Peers(roster.FETCHER, start, loop, handlers, lost=lambda channel: asking.lost(channel.peer))
    asking.peers = peers
    return peers, desk


if __name__ == "__main__":
    sys.exit(main())
