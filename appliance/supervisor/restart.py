"""When a role that ended is started again. Judgement only: the moments are handed in.

A reader would otherwise get wrong: the first restart comes at once, so that mail waits no longer than an interpreter takes
to start. Only a role that keeps ending has to wait, longer each time, so that it cannot eat the machine. One that served
and then ended as it should (an smtpd that met its number of strangers) is no such role.
"""

from mta.record import dataclass

FIRST_DELAY = 0.1  # seconds
LONGEST_DELAY = 10.0  # seconds
SERVED_AFTER = 1.0  # seconds of life after which status 0 is believed to be intent; sooner, it would be a loop
FORGIVEN_AFTER = 60.0  # seconds of life after which earlier ends no longer count
HOPELESS = 4  # ends before it was ever ready, at the first start of the house: then nobody is helped by trying on


@dataclass(slots=True)
class Restarts:
    """How often one process ended, and what follows."""

    ended: int = 0  # in all, for the administrator
    _in_a_row: int = 0

    def delay_after(self, lived: float, *, failed: bool = True) -> float:
        """It ended after *lived* seconds: how many to wait before it is started again. *failed*: not with status 0."""
        self.ended += 1
        if not failed and lived >= SERVED_AFTER:
            return 0.0
        self._in_a_row = 1 if lived >= FORGIVEN_AFTER else self._in_a_row + 1
        return 0.0 if self._in_a_row == 1 else min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (self._in_a_row - 2))

    @property
    def hopeless(self) -> bool:
        """Has it ended so often in a row that a house which never served should give up?"""
        return self._in_a_row >= HOPELESS
