"""What is on its way for a scheduler that ended: its successor asks for it again, and is answered by what comes of it.

A reader would otherwise get wrong: a host may think for ten minutes (RFC 5321 4.5.3.2.6), and scheduler be killed meanwhile. To
hand the message over once more would be the second copy that nobody can take back.
"""

from mta.roles.remotespawn.destinations import Key, Sending

_Same = tuple[bytes, Key, bytes, bytes]  # queue id, destination, reverse-path, options


class Orphans:
    """All of them, since the last scheduler ended."""

    def __init__(self) -> None:
        self._left: dict[_Same, list[Sending]] = {}
        self._until = 0.0

    def leave(self, sending: Sending, key: Key, until: float) -> None:
        """Whoever asked for *sending* is gone; the answers are kept *until* then."""
        sending.asker, self._until = None, until
        self._left.setdefault(_same(sending, key), []).append(sending)

    def adopt(self, sending: Sending, key: Key) -> Sending | None:
        """One for which *sending* asks again, for all or some of its recipients: it is his from now on."""
        left = self._left.get(_same(sending, key), [])
        for orphan in left:
            theirs = {(each.recipient, each.options): each.index for each in sending.recipients}
            ours = {(each.recipient, each.options): each.index for each in orphan.recipients}
            if theirs.keys() <= ours.keys():
                left.remove(orphan)
                orphan.asker, orphan.tag = sending.asker, sending.request.tag
                orphan.numbers = {ours[each]: number for each, number in theirs.items()}
                return orphan
        return None

    def expire(self, now: float) -> None:
        """Forget those that nobody asked for in time."""
        if self._left and now >= self._until:
            self._left.clear()


def _same(sending: Sending, key: Key) -> _Same:
    request = sending.request
    return request.queue_id, key, request.reverse_path, request.options
