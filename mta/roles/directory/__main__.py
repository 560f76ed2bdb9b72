"""Wiring of directory: open the recipient snapshot's folder, lose the rights, serve."""

import sys
import time
from collections.abc import Iterable, Mapping

from mta import relaying, roster, sandbox
from mta.roles.directory.access import Scope
from mta.roles.directory.clients import Clients
from mta.roles.directory.desk import Desk, Protections
from mta.roles.directory.resolve import MAX_EXPANSION, Resolver
from mta.roles.directory.senders import HostLimits
from mta.roles.directory.unknowns import Unknowns
from mta.snapshot.reader import Snapshot
from mta.windows import Window
from mta.wire import control
from mta.wire.asking import Asking
from mta.wire.loop import Loop

PER_CLIENT, IN_TOTAL = 20, 2000  # unknown recipients in a minute, where the settings do not say

FIRST_LOOK_SECONDS = 1.0  # by then the journal is there to hear that there is no snapshot


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.DIRECTORY
    start = control.begin(role)
    folder = start.folder("snapshot/recipients")
    sandbox.enter(role, start, keep=(folder,))
    loop = Loop()
    serve(loop, start, folder).ready()
    loop.run()
    return 0


def serve(loop: Loop, start: control.Start, folder: int) -> control.Peers:
    """Everything but the walls: the snapshot below *folder*, the desk, its peers."""
    snapshot = Snapshot.open(folder)
    has_way_out = roster.Edge("scheduler", "remotespawn") in roster.EDGES
    most = _number(start, "limits.max_expansion", MAX_EXPANSION)
    resolver = Resolver(snapshot.get, most, has_way_out=has_way_out)
    asking = Asking(loop)
    desk = Desk(
        loop, snapshot, resolver, protections(start, asking), asking,
        start.settings[roster.TICKET_KEY], start.settings[roster.SESSION_KEY],
    )  # fmt: skip
    answers = dict.fromkeys(("ledger", "resolver", "source"), asking.answered)
    handlers = {"smtpd": desk.asked, "submissiond": desk.asked, "qmtpd": desk.asked, "scheduler": desk.expand,
        "bouncer": desk.met_bouncer, **answers,
    }  # fmt: skip

    def reload(settings: Mapping[str, bytes]) -> None:
        desk.protect(protections(control.Start(start.control, start.settings | dict(settings)), asking))

    peers = asking.peers = control.Peers(roster.DIRECTORY, start, loop, handlers, lost=desk.lost, reload=reload)
    loop.call_later(FIRST_LOOK_SECONDS, desk.look)
    return peers


def protections(start: control.Start, asking: Asking) -> Protections:
    """What the settings say about clients."""
    unknowns = Unknowns(
        time.monotonic,
        _number(start, "limits.unknown_recipients_per_minute", PER_CLIENT),
        _number(start, "limits.unknown_recipients_in_total", IN_TOTAL),
    )
    zones = tuple(start.settings.get("smtpd.dnsbl", b"").split())
    wants_names = start.settings.get("smtpd.reverse_dns", b"off") == b"require"
    clients = Clients(asking, time.monotonic, zones, wants_names=wants_names)
    per_minute = _number(start, "limits.recipients_per_minute", 0)
    trusted = _scope(start.settings.get("smtpd.allow_clients", b"").split())
    relayers = _scope(str(network).encode() for network in relaying.networks(start.settings))
    sending = HostLimits(
        _number(start, "limits.sends_per_hour", 0), _number(start, "limits.sends_per_day", 0),
        brake=start.settings.get("limits.hijack_brake", b"true") != b"false",
    )  # fmt: skip
    return Protections(unknowns, clients, Window(time.monotonic), per_minute, trusted, relayers, sending)


def _scope(networks: Iterable[bytes]) -> Scope:
    return Scope(tuple(part for network in networks for part in (b"allow", network)))


def _number(start: control.Start, name: str, default: int) -> int:
    return start.number(name) if name in start.settings else default


if __name__ == "__main__":
    sys.exit(main())
