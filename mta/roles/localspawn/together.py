"""When many domains get a little mail each: one wait for the disk serves them all.

A reader would otherwise get wrong: nothing here makes a lone message wait. Deliveries are gathered only after WINDOW_SECONDS
in which many domains had some; until then each local waits for the disk by itself.
"""

import os
import time
from collections.abc import Callable

from mta.maildir import sync_filesystem

WINDOW_SECONDS = 0.1  # So long deliveries gather: at a thousand a second for fifty domains, two for each.
MANY_DOMAINS = 8  # With so many in one window their waits are worth sharing.
SLOW_SYNC_SECONDS = (
    0.25  # Somebody else's writes on this file system make ours wait: fsync in each local waits for its own.
)
REST_SECONDS = 60.0


class Moment:
    """Do many domains get mail at the moment?"""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began = -WINDOW_SECONDS
        self._seen: set[bytes] = set()
        self._busy = False

    def is_busy(self, domain: bytes) -> bool:
        """*domain* has something to do: are there many that have?"""
        now = self._now()
        age = now - self._began
        if age >= WINDOW_SECONDS:
            self._busy = len(self._seen) >= MANY_DOMAINS and age < 2 * WINDOW_SECONDS
            self._began = now
            self._seen.clear()
        self._seen.add(domain)
        return self._busy


class Disk:
    """The file system that mail lies on."""

    def __init__(self, mail: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._mail, self._clock = mail, clock
        self._device = os.fstat(mail).st_dev
        self._rests_until = 0.0

    def holds(self, folder: os.stat_result) -> bool:
        """Is *folder* on it? A domain may have a file system of its own."""
        return folder.st_dev == self._device

    @property
    def rests(self) -> bool:
        """It was slow, or refused: each local had better sync its own for a while."""
        return self._clock() < self._rests_until

    def sync(self) -> bool:
        """Have everything written on it; False when the disk refused, and what was written before may not be there."""
        began = self._clock()
        try:
            sync_filesystem(self._mail)
        except OSError:
            self._rests_until = self._clock() + REST_SECONDS
            return False
        if self._clock() - began > SLOW_SYNC_SECONDS:
            self._rests_until = self._clock() + REST_SECONDS
        return True
