"""How often somebody may guess a password.

A reader would otherwise get wrong: only wrong guesses cost anything, and they are counted twice, once against the name
from that one network and once against the network alone. A stranger far away therefore cannot lock the owner of a name
out, and one network cannot try one password on every name.
"""

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

# Three of a million codes are right at any time: at this pace an even chance takes four years (RFC 4226 7.3).
MOST_CODES, CODE_SECONDS = 10, 600.0
MOST_STARTS = 30  # a minute, from one network: each is a row until it is used or ten minutes old
MAX_TRACKED = 20_000  # keys; about 3 MiB when full, and the oldest is forgotten first


class Bucket:
    """Generic cell rate: *burst* at once, then one each *interval_seconds*. In memory: a restart forgives."""

    def __init__(self, burst: int, interval_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._tolerance = (burst - 1) * interval_seconds
        self._interval = interval_seconds
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()  # key -> theoretical arrival time
        self._lock = threading.Lock()  # requests are served by several threads

    def wait_seconds(self, key: str) -> float:
        """How long until *key* may try again; 0 when it may now."""
        return max(0.0, self._due.get(key, 0.0) - self._tolerance - self._clock())

    def charge(self, key: str) -> None:
        """*key* used one try up."""
        with self._lock:
            now = self._clock()
            self._due[key] = max(self._due.get(key, now), now) + self._interval
            self._due.move_to_end(key)
            while len(self._due) > MAX_TRACKED:
                self._due.popitem(last=False)

    def forgive(self, key: str) -> None:
        """*key* starts afresh."""
        self._due.pop(key, None)


class LoginThrottle:
    """Five wrong guesses at a name from a network, then one every 30 seconds; at all names, *per_minute* (a setting)."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._by_name = Bucket(5, 30.0, clock)
        self._by_network = Bucket(per_minute, 60.0 / per_minute, clock)
        self._starts = Bucket(MOST_STARTS, 60.0 / MOST_STARTS, clock)
        self._codes = Bucket(MOST_CODES, CODE_SECONDS, clock)

    def wait_seconds(self, name: str, client: str) -> float:
        """How long this client has to wait before it may guess at *name*; 0 when it may now."""
        where = network_of(client)
        return max(self._by_name.wait_seconds(_pair(name, where)), self._by_network.wait_seconds(where))

    def wrong(self, name: str, client: str) -> None:
        """The guess was wrong."""
        where = network_of(client)
        self._by_name.charge(_pair(name, where))
        self._by_network.charge(where)

    def wait_seconds_for_start(self, client: str) -> float:
        """How long until somebody there may begin to sign in by a passkey; 0 when he may now."""
        return self._starts.wait_seconds(network_of(client))

    def start(self, client: str) -> None:
        """He began."""
        self._starts.charge(network_of(client))

    def wait_seconds_for_code(self, name: str, client: str) -> float:
        """How long until the owner of *name*, whose password was shown, may show another code; 0 when he may now."""
        return max(self._codes.wait_seconds(name), self._by_network.wait_seconds(network_of(client)))

    def wrong_code(self, name: str, client: str) -> None:
        """It was wrong."""
        self._codes.charge(name)
        self._by_network.charge(network_of(client))

    def right_code(self, name: str) -> None:
        """It was right."""
        self._codes.forgive(name)

    def right(self, name: str, client: str) -> None:
        """The guess was right: what was mistyped before is forgotten, for this name only."""
        self._by_name.forgive(_pair(name, network_of(client)))


def _pair(name: str, where: str) -> str:
    return f"{where} {name.strip().casefold()[:320]}"


def network_of(client: str) -> str:
    """The /32 or /64 that *client* belongs to: a home has a whole IPv6 /64 to guess from."""
    try:
        address = ipaddress.ip_address(client)
    except ValueError:
        return client
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
