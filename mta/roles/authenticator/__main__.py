"""Wiring of authenticator: read the private key, open the credential snapshot's folder, lose the rights, serve."""

import ipaddress
import os
import sys
import time

from mta import roster, sandbox
from mta.roles.authenticator import hashing
from mta.roles.authenticator.codes import Codes
from mta.roles.authenticator.credentials import Credentials
from mta.roles.authenticator.desk import Desk
from mta.roles.authenticator.hashers import Hashers
from mta.roles.authenticator.logins import Logins, Secrets
from mta.roles.authenticator.patience import Guesses, Patience
from mta.roles.authenticator.renewal import Renewal
from mta.seal import PASSWORD_HASH, SECOND_FACTOR, read_opener
from mta.snapshot.reader import Snapshot
from mta.wire import control
from mta.wire.loop import Loop

KEY = "keys/authenticator.key"  # root's, and nobody else's: we read it before we give root away


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.AUTHENTICATOR
    start = control.begin(role)
    opener = read_opener(start.path(KEY), PASSWORD_HASH)
    folder = start.folder("snapshot/credentials")
    hashing.load()
    sandbox.enter(role, start, keep=(folder,))
    loop = Loop()
    hashers = Hashers(loop)
    peers = serve(loop, start, Credentials(Snapshot(folder), opener), hashers)
    loop.run_until_idle()  # the journal should hear what follows
    if opener is None:
        peers.event("no-key", why=f"{KEY} cannot be read: no password can be checked")
    peers.ready()
    loop.run()
    hashers.close()
    return 0


def serve(loop: Loop, start: control.Start, credentials: Credentials, hashers: Hashers) -> control.Peers:
    """Everything but the walls: threads, desks and peers."""
    hashers.begin()
    renewal = Renewal(credentials)
    codes = Codes(credentials.opener_for(SECOND_FACTOR))
    desk = Desk(loop, credentials, hashers, Patience(time.monotonic), renewal.renew, codes)
    secrets = Secrets(start.settings[roster.TICKET_KEY], start.settings[roster.SESSION_KEY])
    trusted = [
        ipaddress.ip_network(each.decode(), strict=False)
        for each in start.settings.get("smtpd.allow_clients", b"").split()
    ]
    guesses = Guesses(time.monotonic, os.urandom(32), trusted)
    logins = Logins(loop, credentials, hashers, guesses, secrets, renewal)
    handlers = {"web": desk.asked, "submissiond": logins.asked, "submitter": logins.asked}
    peers = control.Peers(roster.AUTHENTICATOR, start, loop, handlers, lost=logins.lost)
    credentials.peers = renewal.peers = peers
    return peers


if __name__ == "__main__":
    sys.exit(main())
