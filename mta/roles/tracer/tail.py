"""The journal's files as one stream of lines that goes on.

A reader would otherwise get wrong: a file is known by its beginning, not by its name. The journal renames its files when the
newest is full, and an inode may come again; the moment of the first line does not.
"""

import os
import re
from typing import Final

from mta.record import dataclass

NEWEST: Final = "events.log"
_OLDER: Final = re.compile(r"events\.([1-9]\d*)\.log\Z")
BEGINNING: Final = 40  # octets: the moment of the first line, and who said it
MAX_READ: Final = 1 << 20
MAX_LINE: Final = 1 << 19  # the longest event a channel carries, escaped


@dataclass(frozen=True, slots=True)
class Place:
    """Up to where was read: of the file that begins so, so many octets."""

    beginning: str = ""
    octets: int = 0


class Tail:
    """Reads below *folder* (a descriptor) from *place* on; from the oldest line when no file begins so."""

    def __init__(self, folder: int, place: Place) -> None:
        self.place = place
        self.is_behind = False  # was the last piece a whole one, so that there is more?
        self.skipped = 0  # lines too long to be a journal's
        self._folder, self._file = folder, -1
        self._rest = b""

    def read(self) -> list[bytes]:
        """Whole lines that are new, a bounded number of them; none: there is nothing for now.

        Raises:
            OSError: a file cannot be read.
        """
        if self._file < 0 and not self._open():
            return []
        octets = os.pread(self._file, MAX_READ, self.place.octets + len(self._rest))
        self.is_behind = len(octets) == MAX_READ
        if not octets and self._is_over():
            self._close()
            return self.read() if self._open() else []
        *lines, self._rest = (self._rest + octets).split(b"\n")
        self.place = Place(self.place.beginning, self.place.octets + sum(map(len, lines)) + len(lines))
        if len(self._rest) > MAX_LINE:
            self.place = Place(self.place.beginning, self.place.octets + len(self._rest))
            self._rest = b""
            self.skipped += 1
        return lines

    def close(self) -> None:
        """Give the file back."""
        self._close()

    def _open(self) -> bool:
        """Open the file that `place` is in, or the one behind it, or the oldest; False: there is none yet."""
        found = [(name, self._beginning_of(name)) for name in self._names()]
        known = [beginning for _, beginning in found]
        at = known.index(self.place.beginning) if self.place.beginning in known and self.place.beginning else -1
        if at >= 0 and self.place.octets and self._size_of(found[at][0]) <= self.place.octets and at + 1 < len(found):
            at += 1  # Read to its end before.
            self.place = Place(known[at], 0)
        elif at < 0:
            at = 0
            self.place = Place(known[0] if known else "", 0)
        if not found or not known[at]:
            return False  # Nothing in it yet: it has no beginning to know it by.
        self._rest = b""
        self._file = self._open_named(found[at][0])
        return True

    def _is_over(self) -> bool:
        """Was the file renamed, so that nothing will be added? Then its end was read, for that came before."""
        newest = self._beginning_of(NEWEST)
        if newest in ("", self.place.beginning):
            return False
        return os.fstat(self._file).st_size <= self.place.octets + len(self._rest)

    def _names(self) -> list[str]:
        """Oldest first."""
        present = os.listdir(self._folder)  # noqa: PTH208 - a descriptor has no Path
        older = {int(match[1]): name for name in present if (match := _OLDER.match(name))}
        return [*(older[number] for number in sorted(older, reverse=True)), *([NEWEST] if NEWEST in present else [])]

    def _beginning_of(self, name: str) -> str:
        try:
            file = self._open_named(name)
        except FileNotFoundError:
            return ""
        try:
            octets = os.pread(file, BEGINNING, 0)
        finally:
            os.close(file)
        return octets.decode("ascii", "replace") if len(octets) == BEGINNING else ""

    def _size_of(self, name: str) -> int:
        return os.stat(name, dir_fd=self._folder, follow_symlinks=False).st_size

    def _open_named(self, name: str) -> int:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=self._folder)

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
