"""How often somebody may come: a token bucket for each, in a table with a bound. The clock is handed in.

A reader would otherwise get wrong: whoever was not seen for long enough has a full bucket, so forgetting him changes nothing.
When the table is full the one who was seen longest ago is forgotten; that makes no place for a crowd, since a crowd of many
addresses is bounded by its networks and by the number of all connections.
"""

from collections.abc import Callable

MAX_KEYS = 50_000  # some 10 MB
MINUTE_SECONDS = 60.0


class Buckets:
    """Each key may do something *per_minute* times a minute, and as often at once; 0 = no limit."""

    def __init__(self, per_minute: int, clock: Callable[[], float], most: int = MAX_KEYS) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._most = most
        self._buckets: dict[bytes, tuple[float, float]] = {}  # tokens, when they were counted; longest unseen first

    def take(self, key: bytes) -> bool:
        """Take a token of *key*; False when there is none."""
        if not self.per_minute:
            return True
        now = self._clock()
        full = float(self.per_minute)
        tokens, counted = self._buckets.pop(key, (full, now))
        tokens = min(full, tokens + (now - counted) * full / MINUTE_SECONDS)
        taken = tokens >= 1.0
        self._buckets[key] = (tokens - 1.0 if taken else tokens, now)
        if len(self._buckets) > self._most:
            del self._buckets[next(iter(self._buckets))]
        return taken

    def __len__(self) -> int:
        return len(self._buckets)
