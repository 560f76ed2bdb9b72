"""Which certificate a client is shown: that of the name it asks for, one for all names below a domain, or the default.

A reader would otherwise get wrong: there is one context with which every conversation begins, and it has no certificate at
all. The client's first words choose one. Tickets belong to the first, so a client resumes whatever name it asks for, and
a certificate may be replaced while conversations under the former one go on.
"""

import hashlib
import ssl
from collections import OrderedDict
from collections.abc import Callable

from mta.roles.tls.openssl import NotLoaded, load, server_context
from mta.roles.tls.tunnel import asked_name, first_context
from mta.seal import NotOpened, Opener
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.records import CERTIFICATE, Certificate, RecordError, unpack_record
from mta.vocabulary import MAX_CHAIN, MAX_PRIVATE_KEY

MAX_CONTEXTS = 1000  # kept ready; the others are made again when somebody asks, which takes a tenth of a millisecond

Tell = Callable[[bytes, str], None]  # a name whose certificate cannot be used, and why


class Keeper:
    """The certificates of *snapshot*, opened with *opener*; without one there are none."""

    def __init__(self, snapshot: Snapshot, opener: Opener | None, tell: Tell) -> None:
        self.context = first_context(self._choose)  # with which every conversation begins
        self._snapshot, self._opener, self._tell = snapshot, opener, tell
        self._made: OrderedDict[bytes, tuple[bytes, ssl.SSLContext | None]] = OrderedDict()

    def look(self) -> bool:
        """Take what was published; is there a certificate for who asks for no name of ours?"""
        self._snapshot.refresh()
        return self.context_for(b"") is not None

    @property
    def trouble(self) -> str:
        """Why the newest that was published is not in use; empty: it is."""
        return self._snapshot.trouble

    def context_for(self, name: bytes) -> ssl.SSLContext | None:
        """What shows *name*'s certificate; None: there is none for it, and no default."""
        for key in _keys_for(name):
            found = self._context_at(key)
            if found is not None:
                return found
        return None

    def pair_for(self, name: bytes) -> tuple[bytes, bytes] | None:
        """What `context_for` would show, for somebody else to show: chain and private key in PEM."""
        for key in _keys_for(name):
            octets = self._snapshot.get(key) if self._context_at(key) is not None else None
            record = None if octets is None else unpack_record(octets)
            if isinstance(record, Certificate) and self._opener is not None:
                return record.chain, self._opener.open(record.sealed_key)
        return None

    def _choose(self, conversing: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        chosen = self.context_for(asked_name(conversing, name))
        if chosen is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        conversing.context = chosen
        return None

    def _context_at(self, key: bytes) -> ssl.SSLContext | None:
        try:
            octets = self._snapshot.get(key)
        except SnapshotMissing:
            return None
        if octets is None:
            self._made.pop(key, None)
            return None
        digest = hashlib.sha256(octets).digest()
        made = self._made.get(key)
        if made is None or made[0] != digest:
            made = self._made[key] = (digest, self._make(key, octets))
            if len(self._made) > MAX_CONTEXTS:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(key)
        return made[1]

    def _make(self, key: bytes, octets: bytes) -> ssl.SSLContext | None:
        try:
            record = unpack_record(octets)
            if not isinstance(record, Certificate):
                raise RecordError("not a certificate")
            if self._opener is None:
                raise NotOpened("we have no key to open it")
            private = self._opener.open(record.sealed_key)
            if len(record.chain) > MAX_CHAIN or len(private) > MAX_PRIVATE_KEY:
                # Shown by nobody rather than by some: no packet to a cell would hold it.
                raise NotLoaded("the chain or the key is too long")
            context = server_context()
            load(context, record.chain, private)
        except (RecordError, NotOpened, NotLoaded) as error:
            self._tell(key.removeprefix(CERTIFICATE), str(error))
            return None
        return context


def _keys_for(name: bytes) -> tuple[bytes, ...]:
    """Under which keys a certificate for *name* may stand, the best first (RFC 6125 6.4.3: one label is open, the first)."""
    if not name:
        return (CERTIFICATE,)
    return CERTIFICATE + name, CERTIFICATE + b"*." + name.partition(b".")[2], CERTIFICATE
