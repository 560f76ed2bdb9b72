"""Remembers where the audit log ended, out of reach of whoever can write the database (`appliance.audit_chain`).

A reader would otherwise get wrong: once an entry that was seen is gone or another, what is remembered stays as it is. It is
the evidence, and `postern check` finds the log wanting for as long as it is.
"""

from pathlib import Path
from typing import Protocol

from appliance.audit_chain import Anchor, read_anchor, write_anchor
from appliance.compile.source import Query


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Owner(Protocol):
    """Who has the ways to others, once they are there."""

    @property
    def peers(self) -> Ways:
        """They."""


class Trail:
    """Looks at the log's end; what it saw lies below *folder*."""

    def __init__(self, folder: Path, owner: Owner) -> None:
        self._folder, self._owner = folder, owner
        self._seen: Anchor | None = None
        self._is_broken = False

    def look(self, query: Query) -> None:
        """Remember the newest entry, if all that was seen before still stands.

        Raises:
            OSError: it cannot be written down.
        """
        self._seen = self._seen or read_anchor(self._folder)
        newest = next(query.rows("SELECT id, digest FROM audit_entry ORDER BY id DESC LIMIT 1"), None)
        if newest is None and self._seen is None:
            return
        if not self._still_stands(query):
            if not self._is_broken:
                self._is_broken = True
                self._owner.peers.event("audit-broken", entry=self._seen.id if self._seen else 0)
            return
        self._is_broken = False
        end = Anchor(*newest) if newest is not None else None
        if end is not None and end != self._seen:
            write_anchor(self._folder, end)
            self._seen = end

    def _still_stands(self, query: Query) -> bool:
        if self._seen is None:
            return True
        found = next(query.rows("SELECT digest FROM audit_entry WHERE id = ?", (self._seen.id,)), None)
        return found is not None and found[0] == self._seen.digest
