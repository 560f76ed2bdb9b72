"""Wiring of ledger: lose the rights, open the store, serve."""

import sys
from pathlib import Path

from mta import roster, sandbox
from mta.roles.ledger.book import Book
from mta.roles.ledger.store import open_store
from mta.wire import control
from mta.wire.loop import Loop

FILE = "ledger/ledger.db"
EXPIRE_AFTER = 10.0  # seconds after the start: others have more urgent things to do at first


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.LEDGER
    start = control.begin(role)
    # Opened inside: a file that a stranger could have spoiled is parsed without rights.
    sandbox.enter(role, start)
    loop = Loop()
    book, peers = serve(loop, start)
    peers.ready()
    loop.run()
    book.close()
    return 0


def serve(loop: Loop, start: control.Start) -> tuple[Book, control.Peers]:
    """Everything but the walls: the store, the book, its peers."""
    store, damage = open_store(Path(start.text("state")) / FILE)
    book = Book(loop, store, start.settings[roster.NOTICE_KEY])
    handlers = dict.fromkeys(
        ("directory", "enqueuer", "localspawn", "compiler", "authenticator", "scheduler", "bouncer"), book.heed
    )
    peers = book.peers = control.Peers(roster.LEDGER, start, loop, handlers, lost=book.lost)
    loop.call_later(EXPIRE_AFTER, book.expire)
    loop.call_later(EXPIRE_AFTER, book.remind)
    if damage:
        loop.call_later(1.0, lambda: peers.event("ledger-begun-anew", why=damage))
    return book, peers


if __name__ == "__main__":
    sys.exit(main())
