"""Group commit: a batch of messages becomes durable with as few waits for the disk as there can be.

A reader would otherwise get wrong: four things must be durable before anybody may say 250 - content, envelope, and the
name of each in its folder. One syncfs covers them all; without it they are four calls, and none of them implies another.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence

from mta.record import dataclass
from mta.spool.layout import Folder, write_all

SYNCFS_FROM = (
    4  # Messages in a batch from which one syncfs is cheaper than fsyncs (65 against 160 us CPU for each message).
)
SLOW_SYNCFS_SECONDS = 0.25  # Somebody else's writes on this file system make ours wait: fsync waits for our own only.
FSYNC_ONLY_SECONDS = 60.0

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(slots=True, eq=False)
class Batched:
    """One message of a batch: what to write, and afterwards why it could not be."""

    queue_id: bytes
    envelope: bytes
    content: bytes  # what is not in the file yet
    descriptor: int = -1  # of the content file, when it was begun before
    error: OSError | None = None


class Disk:
    """The two folders an enqueuer writes."""

    def __init__(self, content: Folder, envelope: Folder, clock: Callable[[], float] = time.monotonic) -> None:
        self.content, self.envelope, self._clock = content, envelope, clock
        self._fsync_until = 0.0
        self._one_file_system = os.fstat(content.descriptor).st_dev == os.fstat(envelope.descriptor).st_dev

    def commit(self, batch: Sequence[Batched]) -> None:
        """Make every message of *batch* durable, or leave nothing of it and say why in its `error`."""
        together = len(batch) >= SYNCFS_FROM and self._one_file_system and self._clock() >= self._fsync_until
        for message in batch:
            try:
                self._write(message, sync=not together)
            except OSError as error:
                message.error = error
        written = [message for message in batch if message.error is None]
        try:
            if together:
                self._sync_file_system()
            elif written:
                self.content.sync()
                self.envelope.sync()
        except OSError as error:
            # The disk owes us an answer for all of them, and what it did write it may never tell.
            for message in written:
                message.error = error
        for message in batch:
            # A file that was there before is another's mail, whatever brought us to its name.
            if message.error is not None and not isinstance(message.error, FileExistsError):
                self.discard(message.queue_id)

    def discard(self, queue_id: bytes) -> None:
        """Remove what there is of a message nobody was told 250 for. A disk that refuses that too leaves it to recovery."""
        with contextlib.suppress(OSError):
            self.envelope.remove(queue_id)  # First: content alone is nobody's mail.
        with contextlib.suppress(OSError):
            self.content.remove(queue_id)

    def _write(self, message: Batched, *, sync: bool) -> None:
        descriptor, message.descriptor = message.descriptor, -1
        if descriptor < 0:
            descriptor = self.content.create(message.queue_id)
        _finish(descriptor, message.content, sync=sync)
        _finish(self.envelope.create(message.queue_id), message.envelope, sync=sync)

    def _sync_file_system(self) -> None:
        began = self._clock()
        self.content.sync_file_system()
        if self._clock() - began > SLOW_SYNCFS_SECONDS:
            self._fsync_until = self._clock() + FSYNC_ONLY_SECONDS


def _finish(descriptor: int, octets: bytes, *, sync: bool) -> None:
    """Write *octets* and close, whatever happens."""
    try:
        write_all(descriptor, octets)
        if sync:
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Room:
    """Is there enough free space that what is queued can still move? Looks at most once a second."""

    LOOK_SECONDS = 1.0
    MIN_FREE_FILES = 1000

    def __init__(self, folder: Folder, min_free_octets: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder, self._min_free, self._clock = folder, min_free_octets, clock
        self._looked, self._enough = -self.LOOK_SECONDS, True

    def enough(self) -> bool:
        """True as long as a new message leaves room for progress files and deliveries of those before it."""
        now = self._clock()
        if now - self._looked >= self.LOOK_SECONDS:
            self._looked = now
            self._enough = self._look()
        return self._enough

    def _look(self) -> bool:
        try:
            found = os.fstatvfs(self._folder.descriptor)
        except OSError:
            return True  # Then the writing itself will tell.
        # On a file system so small that the reserve would be all of it, an eighth is the reserve.
        octets = min(self._min_free, found.f_blocks * found.f_frsize // 8)
        files = min(self.MIN_FREE_FILES, found.f_files // 8)
        return found.f_bavail * found.f_frsize >= octets and found.f_favail >= files


def refusal(error: OSError) -> tuple[int, bytes, bytes]:
    """Reply code, status and words for a client whose message *error* kept off the disk."""
    if error.errno in _FULL:
        return DISK_FULL
    return 451, b"4.3.0", b"The mail system cannot store mail at the moment"


DISK_FULL = (452, b"4.3.1", b"Insufficient system storage")
