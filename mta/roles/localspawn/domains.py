"""What localspawn knows of one domain: what waits, what its local has in hand, and where its life stands.

A reader would otherwise get wrong: a domain is ENDING until its child is reaped *and* its channel is read to the end. Only
then may its uid live again. And what is staged is still in hand, in whichever of the four steps it is.
"""

import collections
import enum

from mta.record import dataclass, field
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


@dataclass(slots=True)
class Steps:
    """Deliveries that share their waits for the disk with other domains', by tag, with their octets. Each is in one step."""

    asked: dict[int, int] = field(default_factory=dict)  # the local was told to put them into tmp/
    written: dict[int, int] = field(default_factory=dict)  # in tmp/; after the next sync they are sure
    sure: dict[int, int] = field(default_factory=dict)  # in tmp/ and on the disk; the next Stage has them renamed
    renaming: dict[int, int] = field(default_factory=dict)  # the local was told to
    renamed: dict[int, int] = field(default_factory=dict)  # in new/; after the next sync they are delivered
    outstanding: bool = False  # the local owes us a Staged

    def forget(self, tag: int) -> None:
        """It has an answer of its own."""
        for step in (self.asked, self.written, self.sure, self.renaming, self.renamed):
            step.pop(tag, None)

    def answered(self, sizes: dict[int, int]) -> bool:
        """The local did what it was told, all of it; False: it says something else."""
        if not self.outstanding or sizes.keys() != self.asked.keys():
            return False
        self.outstanding = False
        self.renamed |= self.renaming
        self.written, self.asked, self.renaming = sizes, {}, {}
        return True

    def synced(self) -> dict[int, int]:
        """The disk has everything that we knew of: what is delivered now?"""
        delivered, self.renamed = self.renamed, {}
        self.sure |= self.written
        self.written = {}
        return delivered

    @property
    def need_sync(self) -> bool:
        """Is there anything that the disk may not have?"""
        return bool(self.written or self.renamed)


@dataclass(slots=True, eq=False)
class Domain:
    """One domain with something to do, or a local that is still warm."""

    name: bytes
    state: State = State.ASLEEP
    waiting: collections.deque[Delivery] = field(default_factory=collections.deque)
    in_hand: dict[int, Delivery] = field(default_factory=dict)  # by the tag it has between us and the local
    steps: Steps = field(default_factory=Steps)
    channel: Channel | None = None
    shares_disk: bool = False  # its folder is on the file system that localspawn can sync
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
