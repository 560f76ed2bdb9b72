"""What localspawn knows of one domain: what waits, what its local has in hand, and where its life stands.

A reader would otherwise get wrong: a domain is ENDING until its child is reaped *and* its channel is read to the end. Only
then may its uid live again.
"""

import collections
import enum
from dataclasses import dataclass, field

from mta.wire.channel import Channel
from mta.wire.messages import Deliver


class State(enum.Enum):
    """Where the life of a domain's local stands."""

    ASLEEP = enum.auto()  # no local
    ASKING = enum.auto()  # storekeeper was asked for uid and folder
    SERVING = enum.auto()  # the local takes deliveries
    ENDING = enum.auto()  # hung up on, or lost; not yet reaped


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of the scheduler, and since when we have it (`time.monotonic`)."""

    asker: Channel
    request: Deliver
    since: float


@dataclass(slots=True, eq=False)
class Domain:
    """One domain with something to do, or a local that is still warm."""

    name: bytes
    state: State = State.ASLEEP
    waiting: collections.deque[Delivery] = field(default_factory=collections.deque)
    in_hand: dict[int, Delivery] = field(default_factory=dict)  # by the tag it has between us and the local
    channel: Channel | None = None
    pid: int = 0
    uid: int = 0
    handed: int = 0  # deliveries since this local began: its turn is over some day
    idle_since: float = 0.0

    @property
    def is_idle(self) -> bool:
        """A local is there and has nothing to do."""
        return self.state is State.SERVING and not self.in_hand and not self.waiting

    def oldest_in_hand(self) -> float:
        """Since when the local owes us an answer; infinity when it does not."""
        # A dict keeps the order of insertion, and we hand on in the order of arrival.
        return next(iter(self.in_hand.values())).since if self.in_hand else float("inf")
