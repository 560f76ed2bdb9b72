"""What was learned, for as long as it may be believed. Values in, values out; the clock is handed in.

A reader would otherwise get wrong: the bounds are ours, not DNS's. Nothing is believed for longer than a day, whatever its
owner says, and everything for a few seconds, so that a burst of mail costs one question.
"""

from mta.record import dataclass, field
from mta.roles.resolver.query import ANSWER, Answer

SHORTEST_SECONDS = 5  # also for what failed (RFC 9520 3.2: between 1 second and 5 minutes)
LONGEST_SECONDS = 86_400
LONGEST_NEGATIVE_SECONDS = 3 * 3600  # RFC 2308 5
MAX_OCTETS = 32 << 20  # of all that is kept; the oldest goes first
ENTRY_OCTETS = 400  # what an entry costs besides its records

Key = tuple[bytes, bytes]  # name in lower case, kind


@dataclass(slots=True)
class Cache:
    """Answers by name and kind."""

    max_octets: int = MAX_OCTETS
    octets: int = 0
    _kept: dict[Key, tuple[float, int, Answer]] = field(default_factory=dict)  # believed until, octets

    def get(self, key: Key, now: float) -> Answer | None:
        """What is known, if it is still believed."""
        entry = self._kept.get(key)
        if entry is None:
            return None
        if entry[0] <= now:
            self._drop(key)
            return None
        return entry[2]

    def put(self, key: Key, answer: Answer, now: float) -> None:
        """Remember *answer* in the place of what was known before."""
        longest = LONGEST_SECONDS if answer.outcome == ANSWER else LONGEST_NEGATIVE_SECONDS
        until = now + max(SHORTEST_SECONDS, min(answer.ttl, longest))
        octets = ENTRY_OCTETS + len(key[0]) + sum(map(len, answer.records))
        if key in self._kept:
            self._drop(key)
        self._kept[key] = (until, octets, answer)
        self.octets += octets
        while self.octets > self.max_octets:
            self._drop(next(iter(self._kept)))

    def _drop(self, key: Key) -> None:
        self.octets -= self._kept.pop(key)[1]
