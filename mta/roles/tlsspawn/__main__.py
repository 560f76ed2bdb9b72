"""Wiring of tlsspawn: lose the rights, then fork a cell for every handshake until told to stop."""

import gc
import importlib
import resource
import socket
import sys
import time

from mta import roster, sandbox
from mta.offspring import Offspring, uids_of
from mta.roles.tlsspawn.rehearsal import rehearse, throwaway_pair
from mta.roles.tlsspawn.spawner import Birth, Spawner
from mta.wire import control, permits
from mta.wire.channel import Channel
from mta.wire.loop import Loop

LAST_WORDS_SECONDS = 1.0
SPARE_DESCRIPTORS = 256  # beside the channel that each of smtpd's cells has to us


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.TLSSPAWN
    start = control.begin(role)
    # A cell is a fork of us and loads nothing after it. Roles do not import each other; what carries TLS stands in the roster.
    cell = importlib.import_module(f"{roster.TLS.module}.cell")
    chain, key = throwaway_pair()
    loop = Loop()
    offspring = Offspring(loop)
    sandbox.enter(role, start, keep=(loop.fileno(), *offspring.descriptors))
    sys.unraisablehook = lambda _unraisable: None  # As in tls: a server name that is no text.
    walls = sandbox.CellWalls(roster.TLS_CELL)
    rehearse(cell, chain, key)
    contexts = cell.Contexts()

    def live(birth: Birth) -> int:
        ends = {"keeper": birth.keeper, "journal": birth.journal}
        kept = (birth.client, birth.asker.fileno(), *(end.fileno() for end in ends.values()))
        walls.enter(birth.uid, kept)
        birth.asker.wants_write = None  # Our parent's loop is none of our business.
        channels = {
            "keeper": Channel(birth.keeper, "tls", permits.readable_by_client("tls", "tls")),
            "journal": Channel(birth.journal, "journal", permits.readable_by_client("tls", "journal")),
        }
        client = socket.socket(fileno=birth.client)
        gc.disable()  # What is left behind goes with the process.
        status: int = cell.Cell(birth.asked, client, contexts, asker=birth.asker, **channels).serve()
        return status

    spawner = Spawner(offspring, uids_of(role, start), most(), live)
    handlers = {"smtpd": spawner.asked, "submissiond": spawner.asked, "tls": spawner.heed_tls}
    spawner.peers = control.Peers(role, start, loop, handlers, found=spawner.found, lost=spawner.lost)
    gc.freeze()  # Cells share what is there now; a collection in one would write to every page of it.
    spawner.peers.ready()
    loop.run()
    # Whoever asks us has ended before us; a cell ends when what was said has reached its client.
    deadline = time.monotonic() + LAST_WORDS_SECONDS
    while offspring.alive and time.monotonic() < deadline:
        loop.run_once(0.1)
    return 0


def most() -> int:
    """How many cells may live at once: the keeper and the journal have our limit of descriptors, and one for each."""
    return max(1, min(roster.CELL_UIDS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_DESCRIPTORS))


if __name__ == "__main__":
    sys.exit(main())
