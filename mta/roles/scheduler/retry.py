"""When to try again. Pure: moments and chances come in.

A reader would otherwise get wrong: the schedule needs no memory of attempts. It is a row of fixed moments counted from the
arrival (5, 20, 45, 80 … minutes), so a restarted scheduler goes on where the last one stopped.
"""

import math

from mta.record import dataclass
from mta.spool.envelope import Generation

STEP_SECONDS = 300.0
LONGEST_SECONDS = 4 * 3600.0
JITTER = 0.1  # Part of the pause by which mail deferred together comes apart.
AFTER_START_SECONDS = 900.0  # Old mail is spread over at most so long when a scheduler starts.

SOON_FIRST_SECONDS = 1.0
SOON_LONGEST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a message is tried, in seconds."""

    ordinary: float
    bounce: float

    def over(self, arrival: float, generation: Generation, now: float) -> bool:
        """Has a message of *generation* that came at *arrival* been tried long enough?"""
        return now >= self.end(arrival, generation)

    def end(self, arrival: float, generation: Generation) -> float:
        """The moment after which a message of *generation* that came at *arrival* is tried no more."""
        return arrival + (self.bounce if generation else self.ordinary)


def next_attempt(arrival: float, now: float, chance: float) -> float:
    """The moment after *now* for a message that came at *arrival*; *chance* is in [0, 1)."""
    number = math.floor(math.sqrt(max(0.0, now - arrival) / STEP_SECONDS)) + 1
    pause = arrival + number * number * STEP_SECONDS - now
    if pause < STEP_SECONDS / 2:  # The attempt itself took us to the eve of the next moment.
        pause = arrival + (number + 1) ** 2 * STEP_SECONDS - now
    return now + min(pause, LONGEST_SECONDS) * (1 + JITTER * (2 * chance - 1))


class Soon:
    """Pauses for trouble of our own (a peer away, a full disk): a second, doubling to a minute, over when something works."""

    def __init__(self) -> None:
        self._pause, self._grew = SOON_FIRST_SECONDS, -math.inf

    def moment(self, now: float, chance: float) -> float:
        """When to try again what failed at *now*."""
        if now >= self._grew + self._pause:  # Not for each of many that failed together.
            self._pause = min(self._pause * 2, SOON_LONGEST_SECONDS) if self._grew > -math.inf else SOON_FIRST_SECONDS
            self._grew = now
        return now + self._pause * (0.5 + chance)

    def works(self) -> None:
        """Something worked: the next trouble begins with the shortest pause."""
        self._pause, self._grew = SOON_FIRST_SECONDS, -math.inf
