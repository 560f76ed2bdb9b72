"""What remotespawn knows of one destination: what waits, what its remote has in hand, where its life stands.

A reader would otherwise get wrong: two domains whose mail a route brings to the same next hop are one destination; a domain
whose mail goes by MX is one by itself, and another one under each route that changes how it is spoken to.
"""

import enum
from collections import deque

from mta.record import dataclass, field
from mta.snapshot.records import Route
from mta.wire import messages as m
from mta.wire.channel import Channel

# Domain (empty where a next hop is named), the route's key, and the route as it was when the message came: when it changes, a
# remote that speaks by the former one gets no more to do. Last, whether the domain's own demands for TLS are passed over.
Key = tuple[bytes, bytes, Route | None, bool]


class State(enum.Enum):
    """Where the life of a destination's remote stands."""

    ASLEEP = enum.auto()  # no remote
    SERVING = enum.auto()
    ENDING = enum.auto()  # hung up on, or lost; not yet gone


@dataclass(slots=True, eq=False)
class Sending:
    """One `Send` with its recipients, and who has been answered."""

    asker: Channel | None  # None: it ended, and its successor has not asked yet
    request: m.Send
    recipients: list[m.SendRecipient] = field(default_factory=list)
    unanswered: set[int] = field(default_factory=set)
    tag: int = 0  # by which the asker knows it
    numbers: dict[int, int] | None = None  # of our recipients among his; None: the same
    kept: list[m.Sent | m.SendWaits | m.SendDone] = field(default_factory=list)  # answers for whoever asks next


@dataclass(slots=True, eq=False)
class Destination:
    """One of them, with something to do or a remote that is still warm."""

    key: Key
    state: State = State.ASLEEP
    doubtful: bool = False
    waiting: deque[Sending] = field(default_factory=deque)
    in_hand: dict[int, Sending] = field(default_factory=dict)  # by the tag it has between us and the remote
    channel: Channel | None = None
    number: int = 0  # of its remote in the nursery
    results: int = 0  # of handshakes that it told since it was last done with a message
    handed: int = 0  # messages since this remote began: its turn is over some day
    quiet_since: float = 0.0  # since when it has told nothing, or has nothing to tell
    hurried_since: float | None = None
    is_aside: bool = False  # waits for last words, and takes no place

    @property
    def is_hurried(self) -> bool:
        """It was told to give up whatever no host can have yet."""
        return self.hurried_since is not None

    @property
    def is_idle(self) -> bool:
        """A remote is there and has nothing to do."""
        return self.state is State.SERVING and not self.in_hand and not self.waiting
