"""Looks keys up in the newest whole state that was published. Opens files below one folder, and nothing else.

A reader would otherwise get wrong: whatever is wrong with what is *new*, the reader goes on with what it has. It never
becomes empty again after it was not; `trouble` says what it could not take.
"""

import contextlib
import os
from collections.abc import Callable, Mapping
from typing import Final, Self

from mta.snapshot.cdb import Cdb, CdbError
from mta.snapshot.format import (
    CURRENT,
    HEADER_KEY,
    LAYOUTS,
    MAX_CURRENT,
    FormatError,
    Header,
    Layout,
    cdb_name,
    delta_name,
    unpack_current,
    whole_frames,
)

_Mark = tuple[int, int, int]
_NEVER: Final[_Mark] = (-1, -1, -1)
_ABSENT: Final = object()
NOTHING_YET: Final = "nothing published yet"  # why there is no snapshot before the first: no trouble, but a wait
_ATTEMPTS = 3  # A generation may be replaced between reading its name and opening it; hardly so often in a row.


class SnapshotMissing(Exception):
    """Nothing was published yet, or nothing that can be read. Whoever asks must say: try later."""


class Snapshot:
    """What was published in one folder. `refresh` looks whether there is more; `get` never does."""

    def __init__(self, directory: int, layouts: Mapping[int, Layout] = LAYOUTS) -> None:
        """Read below the opened folder *directory*; it stays the caller's."""
        self.serial = 0  # another number whenever anything may be different
        self._directory, self._layouts = directory, layouts
        self._refused = NOTHING_YET  # why we do not use what `current` names
        self._unreadable = ""  # what went wrong when we last looked
        self._current_mark: _Mark = _NEVER
        self._generation: _Generation | None = None
        self._opened = -1  # the folder, when it is ours to close

    @classmethod
    def open(cls, directory: int | str | os.PathLike[str], layouts: Mapping[int, Layout] = LAYOUTS) -> Self:
        """Open the folder (or take an opened one) and read what is there, if anything.

        Raises:
            OSError: there is no such folder, or it may not be opened.
        """
        opened = -1
        if not isinstance(directory, int):
            directory = opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        snapshot = cls(directory, layouts)
        snapshot._opened = opened
        snapshot.refresh()
        return snapshot

    @property
    def trouble(self) -> str:
        """Why the newest is not in use; empty: it is; `NOTHING_YET`: there is none."""
        return self._unreadable or self._refused

    @property
    def header(self) -> Header:
        """Instance and change number of what is in use.

        Raises:
            SnapshotMissing: nothing is.
        """
        if self._generation is None:
            raise SnapshotMissing(self.trouble)
        return Header(self._generation.instance, self._generation.change)

    def get(self, key: bytes) -> bytes | None:
        """The value of *key*, or None when it has none.

        Raises:
            SnapshotMissing: nothing was published yet, or it is damaged; not the same as None.
        """
        if self._generation is None:
            raise SnapshotMissing(self.trouble)
        try:
            return self._generation.get(key)
        except CdbError as error:
            self._refused = f"generation {self._generation.number}: {error}"
            raise SnapshotMissing(self._refused) from error

    def refresh(self) -> bool:
        """Take what was published since; two `stat` calls when there is nothing. Did anything change?"""
        before, self._unreadable = self.serial, ""
        try:
            mark = self._mark_of_current()
            if mark != self._current_mark:
                self._take(mark)
            if self._generation is not None:
                self.serial += self._generation.refresh()
        except (FormatError, OSError) as error:
            self._unreadable = f"the snapshot cannot be read: {error}"
        return self.serial != before

    def close(self) -> None:
        """Give the files back, and the folder if we opened it."""
        self._drop_generation()
        if self._opened >= 0:
            os.close(self._opened)
            self._opened = self._directory = -1

    def _mark_of_current(self) -> _Mark:
        try:
            status = os.stat(CURRENT, dir_fd=self._directory)
        except FileNotFoundError:
            if self._refused != NOTHING_YET:
                raise
            return _NEVER
        return status.st_ino, status.st_mtime_ns, status.st_ctime_ns

    def _drop_generation(self) -> None:
        if self._generation is not None:
            self._generation.close()
            self._generation = None

    def _take(self, mark: _Mark) -> None:
        """Switch to the generation that `current` names, if it can be read as a whole."""
        try:
            newer = self._open_current()
        except (FormatError, CdbError) as error:
            # It will not get better by looking at it again: wait for another one.
            self._current_mark, self._refused = mark, str(error)
            return
        self._drop_generation()
        self._generation, self._current_mark, self._refused = newer, mark, ""
        self.serial += 1

    def _open_current(self) -> "_Generation":
        for _ in range(_ATTEMPTS):
            with contextlib.suppress(FileNotFoundError):
                return self._open_named()
        return self._open_named()

    def _open_named(self) -> "_Generation":
        current = unpack_current(self._read(CURRENT), self._layouts)
        return _Generation(self._directory, current.generation, current.cdb_octets, self._layouts[current.version])

    def _read(self, name: str) -> bytes:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            return os.read(descriptor, MAX_CURRENT)
        finally:
            os.close(descriptor)


def tell_state(event: Callable[..., object], trouble: str) -> None:
    """Tell the journal by *event* that a snapshot's `trouble` is another one now."""
    event(
        "snapshot-awaited" if trouble == NOTHING_YET else "snapshot-trouble" if trouble else "snapshot-in-use",
        why=trouble,
    )


class _Generation:
    """One constant database and the delta on top of it."""

    def __init__(self, directory: int, number: int, cdb_octets: int, layout: Layout) -> None:
        """Open and read both.

        Raises:
            FormatError, CdbError: damaged.
            OSError: not there, or not for us.
        """
        self.number = number
        self._layout = layout
        self._changed: dict[bytes, bytes | None] = {}
        self._offset = 0
        self._tail_mark: _Mark = _NEVER
        self._cdb = self._map(directory, cdb_octets)
        try:
            header = layout.header(self._cdb.get(HEADER_KEY))
            self.instance, self.change = header.instance, header.change
            self._delta = os.open(delta_name(number), os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        except BaseException:
            self._cdb.close()
            raise
        try:
            self.refresh()
        except BaseException:
            self.close()
            raise

    def get(self, key: bytes) -> bytes | None:
        value = self._changed.get(key, _ABSENT)
        if value is _ABSENT:
            value = self._cdb.get(key)
        if value is None or self._layout.modernise is None:
            return value  # type: ignore[return-value]  # mypy does not narrow by a sentinel
        return self._layout.modernise(key, value)  # type: ignore[arg-type]

    def refresh(self) -> bool:
        """Take the whole batches that were appended since; were there any?"""
        status = os.fstat(self._delta)
        # The time too: a writer that died leaves half a frame, and its successor may write one as long in its place.
        mark = (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        if mark == self._tail_mark:
            return False
        tail = os.pread(self._delta, max(0, status.st_size - self._offset), self._offset)
        any_batch = False
        for payload, end in whole_frames(tail, self.number, self._offset):
            batch = self._layout.batch(payload)
            self._changed.update(batch.records)
            self.change, self._offset, any_batch = batch.change, end, True
        self._tail_mark = mark
        return any_batch

    def close(self) -> None:
        os.close(self._delta)
        self._cdb.close()

    def _map(self, directory: int, octets: int) -> Cdb:
        descriptor = os.open(cdb_name(self.number), os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
        try:
            if os.fstat(descriptor).st_size != octets:
                raise FormatError(f"generation {self.number} does not have the length that `current` says")
            return Cdb(descriptor, octets)
        finally:
            os.close(descriptor)
