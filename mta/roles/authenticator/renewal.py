"""What the database is told of passwords that were shown just now: that they were, and better hashes of them.

A reader would otherwise get wrong: nothing of ours changes by it. The snapshot is not ours to write; the hash goes, sealed to
ourselves, by way of the ledger to the control plane and comes back as everything does.
"""

import hashlib
from collections import OrderedDict
from typing import Protocol

from mta import seal
from mta.roles.authenticator import judge
from mta.roles.authenticator.credentials import Credentials
from mta.wire import messages as m

MAX_TOLD = 10_000  # mailboxes that are not told of twice while the first is on its way
SHOWN_SECONDS = 6 * 3600.0  # between two words of the same password: people want to know the day
WAS_OCTETS = 32


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""


class Renewal:
    """Seals and tells. `peers` must be set before the first."""

    peers: Ways

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        # By mailbox: the digests of what stood there and of what shall.
        self._told: OrderedDict[bytes, tuple[bytes, bytes]] = OrderedDict()
        self._shown: OrderedDict[tuple[bytes, bytes], float] = OrderedDict()

    def renew(self, identity: bytes, content: bytes) -> None:
        """*content* should be stored for *identity*. The ledger away: at its next log-in, then."""
        login = self._credentials.look(lambda get: judge.login_of(b"mailbox", identity, get))
        if login is None:
            return
        was = hashlib.sha256(login.sealed).digest()
        told = self._told.get(identity)
        if told is not None and told[0] == was:
            return
        sealed = seal.seal(self._credentials.public_key, seal.PASSWORD_HASH, content)
        if self.peers.tell("ledger", m.Rehash(identity, was, sealed)):
            self._told[identity] = was, hashlib.sha256(sealed).digest()
            if len(self._told) > MAX_TOLD:
                self._told.popitem(last=False)

    def shown(self, identity: bytes, name: bytes, now: float) -> None:
        """Somebody logged in as *identity* by the credential of this *name*."""
        last = self._shown.get((identity, name))
        if (last is None or now - last >= SHOWN_SECONDS) and self.peers.tell("ledger", m.Shown(identity, name)):
            self._shown[identity, name] = now
            self._shown.move_to_end((identity, name))
            if len(self._shown) > MAX_TOLD:
                self._shown.popitem(last=False)

    def is_same(self, identity: bytes, former: bytes, present: bytes) -> bool:
        """Is *present* the name of what we put in the place of *former*? Then it is the same password, and who showed it stays."""
        was, made = self._told.get(identity, (b"", b""))
        return bool(former) and was.startswith(former) and made.startswith(present)
