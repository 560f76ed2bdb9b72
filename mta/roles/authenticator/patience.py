"""How much guessing is allowed, for a name, from a client and from its network, before we stop looking.

A reader would otherwise get wrong: while a name is refused, the right secret is wrong too. Otherwise a guesser who goes on
would learn it from the one answer that differs. It ends by itself, and never lasts longer than MAX_REFUSED_SECONDS. So that
guessers from afar cannot shut an owner out of sending, a network from which he logged in of late is not refused for his name.
"""

import hashlib
import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

from mta.record import dataclass
from mta.windows import Window, client_key, grey_network

FREE = 10  # wrong answers in a row before a name is refused for a while; people mistype, and browsers repeat them
FIRST_REFUSED_SECONDS = 5.0
MAX_REFUSED_SECONDS = 300.0
FORGET_SECONDS = 900.0
MAX_NAMES = 20_000
FIRST_DELAY_SECONDS = 0.1  # of a wrong answer; twice as long with each in a row
MAX_DELAY_SECONDS = 2.0

# Of log-ins over SMTP, which have an address.
WINDOW_SECONDS = 600.0
OF_CLIENT = 30  # wrong answers to one address (or IPv6 /64) within that time; a company's people may share one
OF_NETWORK = 150  # the same for an IPv4 /24; guessers rent such networks whole
STEP_SECONDS = 0.5  # a wrong answer comes so long after its question, or twice, thrice … as long: never in between
KEPT_SECONDS = 30 * 86_400.0  # how long the place of a right answer is remembered
MAX_PLACES = 50_000
SAME_OCTETS = 8  # of a digest by which the same wrong secret is known again

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Value = TypeVar("_Value")


@dataclass(slots=True)
class _Wrong:
    count: int = 0  # since the last right secret
    slowing: int = 0  # since it was forgotten
    last: float = 0.0
    refused_until: float = 0.0


class Patience:
    """Remembers wrong answers by name; *clock* counts seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._wrong: OrderedDict[bytes, _Wrong] = OrderedDict()

    def is_refused(self, name: bytes) -> bool:
        """Is *name* not looked at for now?"""
        wrong = self._wrong.get(name)
        return wrong is not None and self._clock() < wrong.refused_until

    def wrong(self, name: bytes) -> float:
        """One more wrong secret for *name*; after how many seconds should it be answered?"""
        now = self._clock()
        wrong = self._wrong.pop(name, None)
        if wrong is None or now - wrong.last > FORGET_SECONDS:
            wrong = _Wrong()
        wrong.count, wrong.slowing, wrong.last = wrong.count + 1, wrong.slowing + 1, now
        over = wrong.count - FREE
        if over > 0:
            wrong.refused_until = now + min(MAX_REFUSED_SECONDS, FIRST_REFUSED_SECONDS * 2 ** min(over - 1, 16))
        self._wrong[name] = wrong
        if len(self._wrong) > MAX_NAMES:
            self._wrong.popitem(last=False)
        return self.delay(name)

    def delay(self, name: bytes) -> float:
        """After how many seconds is a wrong secret for *name* answered?"""
        wrong = self._wrong.get(name)
        count = 1 if wrong is None else wrong.slowing
        return float(min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(count - 1, 16)))

    def right(self, name: bytes) -> None:
        """The right secret: what was wrong before is forgiven.

        But not how long the next wrong one waits: a guesser whose answers came sooner again would know that somebody logged in,
        and so that there is such a name.
        """
        wrong = self._wrong.get(name)
        if wrong is not None:
            wrong.count, wrong.refused_until = 0, 0.0


class Guesses:
    """Patience with names, clients and networks together; *random* octets keep what is remembered of secrets from anybody.

    Clients of *trusted* networks, and of this machine, speak for many people (webmail does): there each name is counted alone.
    """

    def __init__(self, clock: Callable[[], float], random: bytes, trusted: Sequence[Network] = ()) -> None:
        self._clock, self._random, self._trusted = clock, random, trusted
        self._names = Patience(clock)
        self._clients = Window(clock, WINDOW_SECONDS)
        self._networks = Window(clock, WINDOW_SECONDS)
        self._places: OrderedDict[tuple[bytes, bytes], float] = OrderedDict()
        self._last: OrderedDict[tuple[bytes, bytes], bytes] = OrderedDict()

    def is_refused(self, name: bytes, client: bytes) -> bool:
        """Is the secret that *client* shows for *name* not looked at for now?"""
        network = grey_network(client)
        if not self._is_trusted(client) and self._is_loud(client, network):
            return True
        return self._names.is_refused(name) and not self._is_place_of(name, network)

    def _is_trusted(self, client: bytes) -> bool:
        try:
            address = ipaddress.ip_address(client.decode().partition("%")[0])
        except ValueError:
            return False
        return address.is_loopback or any(address in network for network in self._trusted)

    def _is_loud(self, client: bytes, network: bytes) -> bool:
        return self._clients.count(client_key(client)) >= OF_CLIENT or self._networks.count(network) >= OF_NETWORK

    def wrong(self, name: bytes, client: bytes, secret: bytes) -> float:
        """One more wrong *secret*; after how many seconds should it be answered?

        A program with an old password shows the same one for ever: that guesses nothing, and counts once.
        """
        network = grey_network(client)
        digest = hashlib.blake2b(secret, digest_size=SAME_OCTETS, key=self._random).digest()
        if self._last.get((name, network)) == digest:
            return self._names.delay(name)
        _remember(self._last, (name, network), digest, MAX_NAMES)
        self._clients.add(client_key(client))
        self._networks.add(network)
        return self._names.wrong(name)

    def delay(self, name: bytes) -> float:
        """After how many seconds is what was not looked at answered?"""
        return self._names.delay(name)

    def right(self, name: bytes, client: bytes) -> None:
        """The right secret: the name is forgiven, the client is not, who could be guessing at others meanwhile."""
        network = grey_network(client)
        self._names.right(name)
        self._last.pop((name, network), None)
        _remember(self._places, (name, network), self._clock(), MAX_PLACES)

    def _is_place_of(self, name: bytes, network: bytes) -> bool:
        seen = self._places.get((name, network))
        return seen is not None and self._clock() - seen < KEPT_SECONDS


def due(begun: float, delay: float, now: float) -> float:
    """When a question of *begun* whose answer is wrong is answered, at the earliest after *delay*: on one of its steps."""
    steps = math.ceil(max(delay, now - begun) / STEP_SECONDS)
    return begun + max(1, steps) * STEP_SECONDS


def _remember(
    memory: "OrderedDict[tuple[bytes, bytes], _Value]", key: tuple[bytes, bytes], value: "_Value", most: int
) -> None:  # fmt: skip
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > most:
        memory.popitem(last=False)
