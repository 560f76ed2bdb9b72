"""The policies in a file, so that none is forgotten when the process ends (RFC 8461 5.1 and 10.2). The file is open already.

A reader would otherwise get wrong: what is read back was perhaps written by somebody who had taken us over. So each entry is
looked at as if a stranger had sent it.
"""

from collections.abc import Iterable
from typing import Final

from mta.places import Places
from mta.record import dataclass
from mta.security.sts import MAX_AGE_SECONDS, Policy, PolicyError, read_policy, write_policy
from mta.vocabulary import is_domain
from mta.wire.netstring import WireError, pack, unpack

PLACE_OCTETS: Final = 8 << 20  # 20,000 policies of ordinary size take half of it
FILE_OCTETS: Final = 2 * PLACE_OCTETS

_MAGIC: Final = b"sts-policies-1"
_FIELDS: Final = 5  # of one policy
MAX_KEPT: Final = 20_000


@dataclass(frozen=True, slots=True)
class Kept:
    """One policy, with the seconds since 1970 until which it holds and at which it was fetched."""

    domain: str
    id: str
    until: float
    fetched: float
    policy: Policy


class Shelf:
    """The file behind *descriptor*."""

    def __init__(self, descriptor: int) -> None:
        self._places = Places(descriptor, _MAGIC, PLACE_OCTETS)

    def load(self) -> list[Kept]:
        """What was stored last; nothing when neither place is whole. Entries that make no sense are left out."""
        try:
            fields = unpack(self._places.load(), max_fields=_FIELDS * MAX_KEPT)
        except WireError:
            return []
        groups = [fields[at : at + _FIELDS] for at in range(0, len(fields) - _FIELDS + 1, _FIELDS)]
        return [kept for group in groups if (kept := _understood(group)) is not None]

    def store(self, policies: Iterable[Kept]) -> None:
        """Put *policies* into the older place; those that come first are left out when there are too many.

        Raises:
            OSError: the disk does not take them. What was stored before is still there.
        """
        packets: list[bytes] = []
        room = self._places.room
        for packet in map(_packed, reversed(list(policies))):
            room -= len(packet)
            if room < 0 or len(packets) >= MAX_KEPT:
                break
            packets.append(packet)
        self._places.store(b"".join(reversed(packets)))


def _packed(kept: Kept) -> bytes:
    moments = (b"%d" % kept.until, b"%d" % kept.fetched)
    return pack((kept.domain.encode(), kept.id.encode(), *moments, write_policy(kept.policy)), PLACE_OCTETS)


def _understood(fields: list[bytes]) -> Kept | None:
    """One that makes sense. Whoever wrote it was us, perhaps when somebody else had taken us over."""
    try:
        domain, id_ = fields[0].decode("ascii"), fields[1].decode("ascii")
        until, fetched = float(int(fields[2][:20])), float(int(fields[3][:20]))
        policy = read_policy(fields[4])
    except (ValueError, PolicyError):
        return None
    if not is_domain(domain) or not 0 < until - fetched <= MAX_AGE_SECONDS:
        return None
    return Kept(domain, id_, until, fetched, policy)
