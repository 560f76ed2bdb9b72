"""How much guessing a name is allowed before we stop looking.

A reader would otherwise get wrong: while a name is refused, the right secret is wrong too. Otherwise a guesser who goes on
would learn it from the one answer that differs. It ends by itself, and never lasts longer than MAX_REFUSED_SECONDS.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE = 10  # wrong answers in a row before a name is refused for a while; people mistype, and browsers repeat them
FIRST_REFUSED_SECONDS = 5.0
MAX_REFUSED_SECONDS = 300.0
FORGET_SECONDS = 900.0
MAX_NAMES = 20_000
FIRST_DELAY_SECONDS = 0.1  # of a wrong answer; twice as long with each in a row
MAX_DELAY_SECONDS = 2.0


@dataclass(slots=True)
class _Wrong:
    count: int
    last: float
    refused_until: float


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
            wrong = _Wrong(0, now, 0.0)
        wrong.count, wrong.last = wrong.count + 1, now
        over = wrong.count - FREE
        if over > 0:
            wrong.refused_until = now + min(MAX_REFUSED_SECONDS, FIRST_REFUSED_SECONDS * 2 ** min(over - 1, 16))
        self._wrong[name] = wrong
        if len(self._wrong) > MAX_NAMES:
            self._wrong.popitem(last=False)
        return float(min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(wrong.count - 1, 16)))

    def right(self, name: bytes) -> None:
        """The right secret: what was wrong before is forgiven."""
        self._wrong.pop(name, None)
