"""How often somebody asked for a recipient who does not exist: the trace that guessing leaves.

A reader would otherwise get wrong: only the *unknown* answer is replaced by `slow-down`. A client behind whose address a
guesser sits can still send to those who exist, and the limit on all clients together cannot be used to stop the mail.
"""

import ipaddress
from collections.abc import Callable

WINDOW_SECONDS = 60.0
MAX_CLIENTS = 10_000  # remembered at a time; more than guess at once from one botnet, and 1 MB


class Unknowns:
    """Counts in a sliding window: the present one, and the part of the former that still lies within WINDOW_SECONDS."""

    def __init__(self, clock: Callable[[], float], per_client: int, in_total: int) -> None:
        """At most *per_client* and *in_total* in a window; *clock* counts seconds."""
        self.per_client, self.in_total = per_client, in_total
        self._clock = clock
        self._begun = clock()
        self._former: dict[bytes, int] = {}
        self._present: dict[bytes, int] = {}
        self._former_total = self._present_total = 0

    def count(self, client: bytes) -> bool:
        """One more from *client* (an IP address, text). Is that too many?"""
        former_part = self._turn()
        key = _network(client)
        present = self._present.get(key, 0) + 1
        if present > 1 or len(self._present) < MAX_CLIENTS:
            self._present[key] = present
        self._present_total += 1
        return (
            present + self._former.get(key, 0) * former_part > self.per_client
            or self._present_total + self._former_total * former_part > self.in_total
        )

    def _turn(self) -> float:
        """Begin a new window when it is time; which part of the former one still counts?"""
        elapsed = self._clock() - self._begun
        if elapsed >= WINDOW_SECONDS:
            is_next = elapsed < 2 * WINDOW_SECONDS
            self._former = self._present if is_next else {}
            self._former_total = self._present_total if is_next else 0
            self._present, self._present_total = {}, 0
            self._begun = self._begun + WINDOW_SECONDS if is_next else self._clock()
            elapsed = self._clock() - self._begun
        return 1.0 - elapsed / WINDOW_SECONDS


def _network(client: bytes) -> bytes:
    """Whom to count: an IPv4 address, or the /64 that one customer gets."""
    if b":" not in client:
        return client
    try:
        return ipaddress.IPv6Address(client.decode()).packed[:8]
    except ValueError:
        return client
