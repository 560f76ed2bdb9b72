"""The policies that are known, each for as long as its domain wanted. Values in, values out; the clock is handed in.

A reader would otherwise get wrong: a policy stays in force when a newer one cannot be had (RFC 8461 5.1). That is what it is
for: who can hide the web server from us must not be able to end the demand.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from mta.record import dataclass
from mta.security.sts import Policy

MAX_POLICIES: Final = 20_000  # the one that was used longest ago goes first
REFRESH_SECONDS: Final = 86_400  # RFC 8461 10.2: once a day, so that it never runs out while it is used
FAILURE_SECONDS: Final = 300  # RFC 8461 3.3: how long a fetch that failed is not tried again


@dataclass(slots=True)
class Known:
    """What was fetched for one domain."""

    policy: Policy
    id: str  # of the record that announced it
    until: float
    fetched: float


class Memory:
    """By domain."""

    def __init__(self, most: int = MAX_POLICIES) -> None:
        self._most = most
        self.changes = 0  # policies that were fetched
        self._known: dict[str, Known] = {}
        self._failed: dict[str, tuple[str, float]] = {}  # the id that could not be fetched, and until when that holds

    def get(self, domain: str, now: float) -> Known | None:
        """The policy in force."""
        known = self._known.pop(domain, None)
        if known is None or known.until <= now:
            return None
        self._known[domain] = known  # at the end: used just now
        return known

    def put(self, domain: str, policy: Policy, id_: str, now: float) -> None:
        """A policy was fetched."""
        self.changes += 1
        self._known.pop(domain, None)
        self._known[domain] = Known(policy, id_, now + policy.max_age, now)
        self._failed.pop(domain, None)
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]

    def __iter__(self) -> Iterator[tuple[str, Known]]:
        """All of them with their domains, the one that was used longest ago first."""
        return iter(self._known.items())

    def restore(self, known: Iterable[tuple[str, Known]]) -> None:
        """These were known when the process ended; in the same order."""
        self._known.update(known)

    def fail(self, domain: str, id_: str, now: float) -> None:
        """A policy could not be fetched."""
        self._failed.pop(domain, None)
        self._failed[domain] = id_, now + FAILURE_SECONDS
        while len(self._failed) > self._most:
            del self._failed[next(iter(self._failed))]

    def has_failed(self, domain: str, id_: str, now: float) -> bool:
        """Was it found just now that this one cannot be fetched?"""
        failed = self._failed.get(domain)
        return failed is not None and failed[0] == id_ and failed[1] > now

    def stale(self, now: float, most: int) -> list[str]:
        """Domains, at most so many, whose policy should be fetched again although it still holds."""
        found = [
            domain for domain, known in self._known.items()
            if known.until > now and now - known.fetched > min(REFRESH_SECONDS, known.policy.max_age / 2)
            and not self.has_failed(domain, known.id, now)
        ]  # fmt: skip
        return found[:most]
