"""What an enqueuer does before it serves: bring every message to a state in which somebody is owed it, or to none.

A reader would otherwise get wrong: this removes mail, so it removes only what the state table says nobody was told 250
for. An envelope that a newer Postern wrote is owed; it stays, and the administrator hears of it.
"""

from mta.record import dataclass
from mta.spool import envelope as envelope_format
from mta.spool.envelope import MAX_ENVELOPE, NotWholeError, UnknownVersionError
from mta.spool.layout import Folder
from mta.spool.states import OWED, state_of


@dataclass(frozen=True, slots=True)
class Found:
    """What recovery found."""

    owed: int
    removed: int
    unknown_version: tuple[bytes, ...]
    newest: bytes  # the highest queue id there was, or nothing


def recover(content: Folder, envelope: Folder) -> Found:
    """Remove what was being taken when an enqueuer ended (S1) and what a cleaner left (S5).

    Raises:
        OSError: the disk refuses; serving on a spool that cannot be read would be accepting mail into a hole.
    """
    enveloped = set(envelope.queue_ids())
    owed, removed, newest, unknown = 0, 0, b"", []
    for queue_id in enveloped | set(content.queue_ids()):
        newest = max(newest, queue_id)
        octets = envelope.read(queue_id, MAX_ENVELOPE) if queue_id in enveloped else None
        # Progress is not ours to see, and makes no difference between owed and not.
        if state_of(content.size(queue_id), octets, progress=False) in OWED:
            owed += 1
            if octets is not None and not _readable(octets):
                unknown.append(queue_id)
            continue
        envelope.remove(queue_id)
        content.remove(queue_id)
        removed += 1
    return Found(owed, removed, tuple(unknown), newest)


def _readable(octets: bytes) -> bool:
    try:
        envelope_format.parse(octets)
    except (NotWholeError, UnknownVersionError):
        return False
    return True
