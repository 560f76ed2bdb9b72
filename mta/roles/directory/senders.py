"""What a mailbox that logged in may send: its limits and those above it, and whether the brake holds it. Values in, values out.

A reader would otherwise get wrong: nothing is counted here. Limits stand in the snapshot, counts in the ledger; directory says
the ones to the other with each recipient. What the ledger last said of a brake is remembered, so that mail which is in the
queue already waits at once, and not when the database knows.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator

from mta.record import dataclass
from mta.snapshot.records import (
    ADDRESS,
    DOMAIN,
    SENDING,
    SENDING_OUT,
    TENANT,
    Domain,
    Mailbox,
    Record,
    RecordError,
    Sending,
    Tenant,
    stands_still,
    unpack_record,
)
from mta.vocabulary import Word
from mta.wire import messages as m

DIGEST_OCTETS = 16
MAX_TENANTS = 16  # levels of the tree of tenants
MAX_BRAKED = 10_000  # remembered; the snapshot knows of the others a second later
_AS_MOST = Sending()

Get = Callable[[bytes], bytes | None]


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What the settings say about mailboxes that have no limit of their own; 0: none."""

    per_hour: int = 0
    per_day: int = 0
    brake: bool = True


NO_LIMITS = HostLimits()


@dataclass(frozen=True, slots=True)
class Sender:
    """A mailbox that logged in, as it stands now."""

    identity: bytes
    domain: bytes
    tenants: tuple[bytes, ...]  # ids, the nearest first
    limits: tuple[tuple[int, int], ...]  # by hour and by day: its own, its domain's, the tenants'
    brake: bool
    braked: bool
    released: int

    def spend(self, tag: int, forward_path: bytes) -> m.Spend:
        """The question to the ledger about one more recipient."""
        digest = hashlib.blake2b(forward_path.lower(), digest_size=DIGEST_OCTETS).digest()
        limits = b" ".join(b"%d/%d" % pair for pair in self.limits)
        return m.Spend(
            tag, self.identity, self.domain, b" ".join(self.tenants), limits, 1, digest, self.brake, self.released
        )


class Senders:
    """Looks up with *get*, which may raise SnapshotMissing; every method may raise RecordError."""

    def __init__(self, get: Get, limits: HostLimits) -> None:
        self._get, self.limits = get, limits
        self._braked: OrderedDict[bytes, int] = OrderedDict()  # identity, and how it was released when that was said

    def find(self, identity: bytes) -> Sender | None:
        """The sender with this address key; None: it is gone, or suspended from sending, itself or from above."""
        name = identity.rpartition(b"@")[2]
        mailbox, domain = self._record(ADDRESS + identity), self._record(DOMAIN + name)
        if not isinstance(mailbox, Mailbox) or not isinstance(domain, Domain):
            return None
        tenants = list(self._tenants(domain.tenant))
        asked: list[Mailbox | Domain | Tenant] = [mailbox, domain, *(tenant for _, tenant in tenants)]
        if any(stands_still(one, SENDING_OUT) for one in asked):
            return None
        own, host = self._sending(identity), self.limits
        limits = [
            (host.per_hour if own.per_hour < 0 else own.per_hour, host.per_day if own.per_day < 0 else own.per_day),
            (domain.sends_per_hour, domain.sends_per_day),
            *((tenant.sends_per_hour, tenant.sends_per_day) for _, tenant in tenants),
        ]
        brake = host.brake and own.brake
        ids = tuple(number for number, _ in tenants)
        return Sender(identity, name, ids, tuple(limits), brake, self._is_braked(identity, own), own.released)

    def is_braked(self, identity: bytes) -> bool:
        """Is it held by the brake, as far as the snapshot or the ledger said?"""
        return self._is_braked(identity, self._sending(identity))

    def heed(self, sender: Sender, answer: object) -> Word:
        """What the ledger's *answer* means; without one (it is away, or too slow) mail is worth more than a count."""
        if not isinstance(answer, m.Spent) or answer.word == b"yes":
            return Word.ACCEPT
        if answer.word != b"braked":
            return Word.OVER_LIMIT
        self._braked[sender.identity] = sender.released
        if len(self._braked) > MAX_BRAKED:
            self._braked.popitem(last=False)
        return Word.BRAKED

    def _is_braked(self, identity: bytes, own: Sending) -> bool:
        if own.braked:
            return True
        known = self._braked.get(identity)
        if known is not None and known != own.released:
            del self._braked[identity]  # Somebody looked, and let it go.
            return False
        return known is not None

    def _sending(self, identity: bytes) -> Sending:
        record = self._record(SENDING + identity)
        return record if isinstance(record, Sending) else _AS_MOST

    def _tenants(self, tenant: bytes) -> Iterator[tuple[bytes, Tenant]]:
        for _ in range(MAX_TENANTS):
            if not tenant:
                return
            record = self._record(TENANT + tenant)
            if not isinstance(record, Tenant):
                raise RecordError("a domain of a tenant that does not exist")
            yield tenant, record
            tenant = record.parent
        raise RecordError("a tree of tenants without a root")

    def _record(self, key: bytes) -> Record | None:
        octets = self._get(key)
        return None if octets is None else unpack_record(octets)
