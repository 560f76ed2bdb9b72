"""The keys of the domains, opened when they are first needed and kept for a while.

A reader would otherwise get wrong: a domain whose keys cannot be opened is not one without keys. The first waits, since
mail that was always signed and suddenly is not looks forged; the second never was.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

from mta.message.dkim.signing import BadKey, SigningKey, load_key
from mta.record import dataclass
from mta.seal import NotOpened, Opener
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.records import SIGNING, RecordError, SigningKeys, unpack_record

MAX_KEPT = 2000  # domains whose keys are ready; the others' are opened again, which takes a third of a millisecond

Tell = Callable[[bytes, str], None]  # a domain whose keys cannot be used, and why


class Unusable(Exception):
    """There are keys, and they cannot be used."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What a domain's mail is signed with."""

    domain: bytes  # A-label
    keys: tuple[SigningKey, ...]


class Keeper:
    """The keys in *snapshot*, opened with *opener*; without one none can be used. `tell` must be set before the first."""

    tell: Tell

    def __init__(self, snapshot: Snapshot, opener: Opener | None) -> None:
        self._snapshot, self._opener = snapshot, opener
        self._made: OrderedDict[bytes, tuple[bytes, Keys | None]] = OrderedDict()

    def refresh(self) -> str:
        """Take what was published; why the newest is not in use, empty: it is."""
        self._snapshot.refresh()
        return self._snapshot.trouble

    def keys_of(self, domain: bytes) -> Keys | None:
        """The keys of *domain* (A-label or U-label, folded); None: it has none.

        Raises:
            Unusable: it has some.
        """
        try:
            octets = self._snapshot.get(SIGNING + domain)
        except SnapshotMissing as error:
            raise Unusable("there is no snapshot") from error
        if octets is None:
            self._made.pop(domain, None)
            return None
        digest = hashlib.sha256(octets).digest()
        made = self._made.get(domain)
        if made is None or made[0] != digest:
            made = self._made[domain] = (digest, self._open(domain, octets))
            if len(self._made) > MAX_KEPT:
                self._made.popitem(last=False)
        else:
            self._made.move_to_end(domain)
        if made[1] is None:
            raise Unusable("its keys cannot be opened")
        return made[1]

    def _open(self, domain: bytes, octets: bytes) -> Keys | None:
        try:
            record = unpack_record(octets)
            if not isinstance(record, SigningKeys):
                raise RecordError("not keys to sign with")
            if self._opener is None:
                raise NotOpened("we have no key to open them")
            triples = zip(record.triples[::3], record.triples[1::3], record.triples[2::3], strict=True)
            keys = [load_key(selector, algorithm, self._opener.open(sealed)) for selector, algorithm, sealed in triples]
        except (RecordError, NotOpened, BadKey) as error:
            self.tell(domain, str(error))
            return None
        return Keys(record.domain, tuple(keys))
