"""How often something happened within the last minute, by key: the counting behind every limit on a rate.

A reader would otherwise get wrong: two windows that lie side by side stand for one that slides. The former one counts by
the part of it that still lies within the time, so nobody gets double at the turn, and a count costs two look-ups.
"""

import ipaddress
from collections.abc import Callable
from typing import Final

MINUTE: Final = 60.0
MAX_KEYS: Final = 10_000  # remembered at a time; more than misbehave at once from one botnet, and 1 MB

MAX_NETWORK: Final = 64  # octets of what stands for a network when it is none


class Window:
    """Counts by key in a sliding window of *seconds*. Who comes when it is full of others counts in `total` only."""

    def __init__(self, clock: Callable[[], float], seconds: float = MINUTE, most: int = MAX_KEYS) -> None:
        """*clock* counts seconds; at most *most* keys are remembered."""
        self._clock, self._seconds, self._most = clock, seconds, most
        self._begun = clock()
        self._former: dict[bytes, int] = {}
        self._present: dict[bytes, int] = {}
        self._former_total = self._present_total = 0

    def add(self, key: bytes) -> None:
        """It happened once more."""
        self._turn()
        self._present_total += 1
        if key in self._present:
            self._present[key] += 1
        elif len(self._present) < self._most:
            self._present[key] = 1

    def count(self, key: bytes) -> float:
        """How often for *key*, about."""
        part = self._turn()
        return self._present.get(key, 0) + part * self._former.get(key, 0)

    @property
    def total(self) -> float:
        """How often for all keys together, about."""
        return self._turn() * self._former_total + self._present_total

    def __len__(self) -> int:
        return len(self._present)

    def _turn(self) -> float:
        """Begin a new window when it is time; which part of the former one still counts?"""
        elapsed = self._clock() - self._begun
        if elapsed >= self._seconds:
            is_next = elapsed < 2 * self._seconds
            self._former = self._present if is_next else {}
            self._former_total = self._present_total if is_next else 0
            self._present, self._present_total = {}, 0
            self._begun = self._begun + self._seconds if is_next else self._clock()
            elapsed = self._clock() - self._begun
        return 1.0 - elapsed / self._seconds


def client_key(client: bytes) -> bytes:
    """Whom to count as one: an IPv4 address (text), or the /64 that one customer gets."""
    return client if b":" not in client else _prefix(client, 8)


def network_key(client: bytes) -> bytes:
    """The network around it: an IPv4 /24, an IPv6 /48."""
    return client.rpartition(b".")[0] if b":" not in client else _prefix(client, 6)


def grey_network(client: bytes) -> bytes:
    """The network, as text, whose hosts take turns at sending: an IPv4 /24, an IPv6 /64."""
    try:
        return str(
            ipaddress.ip_network((client.decode().partition("%")[0], 64 if b":" in client else 24), strict=False)
        ).encode()
    except ValueError:
        return client[:MAX_NETWORK]


def _prefix(client: bytes, octets: int) -> bytes:
    try:
        return ipaddress.IPv6Address(client.decode().partition("%")[0]).packed[:octets]
    except ValueError:
        return client
