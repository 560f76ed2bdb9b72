"""Wiring of remotespawn: fork the nursery, open content and routes, lose the rights, serve."""

import sys
import time
from collections.abc import Mapping

from mta import roster, sandbox
from mta.roles.remotespawn import nursery
from mta.roles.remotespawn.routes import Routes
from mta.roles.remotespawn.spawner import Spawner
from mta.seal import ROUTE_SECRET, read_opener
from mta.snapshot.reader import Snapshot
from mta.wire import channel, control, permits
from mta.wire.loop import Loop

KEY = "keys/remotespawn.key"  # root's, and nobody else's: we read it before we give root away
STOP_SECONDS = 3.0  # so long hosts that have a whole message may still answer

_PASSED_ON = ("host.name",)  # settings that remotes are told of, beside all of [outbound]


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.REMOTESPAWN
    start = control.begin(role)
    ours, theirs = channel.pair()
    nursery.begin(start, ours, theirs)  # before anything that no remote may have
    opener = read_opener(start.path(KEY), ROUTE_SECRET)
    content, routes = (start.folder(path) for path in ("spool/content", "snapshot/routes"))
    sandbox.enter(role, start, keep=(content, routes, ours.fileno()))

    loop = Loop()
    settings = dict(start.settings)
    nurse = channel.Channel(ours, "nursery", permits.readable_by_client("remotespawn", "nursery"))
    spawner = Spawner(loop, content, Routes(Snapshot(routes), opener), nurse, lambda: passed_on(settings))

    def reload(changed: Mapping[str, bytes]) -> None:
        settings.update(changed)
        spawner.change()

    # Without it nothing can be sent; a fresh one must be older than the key in our memory, and so must we.
    loop.add_channel(nurse, spawner.heed_nursery, lambda _channel: sys.exit(control.EXIT_AGAIN))
    spawner.peers = control.Peers(
        role, start, loop, {"scheduler": spawner.take}, lost=spawner.lost, found=spawner.found, reload=reload
    )
    spawner.peers.ready()
    loop.run()
    wind_up(loop, spawner)
    return 0


def passed_on(settings: Mapping[str, bytes]) -> dict[str, bytes]:
    """What remotes are told."""
    return {name: value for name, value in settings.items() if name in _PASSED_ON or name.startswith("outbound.")}


def wind_up(loop: Loop, spawner: Spawner) -> None:
    """Wait for who has a whole message to answer; what is not answered then is sent again some day."""
    spawner.wind_up()
    deadline = time.monotonic() + STOP_SECONDS
    while spawner.in_hand and time.monotonic() < deadline:
        loop.run_once(0.1)
    spawner.leave()


if __name__ == "__main__":
    sys.exit(main())
