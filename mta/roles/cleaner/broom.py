"""The judgement of cleaner: the order, and what counts as done.

A reader would otherwise get wrong: the order is the whole point. Content removed first would leave an envelope that is owed
and cannot be delivered.
"""

from collections.abc import Sequence

from mta.spool.layout import Folder


def clean(queue_id: bytes, in_order: Sequence[Folder]) -> bool:
    """Unlink the files of *queue_id* from the folders *in_order*; is all of it gone? Stops at the first that refuses.

    Raises:
        ValueError: not a queue id.
    """
    try:
        for folder in in_order:
            folder.remove(queue_id)
    except OSError:
        return False
    return True
