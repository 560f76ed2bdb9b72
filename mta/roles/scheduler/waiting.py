"""Fresh mail that waits for a place, by the domain it goes to, so that one domain's flood is one line among many.

A reader would otherwise get wrong: the domain here is the one in the first forward-path, before the directory was asked.
It decides only whose turn it is, never where mail goes.
"""

import collections
from collections.abc import Callable

from mta.spool.envelope import Envelope

KEEP_ENVELOPES = 2000  # Messages whose envelope waits in memory; the others' is read from the file.

Waiter = tuple[bytes, Envelope | None]


class Waiting:
    """Lines of (queue id, the envelope or None), one for each domain, served in turn."""

    def __init__(self) -> None:
        self._lines: collections.OrderedDict[bytes, collections.deque[Waiter]] = collections.OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, domain: bytes, queue_id: bytes, envelope: Envelope | None) -> None:
        """Put a message at the end of its domain's line."""
        self._count += 1
        line = self._lines.setdefault(domain, collections.deque())
        line.append((queue_id, envelope if self._count <= KEEP_ENVELOPES else None))

    def take(self, busy: Callable[[bytes], bool]) -> Waiter | None:
        """The first message of the next line whose domain is not *busy*; None when there is none."""
        # Not over a copy: there may be lines for twenty thousand domains, and mostly the first may go.
        found = next((domain for domain in self._lines if not busy(domain)), None)
        if found is None:
            return None
        line = self._lines[found]
        taken = line.popleft()
        self._count -= 1
        if line:
            self._lines.move_to_end(found)
        else:
            del self._lines[found]
        return taken
