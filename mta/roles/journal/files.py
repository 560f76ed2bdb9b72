"""The log files: one that grows, a few older ones, all bounded.

A reader would otherwise get wrong: nothing is synced. A log that waits for the disk would slow the mail it tells of.
"""

import itertools
import os
from typing import Final

NAME: Final = "events.log"
MAX_OCTETS: Final = 16 << 20  # of one file
OLDER: Final = 8  # files kept beside the newest: events.1.log is the youngest of them


class Files:
    """Appends lines below *folder* (a descriptor)."""

    def __init__(self, folder: int, max_octets: int = MAX_OCTETS) -> None:
        self.dropped = 0  # lines that the disk did not take
        self._folder, self._max = folder, max_octets
        self._open()

    def write(self, lines: list[bytes]) -> None:
        """Append *lines* with one call."""
        octets = b"".join(lines)
        if self._size and self._size + len(octets) > self._max:
            self._rotate()
        try:
            written = os.write(self._file, octets)
        except OSError:
            # Full disk or quota: the loss is counted, and told as soon as there is room.
            self.dropped += len(lines)
            return
        if written < len(octets):
            # A torn line would spoil the next one too.
            os.ftruncate(self._file, self._size)
            self.dropped += len(lines)
            return
        self._size += written

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        self._file = os.open(NAME, flags, 0o640, dir_fd=self._folder)
        self._size = os.fstat(self._file).st_size

    def _rotate(self) -> None:
        names = [NAME, *(f"events.{number}.log" for number in range(1, OLDER + 1))]
        present = set(os.listdir(self._folder))  # noqa: PTH208 - a descriptor has no Path
        for younger, older in reversed(list(itertools.pairwise(names))):
            if younger in present:
                os.rename(younger, older, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        os.close(self._file)
        self._open()
