"""Reads what is new, keeps it, and removes what is old, in turns."""

import contextlib
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from mta.roles.tracer.gather import Gatherer
from mta.roles.tracer.store import Store
from mta.roles.tracer.tail import Tail
from mta.wire.loop import Loop

LOOK_SECONDS: Final = 0.25
TROUBLE_SECONDS: Final = 5.0
PURGE_SECONDS: Final = 60.0
DAY: Final = 86_400


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Desk:
    """Keeps in the store at *path* what the journal writes into *log* (a descriptor). `peers` must be set before `begin`."""

    peers: Ways

    def __init__(
        self, loop: Loop, log: int, path: Path, *, days: int, most_octets: int, now: Callable[[], float] = time.time
    ) -> None:
        self._loop, self._log, self._path, self._now = loop, log, path, now
        self._days, self._most_octets = days, most_octets
        self._store: Store | None = None
        self._tail: Tail | None = None
        self._gatherer: Gatherer | None = None
        self._trouble = ""
        self._domain = ""  # up to which the domains with days of their own were looked at in this round

    def begin(self) -> None:
        """Look now, and from now on."""
        self._look()
        self._purge()

    def look(self) -> bool:
        """Keep some of what is new; is there more at once?

        Raises:
            OSError: the journal's files cannot be read.
            sqlite3.Error: the store cannot be written.
        """
        store, tail, gatherer = self._opened()
        lines = tail.read()
        if lines:
            store.take(gatherer.gather(lines), tail.place)
        return bool(lines)

    def purge(self) -> bool:
        """Remove some of what is old, or too much; is there more at once?

        Raises:
            sqlite3.Error: the store cannot be written.
        """
        store = self._opened()[0]
        return bool(
            store.forget_before(self._now() - self._days * DAY)
            or store.forget_oldest(self._most_octets)
            or self._forget_of_domains(store)
        )

    def _forget_of_domains(self, store: Store) -> bool:
        """What some domains' tenants want forgotten earlier; some domains at once, each in its turn, then from the first again."""
        some = store.domains_after(self._domain)
        for name, days in some:
            if store.forget_of(name, self._now() - days * DAY):
                return True  # and there may be more of it
            self._domain = name
        if not some:
            self._domain = ""
        return bool(some)

    def close(self) -> None:
        """Give the files back."""
        if self._tail is not None:
            self._tail.close()
        if self._store is not None:
            self._store.close()
        self._store = self._tail = self._gatherer = None

    def _opened(self) -> tuple[Store, Tail, Gatherer]:
        if self._store is None or self._tail is None or self._gatherer is None:
            self._store = self._open_store()
            self._tail = Tail(self._log, self._store.place)
            self._gatherer = Gatherer(self._store, self._store.newest)
        return self._store, self._tail, self._gatherer

    def _open_store(self) -> Store:
        try:
            return Store(self._path)
        except sqlite3.OperationalError:
            raise  # No room, or locked: another day.
        except sqlite3.DatabaseError as error:
            self.peers.event("trace-begun-anew", why=str(error))
            for suffix in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    damaged = self._path.with_name(self._path.name + suffix)
                    damaged.replace(damaged.with_name(damaged.name + ".damaged"))
            return Store(self._path)

    def _look(self) -> None:
        seconds = LOOK_SECONDS
        try:
            if self.look():
                seconds = 0.0 if self._more() else LOOK_SECONDS
            self._complain("")
        except (OSError, sqlite3.Error) as error:
            self._complain(str(error))
            self.close()  # What was gathered and not kept is read again.
            seconds = TROUBLE_SECONDS
        self._loop.call_later(seconds, self._look)

    def _more(self) -> bool:
        """After a whole piece there is more; a short one was all."""
        return self._tail is not None and self._tail.is_behind

    def _purge(self) -> None:
        seconds = PURGE_SECONDS
        if not self._trouble:
            try:
                seconds = LOOK_SECONDS if self.purge() else PURGE_SECONDS
            except sqlite3.Error as error:
                self._complain(str(error))
        self._loop.call_later(seconds, self._purge)

    def _complain(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            self.peers.event("trace-trouble", why=trouble)
        self._trouble = trouble
