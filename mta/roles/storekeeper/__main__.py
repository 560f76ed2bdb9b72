"""Wiring of storekeeper: open mail/, lose the rights, read the list of uids, serve."""

import gc
import sys

from mta import roster, sandbox
from mta.offspring import Offspring
from mta.roles.storekeeper.hands import Hands
from mta.roles.storekeeper.keeper import Keeper
from mta.roles.storekeeper.uids import Uids
from mta.wire import control
from mta.wire.loop import Loop

PURGE_AFTER = 60.0  # Seconds after the start: others have more urgent things to do at first.


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.STOREKEEPER
    start = control.begin(role)
    mail = start.folder("mail")
    sandbox.enter(role, start, keep=(mail,))

    loop = Loop()
    hands = Hands(loop, Offspring(loop))
    keeper = Keeper(loop, mail, uids(start, mail), hands, trash_days=start.number("limits.trash_days"))
    keeper.peers = control.Peers(role, start, loop, {"localspawn": keeper.heed, "compiler": keeper.heed})
    loop.call_later(PURGE_AFTER, keeper.purge_daily)
    gc.freeze()  # Children share what is there now; a collection in one would write to every page of it.
    keeper.peers.ready()
    loop.run()
    return 0


def uids(start: control.Start, mail: int) -> Uids:
    """The list of uids: a range of its own as root, else none, for there is only the one we all have."""
    first = start.number("uid_base") + roster.DOMAIN_UIDS_FROM
    return Uids(mail, first, roster.DOMAIN_UIDS if start.number("root") == 1 else 0)


if __name__ == "__main__":
    sys.exit(main())
