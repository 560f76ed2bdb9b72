"""Wiring of bouncer: lose the rights, serve."""

import sys
from collections.abc import Mapping

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
    desk = Desk(start.settings["host.name"], qsbmf=_wants_qsbmf(start.settings))
    handlers = {
        "scheduler": desk.take, "ledger": desk.notices.take, "compiler": desk.notices.take, "enqueuer": desk.met_enqueuer,
        "directory": desk.met_directory, "signer": desk.met_signer,
    }  # fmt: skip

    def reload(settings: Mapping[str, bytes]) -> None:
        desk.qsbmf = _wants_qsbmf(settings)

    desk.peers = control.Peers(role, start, loop, handlers, lost=desk.lost, found=desk.found, reload=reload)
    desk.peers.ready()
    loop.run()
    return 0


def _wants_qsbmf(settings: Mapping[str, bytes]) -> bool:
    return settings.get("outbound.bounce_format") == b"qsbmf"


if __name__ == "__main__":
    sys.exit(main())
