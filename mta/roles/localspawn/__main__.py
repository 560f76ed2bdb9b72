"""Wiring of localspawn: open the content's folder, lose the rights, fork a `local` whenever a domain has mail."""

import gc
import importlib
import os
import sys
import time
from collections.abc import Callable

from mta import roster, sandbox
from mta.offspring import Offspring
from mta.roles.localspawn.spawner import Pool, Spawner, StartLocal
from mta.roles.localspawn.together import Disk
from mta.wire import channel, control, permits
from mta.wire.loop import Loop

STOP_SECONDS = 3.0  # so long the locals may finish what they have in hand


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.LOCALSPAWN
    start = control.begin(role)
    # A local is a fork of us and loads nothing after it: what it needs is here before the rights go. Roles do not import
    # each other; which program a local is stands in the roster.
    local = importlib.import_module(f"{roster.LOCAL.module}.__main__")
    content, mail = start.folder("spool/content"), start.folder("mail")
    sandbox.enter(role, start, keep=(content, mail))

    loop = Loop()
    offspring = Offspring(loop)
    spawner = Spawner(loop, content, pool(start), forker(offspring, local.serve, start.text("host.name")), Disk(mail))
    handlers = {"scheduler": spawner.take, "storekeeper": spawner.met_store}
    spawner.peers = control.Peers(role, start, loop, handlers, lost=spawner.lost, found=spawner.found)
    gc.freeze()  # Children share what is there now; a collection in one would write to every page of it.
    spawner.peers.ready()
    loop.run()
    wind_up(loop, spawner, offspring)
    return 0


def pool(start: control.Start) -> Pool:
    """The uids of domains: a range of their own as root, else only the one we all have."""
    base = start.number("uid_base")
    return (
        Pool(base + roster.DOMAIN_UIDS_FROM, roster.DOMAIN_UIDS)
        if os.geteuid() == base + roster.LOCALSPAWN.number
        else Pool(0, 1)
    )


def forker(offspring: Offspring, serve: Callable[..., int], host: str) -> StartLocal:
    """What makes a local: a fork with a channel to us, which drops to the domain's uid before it reads the first message."""

    def start_local(uid: int, folder: int, ended: Callable[[int], None]) -> tuple[int, channel.Channel]:
        ours, theirs = channel.pair()
        try:
            pid = offspring.fork(lambda: serve(theirs, uid, folder, host), ended)
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        return pid, channel.Channel(ours, "local", permits.readable_by_client("localspawn", "local"))

    return start_local


def wind_up(loop: Loop, spawner: Spawner, offspring: Offspring) -> None:
    """Wait for the locals to end: nobody of ours outlives us."""
    spawner.hang_up()
    deadline = time.monotonic() + STOP_SECONDS
    while offspring.alive and time.monotonic() < deadline:
        loop.run_once(0.1)


if __name__ == "__main__":
    sys.exit(main())
