"""Wiring of submitter: lose the rights, serve."""

import gc
import os
import sys

from mta import roster, sandbox
from mta.roles.submitter.desk import Desk
from mta.wire import control
from mta.wire.asking import Asking
from mta.wire.loop import Loop


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.SUBMITTER
    start = control.begin(role)
    sandbox.enter(role, start)
    loop = Loop()
    asking = Asking(loop)
    desk = Desk(asking, host=start.settings["host.name"], max_message_size=start.number("smtpd.max_message_size"))
    handlers = {
        "submissiond": desk.take,
        "authenticator": asking.answered,
        "signer": asking.answered,
        "enqueuer": desk.hear_enqueuer,
    }
    desk.peers = asking.peers = control.Peers(role, start, loop, handlers, lost=desk.lost)
    loop.after_burst.append(desk.pump)
    desk.peers.ready()
    gc.freeze()
    loop.run()
    return os.EX_OK


if __name__ == "__main__":
    sys.exit(main())
