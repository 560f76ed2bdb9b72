"""What is known of the places at other hosts that mail goes to: who may go there now, who waits, and when to look again.

A reader would otherwise get wrong: it is the destination that backs off, not the message. What waits for a destination in
trouble stands in one line there, a queue id each; when its time comes one message goes to see, and if that works all follow.

Promise P5 is kept here. A send occupies a slot until the host has answered or was waited for in vain, and hosts that hang
could occupy all of them; so a destination that failed last time gets only a share, and one that nobody knows yet gets another
for what just arrived. What is left always stands open to those that work.
"""

import enum
import heapq
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from mta.record import dataclass, field
from mta.vocabulary import arrival_of

if TYPE_CHECKING:
    from mta.roles.scheduler.outward import Going

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
LONGEST_WISH_SECONDS = 4 * 3600.0  # A host may ask us to stay away for so long.
JITTER = 0.2
YOUNG_SECONDS = 60.0
FORGET_SECONDS = 3600.0  # A destination that nobody went to for so long is unknown again.
PRUNE_SECONDS = 60.0
KNOWN_WORKING = 5  # sends at once, once the first has worked; one more for each that works
MOST_SENDS = 20  # at once to one destination
SOFT_FAILURES = 5  # sends in a row of which nothing was taken: as if the host were down


class Kind(enum.IntEnum):
    """What is expected of a send."""

    HEALTHY = 0  # the last one there worked
    YOUNG = 1  # nobody was there lately, and the message just came
    DOUBTFUL = 2  # the last one failed, or the message is old and the destination unknown


# How many sends there may be at once of a kind and those after it, as percent of the destinations that can be served at once.
# A send there of a kind beyond HEALTHY is a destination of its own. Of the doubtful more than can be served: whoever then
# has to wait for hosts that are silent makes remotespawn hurry those.
SHARES = {Kind.HEALTHY: 400, Kind.YOUNG: 90, Kind.DOUBTFUL: 75}
MOST_DESTINATIONS = 100
# Of all slots, as percent, those that anybody may have; the rest is for destinations with no send yet. Else twenty of them that
# worked until a moment ago, and hang now, would have everything; with it remotespawn is short of places first, and hurries them.
COMMON_SHARE = 75


class Trouble(NamedTuple):
    """Why somebody was put off."""

    status: bytes  # RFC 3463
    words: bytes
    remote_mta: bytes  # who said so; empty: we do

    @property
    def is_ours(self) -> bool:
        """Is it this house's own trouble (RFC 3463 3.4), and says nothing of the destination?"""
        return self.status.startswith(b"4.3.") and not self.remote_mta


NO_TROUBLE = Trouble(b"", b"", b"")
UNREACHED = Trouble(b"4.4.1", b"its hosts could not be reached", b"")


@dataclass(slots=True, eq=False)
class Destination:
    """A domain's hosts, or those of a route."""

    domain: bytes
    route: bytes
    is_lax: bool = False  # for mail that goes whatever the domain demands of TLS (RFC 8460 3): its trouble is another
    is_up: bool = False  # the last send worked
    failures: int = 0  # in a row; none, and not up: unknown
    soft: int = 0  # sends in a row that reached the host, and it took nothing
    most: int = 1  # sends at once
    going: int = 0  # sends, and promises of one
    until: float = 0.0  # nobody goes there before
    trouble: Trouble = UNREACHED
    line: list[bytes] = field(default_factory=list)  # queue ids that wait for it, each with nothing else in memory
    waiting: "list[Going]" = field(default_factory=list)  # that wait with all they have
    used: float = 0.0
    looked: float = 0.0  # when its line was last searched for what is due

    @property
    def key(self) -> "Key":
        """What tells it from others."""
        return self.domain, self.route, self.is_lax

    @property
    def has_room(self) -> bool:
        """May one more go there, as far as it is concerned?"""
        return self.going < self.most


Caller = tuple[Destination, Kind]
Key = tuple[bytes, bytes, bool]


class Destinations:
    """All of them. Moments are seconds since 1970; *chance* is in [0, 1)."""

    def __init__(self, chance: Callable[[], float], most: int = MOST_DESTINATIONS) -> None:
        """*most*: how many can be served at once."""
        self._chance = chance
        self.slots = {kind: max(1, most * share // 100) for kind, share in SHARES.items()}
        self._common = self.slots[Kind.HEALTHY] * COMMON_SHARE // 100
        self._known: dict[Key, Destination] = {}
        self._sends: Counter[Kind] = Counter()
        self._ready: dict[Kind, dict[Destination, None]] = {kind: {} for kind in Kind}  # someone waits, and may go
        self._resting: list[tuple[float, int, Destination]] = []
        self._numbers = itertools.count()
        self._pruned = 0.0

    def __iter__(self) -> Iterator[Destination]:
        """Every destination that anything is known of."""
        return iter(self._known.values())

    @property
    def sends(self) -> int:
        """How many there are now, promised ones among them."""
        return sum(self._sends.values())

    def at(self, domain: bytes, route: bytes, now: float, *, is_lax: bool = False) -> Destination:
        """The destination; a new one when nothing is known of it."""
        key = (domain, route, is_lax)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Destination(domain, route, is_lax, looked=now)
        found.used = now
        return found

    # --- who may go

    def kind_of(self, destination: Destination, arrival: float, now: float) -> Kind:
        """What to expect when a message that came at *arrival* goes there."""
        if destination.is_up:
            return Kind.HEALTHY
        return Kind.DOUBTFUL if destination.failures or now - arrival > YOUNG_SECONDS else Kind.YOUNG

    def take(self, destination: Destination, kind: Kind) -> bool:
        """Take a slot for a send, if there is one."""
        if not destination.has_room or not self._has_slot(kind) or (destination.going and self.sends >= self._common):
            return False
        destination.going += 1
        self._sends[kind] += 1
        return True

    def step_aside(self, kind: Kind) -> None:
        """A send waits for nothing but the host's last word: its slot is free. `give_back` hears of it by None."""
        self._sends[kind] -= 1

    def give_back(self, destination: Destination, kind: Kind | None, now: float) -> None:
        """A send has ended, or a promised one is not needed; *kind* is None where its slot is free already."""
        destination.going -= 1
        if kind is not None:
            self._sends[kind] -= 1
        self._look(destination, now)

    def _has_slot(self, kind: Kind) -> bool:
        return all(
            sum(self._sends[each] for each in Kind if each >= rank) < self.slots[rank] for rank in Kind if rank <= kind
        )

    def line_up(self, destination: Destination, queue_id: bytes, now: float) -> None:
        """*queue_id* waits there; it is called by `call` or told by `tick`."""
        destination = self._known.setdefault(destination.key, destination)
        destination.line.append(queue_id)
        self._look(destination, now)

    def wait(self, going: "Going", now: float) -> None:
        """*going* waits there, with its message in memory."""
        going.destination.waiting.append(going)
        self._look(going.destination, now)

    def call(self, now: float) -> "tuple[Caller, Going | bytes] | None":
        """The next who may go, for whom a slot is taken now: what waits in memory, or a queue id out of a line."""
        for kind, ready in self._ready.items():
            while ready and self._has_slot(kind):
                destination = self._first(kind)
                if destination is None:
                    break
                del ready[destination]
                if destination.until > now or not destination.has_room:
                    continue  # It looks again when that changes.
                if kind is Kind.YOUNG and not destination.waiting and destination.line:
                    expected = self.kind_of(destination, arrival_of(destination.line[0]), now)
                    if expected is not kind:
                        self._ready[expected][destination] = None
                        continue
                if destination.waiting or destination.line:
                    self.take(destination, kind)
                    next_one = (destination.waiting or destination.line).pop(0)
                    self._look(destination, now)
                    return (destination, kind), next_one
        return None

    def _first(self, kind: Kind) -> Destination | None:
        """The one that waited longest; where slots are scarce, of those with no send yet."""
        # Of the unknown the newest: a flood of them is no reason for the next one to wait.
        ready = reversed(self._ready[kind]) if kind is Kind.YOUNG else iter(self._ready[kind])
        return next((each for each in ready if not each.going or self.sends < self._common), None)

    def _look(self, destination: Destination, now: float) -> None:
        """Somebody waits there: may he go?"""
        if (destination.line or destination.waiting) and destination.has_room and destination.until <= now:
            kind = self.kind_of(destination, now, now)
            self._ready[kind][destination] = None

    # --- what became of it

    def worked(self, destination: Destination) -> tuple[bool, list[bytes]]:
        """A send worked. Is that news, and who waited for it?"""
        was_down = destination.failures > 0
        destination.most = max(KNOWN_WORKING, min(destination.most + 1, MOST_SENDS))
        destination.is_up, destination.failures, destination.soft, destination.until = True, 0, 0, 0.0
        self._ready[Kind.YOUNG].pop(destination, None)
        self._ready[Kind.DOUBTFUL].pop(destination, None)
        line, destination.line = destination.line, []
        return was_down, line

    def failed(self, destination: Destination, trouble: Trouble, retry_after: float, now: float) -> bool:
        """A send failed, and it was the destination's fault. Is that news?"""
        destination.trouble = trouble
        if destination.until > now:
            return False  # Of several that went together only the first counts.
        destination.failures += 1
        destination.is_up, destination.soft, destination.most = False, 0, 1
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(destination.failures - 1, 20), LONGEST_PAUSE_SECONDS)
        pause *= 1 + JITTER * (2 * self._chance() - 1)
        destination.until = now + max(pause, min(retry_after, LONGEST_WISH_SECONDS))
        heapq.heappush(self._resting, (destination.until, next(self._numbers), destination))
        for ready in self._ready.values():
            ready.pop(destination, None)
        return destination.failures == 1

    def took_nothing(self, destination: Destination, trouble: Trouble, now: float) -> bool:
        """A send reached the host, which put everybody off (4yz). Is it now as if it were down, which is news?"""
        destination.most = max(1, destination.most // 2)
        destination.soft += 1
        return destination.soft >= SOFT_FAILURES and self.failed(destination, trouble, 0.0, now)

    # --- time

    def tick(self, now: float, is_due: Callable[[bytes, float, float], bool]) -> list[bytes]:
        """Time has passed. Answers those in lines for whom more than a look at the destination is due.

        *is_due(queue_id, before, now)* says so of one: has something become due for it between the two moments?
        """
        due: list[bytes] = []
        while self._resting and self._resting[0][0] <= now:
            moment, _, destination = heapq.heappop(self._resting)
            if destination.until != moment:
                continue  # It worked in between, or failed anew.
            due += self._leave(destination, now, is_due)
            self._look(destination, now)
        if now - self._pruned > PRUNE_SECONDS:
            self._pruned = now
            self._prune(now)
        return due

    def _leave(
        self, destination: Destination, now: float, is_due: Callable[[bytes, float, float], bool]
    ) -> list[bytes]:
        before, destination.looked = destination.looked, now
        leaving = [queue_id for queue_id in destination.line if is_due(queue_id, before, now)]
        if leaving:
            gone = set(leaving)
            destination.line = [queue_id for queue_id in destination.line if queue_id not in gone]
        return leaving

    def flush(self, now: float) -> list[bytes]:
        """Forget every pause; answers all who waited in lines."""
        due: list[bytes] = []
        for destination in self._known.values():
            destination.until = 0.0
            due += destination.line
            destination.line = []
            self._look(destination, now)
        self._resting.clear()
        return due

    def _prune(self, now: float) -> None:
        for key, destination in list(self._known.items()):
            is_idle = not (destination.going or destination.line or destination.waiting)
            if is_idle and max(destination.used, destination.until) < now - FORGET_SECONDS:
                del self._known[key]
