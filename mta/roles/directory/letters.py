"""Whether a message meets the conditions of a forwarding: what the envelope tells. Values in, values out.

A reader would otherwise get wrong: nobody here looks into a message. What only its header can tell is asked of the bouncer,
and so a question can come out of the middle of an expansion: then that is begun again, knowing one thing more.
"""

from mta.record import dataclass, field
from mta.roles.directory.outward import a_label
from mta.snapshot.records import Conditions
from mta.vocabulary import fold_domain, fold_local_part

MAX_ASKED = 10  # forwardings whose conditions are judged for one recipient; what goes beyond stays in its mailbox


class HeaderWanted(Exception):
    """The expansion needs to know what the header says about *conditions*, of the mailbox *key*."""

    def __init__(self, conditions: Conditions, key: bytes) -> None:
        super().__init__("a header is to be judged")
        self.conditions, self.key = conditions, key


@dataclass(frozen=True, slots=True)
class Letter:
    """What is known of a message whose recipient is expanded."""

    sender: bytes  # reverse-path
    size: int  # octets
    judged: dict[Conditions, bool] = field(default_factory=dict)  # what its header says

    def meets(self, conditions: Conditions, key: bytes) -> bool:
        """Does it, for the forwarding of the mailbox *key*?

        Raises:
            HeaderWanted: that is not known yet.
        """
        if conditions.senders and not _is_one_of(self.sender, conditions.senders):
            return False
        if self.size <= conditions.larger_than or 0 <= conditions.smaller_than <= self.size:
            return False
        if not conditions.subjects and not conditions.spam:
            return True
        known = self.judged.get(conditions)
        if known is None and len(self.judged) >= MAX_ASKED:
            return False
        if known is None:
            raise HeaderWanted(conditions, key)
        return known


def _is_one_of(path: bytes, senders: tuple[bytes, ...]) -> bool:
    """Is the reverse-path *path* one of these, or in a domain of these?"""
    local_part, _, domain = path.rpartition(b"@")
    try:
        folded = fold_local_part(local_part.decode()).encode()
        name = a_label(fold_domain(domain.decode()).encode())
    except UnicodeDecodeError:
        return False
    if not name:
        return False
    return any(_fits(pattern, folded + b"@" + name, name) for pattern in senders)


def _fits(pattern: bytes, address: bytes, domain: bytes) -> bool:
    if b"@" in pattern:
        return pattern == address
    return domain == pattern.removeprefix(b".") or (pattern.startswith(b".") and domain.endswith(pattern))
