"""How much one remote may ask, and all of them together: each speaks with a stranger, and may be the stranger's by now.

A reader would otherwise get wrong: directory, source and fetcher are not counted. What they ask follows from mail that was
let in at a bounded rate; and a share of the desk is kept for them, whatever remotes do.
"""

from collections.abc import Callable, Hashable
from typing import Final

from mta.record import dataclass
from mta.roles.resolver.desk import MAX_QUESTIONS

MOST_OF_ONE: Final = 60  # unanswered; both addresses of each host that a domain may have (20), and some more
MOST_OF_ALL: Final = MAX_QUESTIONS * 4 // 5
BURST: Final = 240  # what one destination may need at once: of each host its addresses, alias and TLSA records
PER_SECOND: Final = 10.0  # after that; a domain's hosts are looked up anew once a minute


@dataclass(slots=True)
class _Share:
    """One remote's."""

    credit: float
    since: float  # when that was its credit
    unanswered: int = 0


class Shares:
    """By whatever stands for a remote; *now* counts seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._shares: dict[Hashable, _Share] = {}
        self._unanswered = 0

    def take(self, asker: Hashable) -> bool:
        """May *asker* put one more question? Each yes is followed by one `give_back`."""
        now = self._now()
        share = self._shares.setdefault(asker, _Share(BURST, now))
        share.credit, share.since = min(BURST, share.credit + PER_SECOND * (now - share.since)), now
        if share.credit < 1 or share.unanswered >= MOST_OF_ONE or self._unanswered >= MOST_OF_ALL:
            return False
        share.credit -= 1
        share.unanswered += 1
        self._unanswered += 1
        return True

    def give_back(self, asker: Hashable) -> None:
        """A question of *asker* was answered, also when it does not hear it any more."""
        self._unanswered -= 1
        share = self._shares.get(asker)
        if share is not None:
            share.unanswered -= 1

    def forget(self, asker: Hashable) -> None:
        """It is gone. What it asked is under way until it is answered."""
        self._shares.pop(asker, None)
