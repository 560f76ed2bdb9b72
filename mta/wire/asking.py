"""Questions of ours to other roles: put aside under a tag until the answer comes, the time is up, or the peer is gone.

A reader would otherwise get wrong: each question that was begun ends exactly once, with a message or with None, and never
before `ask` has returned. Whoever asks needs no timer of his own and no case for a peer that ended.
"""

import functools
import time
from collections.abc import Callable
from typing import Protocol

from mta import roster
from mta.record import dataclass
from mta.wire import messages as m
from mta.wire.channel import Channel, Packet
from mta.wire.loop import Loop

SWEEP_SECONDS = 0.1
WAKING_SECONDS = (
    3.0  # more for who may sleep and has not answered anything yet: this very question may be what starts it
)
_MAY_SLEEP = frozenset(role.name for role in roster.ROLES if role.when_asked)

Hear = Callable[[m.Message | None], None]


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def tell(self, name: str, message: m.Message) -> bool:
        """Send what needs no answer; False when the peer is away."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


@dataclass(frozen=True, slots=True)
class _Aside:
    peer: str
    hear: Hear
    deadline: float


class Asking:
    """`peers` must be set before the first question."""

    peers: Ways

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._tag = 0
        self._aside: dict[int, _Aside] = {}
        self._is_sweeping = False
        self._heard: set[str] = set()  # peers that are awake, for they answered once

    def ask(self, peer: str, make: Callable[[int], m.Message], seconds: float, hear: Hear) -> bool:
        """Send what *make* makes of a tag; *hear* gets the answer, or None after *seconds*. False: the peer is away.

        Who may sleep until it is asked, and was not heard of since its channel was made, has WAKING_SECONDS more.
        """
        self._tag += 1
        if not self.peers.tell(peer, make(self._tag)):
            return False
        patience = seconds + (WAKING_SECONDS if peer in _MAY_SLEEP and peer not in self._heard else 0.0)
        self._aside[self._tag] = _Aside(peer, hear, time.monotonic() + patience)
        if not self._is_sweeping:
            self._is_sweeping = True
            self._loop.call_later(SWEEP_SECONDS, self._sweep)
        return True

    def answered(self, channel: Channel, packet: Packet) -> None:
        """An answer of a peer; the permits say which messages those are, and a late one is for nobody."""
        self._heard.add(channel.peer)
        tag = getattr(packet[0], "tag", None)
        aside = self._aside.get(tag) if isinstance(tag, int) else None
        if aside is not None and aside.peer == channel.peer:
            del self._aside[tag]  # type: ignore[arg-type]  # it is an int, or there were none
            aside.hear(packet[0])

    def lost(self, peer: str) -> None:
        """Nobody there will answer any more."""
        self._heard.discard(peer)
        self._give_up(lambda aside: aside.peer == peer)

    def _sweep(self) -> None:
        now = time.monotonic()
        self._give_up(lambda aside: aside.deadline <= now)
        self._is_sweeping = bool(self._aside)
        if self._is_sweeping:
            self._loop.call_later(SWEEP_SECONDS, self._sweep)

    def _give_up(self, which: Callable[[_Aside], bool]) -> None:
        for tag in [tag for tag, aside in self._aside.items() if which(aside)]:
            aside = self._aside.pop(tag, None)
            if aside is not None:  # An earlier one may have ended it.
                aside.hear(None)


def later(asking: Asking, peer: str, make: Callable[[int], m.Message], seconds: float) -> Callable[[Hear], bool]:
    """`Asking.ask` with everything but who hears: what a decision that has to wait yields."""
    return functools.partial(asking.ask, peer, make, seconds)
