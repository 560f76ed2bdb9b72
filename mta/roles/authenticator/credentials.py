"""The snapshot as the two desks see it: newest when asked, and silent about what is wrong with it but to the journal.

A reader would otherwise get wrong: trouble is never an answer of its own. Whoever asks while a record cannot be read is told
the same as when there is none.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from mta.roles.authenticator.judge import Get
from mta.seal import NotOpened, Opener
from mta.snapshot.reader import Snapshot, SnapshotMissing, tell_state
from mta.snapshot.records import RecordError

_Found = TypeVar("_Found")


class Events(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Credentials:
    """Reads *snapshot*; `peers` must be set before the first look. Without an *opener* nobody has a password."""

    peers: Events

    def __init__(self, snapshot: Snapshot, opener: Opener | None) -> None:
        self._snapshot, self._opener = snapshot, opener
        self._trouble = ""

    @property
    def get(self) -> Get:
        """Look a record up. Raises SnapshotMissing."""
        return self._snapshot.get

    @property
    def public_key(self) -> bytes:
        """To which hashes are sealed, and of which salts are made."""
        return b"" if self._opener is None else self._opener.public_key

    def opener_for(self, purpose: bytes) -> Opener | None:
        """For what else is sealed to us."""
        return None if self._opener is None else self._opener.beside(purpose)

    def refresh(self) -> bool:
        """Take what was published since; is there anything to look in?"""
        self._snapshot.refresh()
        self._complain(self._snapshot.trouble)
        try:
            return self._snapshot.header is not None
        except SnapshotMissing:
            return False

    def look(self, look: Callable[[Get], _Found]) -> _Found | None:
        """What *look* finds; None when something is wrong with what it looks at."""
        try:
            return look(self._snapshot.get)
        except RecordError as error:
            self.peers.event("credential-wrong", why=str(error))
        except SnapshotMissing as error:
            self._complain(str(error))
        return None

    def open(self, look: Callable[[Get, Opener], _Found]) -> _Found | None:
        """The same, for what lies under a seal."""
        opener = self._opener
        if opener is None:
            return None
        try:
            return self.look(lambda get: look(get, opener))
        except NotOpened as error:
            self.peers.event("credential-wrong", why=str(error))
        return None

    def _complain(self, trouble: str) -> None:
        if trouble != self._trouble:
            self._trouble = trouble
            tell_state(self.peers.event, trouble)
