"""Wiring of enqueuer: open the spool, lose the rights, recover, serve."""

import gc
import sys
from pathlib import Path

from mta import roster, sandbox
from mta.relaying import LOCAL_USERS
from mta.roles.enqueuer.disk import Disk, Room
from mta.roles.enqueuer.gather import Gather
from mta.roles.enqueuer.recovery import recover
from mta.roles.enqueuer.store import Keys, Pace, QueueIds, Store
from mta.spool import layout
from mta.wire import control
from mta.wire.loop import Loop


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.ENQUEUER
    start = control.begin(role)
    state = Path(start.text("state"))
    content, envelope = (layout.Folder.open(state, part) for part in (layout.CONTENT, layout.ENVELOPE))
    sandbox.enter(role, start, keep=(content.descriptor, envelope.descriptor))

    found = recover(content, envelope)
    names = (roster.SESSION_KEY, roster.TICKET_KEY, roster.ORIGINAL_KEY, roster.NOTICE_KEY, roster.CONSENT_KEY)
    keys = Keys(*(start.settings[name] for name in names))
    store = Store(
        Disk(content, envelope), Room(content, start.number("limits.min_free_space")), keys, QueueIds(found.newest),
        host=start.settings["host.name"], max_message_size=start.number("smtpd.max_message_size"),
        pace=Pace(
            int(start.settings.get("limits.messages_per_minute", b"0")),
            [*start.settings.get("smtpd.allow_clients", b"").split(), str(LOCAL_USERS).encode()],
        ),
    )  # fmt: skip
    loop = Loop()
    handlers = dict.fromkeys(("smtpd", "submitter", "qmtpd", "bouncer", "reporter"), store.take)
    store.peers = control.Peers(role, start, loop, handlers, lost=store.lost, found=store.found)
    loop.after_burst.append(Gather(loop, store.waiting, store.commit))
    loop.call_later(1.0, lambda: tell(store.peers, found.owed, found.removed, found.unknown_version))
    gc.freeze()
    store.peers.ready()
    loop.run()
    store.abandon()
    return 0


def tell(peers: control.Peers, owed: int, removed: int, unknown_version: tuple[bytes, ...]) -> None:
    """Tell the journal what recovery found; a moment after the start, when there is a journal to hear it."""
    peers.event("spool-recovered", owed=owed, removed=removed)
    for queue_id in unknown_version:
        peers.event("spool-version-unknown", queue_id=queue_id)


if __name__ == "__main__":
    sys.exit(main())
