"""Publishes into one folder: a batch on top of the present generation, or a generation anew.

A reader would otherwise get wrong: there is one writer at a time, and that is the caller's duty (a lock beside the
folders). Readers need no lock at all: the only thing that is ever replaced is `current`, and only by rename.
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from mta.record import dataclass, replace
from mta.snapshot.cdb import Cdb, CdbWriter
from mta.snapshot.format import (
    CURRENT,
    FORMAT_VERSION,
    HEADER_KEY,
    MAX_CURRENT,
    Batch,
    Current,
    Header,
    Record,
    cdb_name,
    delta_name,
    generation_of,
    pack_batch,
    pack_current,
    pack_frame,
    pack_header,
    unpack_batch,
    unpack_current,
    unpack_header,
    wants_compaction,
    whole_frames,
)

_STEP_RECORDS = 2000  # Records of a compaction between two turns for others: some milliseconds.
_STEP_SYNC = 4 << 20  # Octets after which a compaction syncs, so that no single sync takes long.


class NotContinued(Exception):
    """What was to be published does not follow what is: another instance, or an older state."""


@dataclass(frozen=True, slots=True)
class Published:
    """What stands in the folder."""

    version: int
    generation: int
    instance: bytes
    change: int
    cdb_octets: int
    delta_octets: int  # whole frames; a torn end is not counted and will be overwritten


class SnapshotWriter:
    """Writes below *directory*, which exists. New files belong to the folder's owner, readable by whom the folder lets in."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mark: tuple[int, ...] = ()
        self._published: Published | None = None

    def published(self) -> Published | None:
        """What is there, or None; two `stat` calls when nobody else wrote since.

        Raises:
            TooNew: a later version of this program wrote it.
            FormatError, CdbError: it is damaged; only a generation anew mends that.
            OSError: it cannot be read.
        """
        if not self._mark or self._mark != self._look():
            self._published = self._read()
            self._mark = self._look()
        return self._published

    @property
    def wants_compaction(self) -> bool:
        """Has so much been appended that a new generation pays?"""
        published = self.published()
        return published is not None and wants_compaction(published.delta_octets, published.cdb_octets)

    def publish_changes(self, instance: bytes, change: int, records: Iterable[Record]) -> None:
        """Append one batch: readers see all of *records* or none, and then everything up to *change*.

        Raises:
            NotContinued: nothing is published yet, or by another instance, or already more than *change*.
            TooNew, FormatError, CdbError, OSError: as `published`.
        """
        present = self.published()
        if present is None or present.instance != instance or present.change > change:
            raise NotContinued("there is no generation that this change could follow")
        if present.version != FORMAT_VERSION:
            raise NotContinued("the generation was written by another version; it wants to be written anew")
        payload = pack_batch(Batch(change, tuple(records)))
        end = self._append(present.generation, present.delta_octets, payload)
        self._published = replace(present, change=change, delta_octets=end)
        self._mark = self._look()

    def publish_all(self, instance: bytes, change: int, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Write a new generation out of all records. Whether it may replace what is there is the caller's judgement.

        Raises:
            CdbError: they are more than 4 GiB.
            OSError: no room, or no right. Nothing has changed for readers then.
        """
        number = self._next_generation()
        with self._create(f"{cdb_name(number)}.new") as file:
            writer = CdbWriter(file)
            writer.add(HEADER_KEY, pack_header(Header(instance, change)))
            for key, value in records:
                writer.add(key, value)
            octets = writer.finish()
            os.fsync(file.fileno())
        self._switch(Current(FORMAT_VERSION, number, octets), ())

    def compaction(self) -> Iterator[None]:
        """Write generation and delta as one new generation, a step at a time; batches may be appended meanwhile.

        Another generation that is published meanwhile wins: this one is then given up.

        Raises:
            TooNew, FormatError, CdbError, OSError: as `published`.
        """
        start = self.published()
        if start is None or start.version != FORMAT_VERSION:
            return
        number = self._next_generation()
        with self._create(f"{cdb_name(number)}.new") as file:
            writer = CdbWriter(file)
            writer.add(HEADER_KEY, pack_header(Header(start.instance, start.change)))
            yield from self._merge(start, writer, file)
            yield from writer.finish_in_steps()
            os.fsync(file.fileno())
        present = self.published()
        if present is None or present.generation != start.generation:
            self._unlink(f"{cdb_name(number)}.new")
            return
        later = self._frames(start.generation, start.delta_octets)
        self._switch(Current(FORMAT_VERSION, number, writer.octets), [payload for payload, _ in later])

    def _merge(self, start: Published, writer: CdbWriter, file: BinaryIO) -> Iterator[None]:
        changed: dict[bytes, bytes | None] = {}
        for payload, end in self._frames(start.generation, 0):
            if end <= start.delta_octets:
                changed.update(unpack_batch(payload).records)
        cdb, synced = self._open_cdb(start.generation), 0
        try:
            for count, (key, value) in enumerate(cdb):
                if key != HEADER_KEY and key not in changed:
                    writer.add(key, value)
                if count % _STEP_RECORDS == 0:
                    if writer.octets - synced > _STEP_SYNC:
                        synced = writer.octets
                        os.fdatasync(file.fileno())
                    yield
        finally:
            cdb.close()
        for key, now in changed.items():
            if now is not None:
                writer.add(key, now)

    def _switch(self, current: Current, payloads: Iterable[bytes]) -> None:
        """Give the written generation its name and its delta, then point `current` to it, then remove the former."""
        offset = 0
        with self._create(delta_name(current.generation)) as delta:
            for payload in payloads:
                frame = pack_frame(payload, current.generation, offset)
                delta.write(frame)
                offset += len(frame)
            delta.flush()
            os.fsync(delta.fileno())
        name = cdb_name(current.generation)
        (self._directory / f"{name}.new").rename(self._directory / name)
        with self._create(f"{CURRENT}.new") as file:
            file.write(pack_current(current))
            file.flush()
            os.fsync(file.fileno())
        # The generation must be on the disk under its name before anything on the disk points to it.
        self._sync_directory()
        (self._directory / f"{CURRENT}.new").rename(self._directory / CURRENT)
        self._sync_directory()
        self._mark = ()
        self._remove_others(current.generation)

    def _append(self, generation: int, offset: int, payload: bytes) -> int:
        descriptor = os.open(self._directory / delta_name(generation), os.O_RDWR | os.O_CLOEXEC)
        try:
            # A writer that died may have left half a frame: no reader has taken it, and none must find it behind ours.
            if os.fstat(descriptor).st_size > offset:
                os.ftruncate(descriptor, offset)
            frame = memoryview(pack_frame(payload, generation, offset))
            written = 0
            while written < len(frame):
                written += os.pwrite(descriptor, frame[written:], offset + written)
            os.fdatasync(descriptor)
            return offset + written
        finally:
            os.close(descriptor)

    def _read(self) -> Published | None:
        try:
            with (self._directory / CURRENT).open("rb") as file:
                current = unpack_current(file.read(MAX_CURRENT))
        except FileNotFoundError:
            return None
        cdb = self._open_cdb(current.generation)
        try:
            header = unpack_header(cdb.get(HEADER_KEY))
        finally:
            cdb.close()
        change, end = header.change, 0
        for payload, after in self._frames(current.generation, 0):
            change, end = unpack_batch(payload).change, after
        return Published(current.version, current.generation, header.instance, change, current.cdb_octets, end)

    def _look(self) -> tuple[int, ...]:
        """Something that is different whenever somebody published; never empty."""
        try:
            current = (self._directory / CURRENT).stat()
            generation = self._published.generation if self._published else 0
            delta = (self._directory / delta_name(generation)).stat()
        except FileNotFoundError:
            return (0,)
        return (current.st_ino, current.st_mtime_ns, delta.st_size, delta.st_mtime_ns)

    def _frames(self, generation: int, offset: int) -> Iterator[tuple[bytes, int]]:
        with (self._directory / delta_name(generation)).open("rb") as file:
            file.seek(offset)
            octets = file.read()
        return whole_frames(octets, generation, offset)

    def _open_cdb(self, generation: int) -> Cdb:
        with (self._directory / cdb_name(generation)).open("rb") as file:
            return Cdb(file.fileno(), os.fstat(file.fileno()).st_size)

    def _create(self, name: str) -> BinaryIO:
        path = self._directory / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        file = os.fdopen(descriptor, "w+b")
        os.fchmod(descriptor, 0o644)
        if os.geteuid() == 0:
            # Root publishes once, by hand; the compiler under its own uid must be able to go on from there.
            owner = self._directory.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        return file

    def _next_generation(self) -> int:
        numbers = [generation_of(entry.name) for entry in self._directory.iterdir()]
        return max((number for number in numbers if number is not None), default=0) + 1

    def _remove_others(self, generation: int) -> None:
        # Also what a writer that died left half done. Who has a removed file open may go on reading it.
        for entry in self._directory.iterdir():
            number = generation_of(entry.name)
            if number is not None and number != generation:
                self._unlink(entry.name)

    def _unlink(self, name: str) -> None:
        (self._directory / name).unlink(missing_ok=True)

    def _sync_directory(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
