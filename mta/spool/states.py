"""The legal combinations of a message's files, as ARCHITECTURE.md's table has them, and what recovery makes of each.

A reader would otherwise get wrong: the state is read off the files, it is stored nowhere. So there is no state to repair,
only files whose combination says who must do something.
"""

import enum

from mta.spool import envelope as envelope_format
from mta.spool.envelope import NotWholeError, UnknownVersionError


class State(enum.Enum):
    """A row of the table."""

    S0 = "no message"
    S1 = "being taken, or left by a crash"
    S2 = "accepted"
    S3 = "accepted, partly decided"
    S4 = "finished, progress left"
    S5 = "finished, content left"


OWED = frozenset({State.S2, State.S3})  # somebody may have been told 250


def state_of(content: int | None, envelope: bytes | None, *, progress: bool) -> State:
    """The state of a message whose content file has *content* octets (None: there is none) and so on.

    S1 without an envelope and S5 are the same files; the name S5 is kept for what a cleaner left behind, which only the
    cleaner itself can tell, so this answers S1 for both: nobody is owed anything either way.
    """
    whole = envelope is not None and _is_whole(content, envelope)
    if whole:
        return State.S3 if progress else State.S2
    if progress:
        return State.S4
    if content is None and envelope is None:
        return State.S0
    return State.S1


def _is_whole(content: int | None, envelope: bytes) -> bool:
    try:
        return content == envelope_format.parse(envelope).size
    except NotWholeError:
        return False
    except UnknownVersionError:
        return True  # Accepted by a newer Postern: owed, whatever we understand of it.
