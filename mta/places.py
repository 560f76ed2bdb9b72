"""A file that is open already, with two places in it that are written in turn, each with a checksum.

A reader would otherwise get wrong: whatever ended us, or the machine, while one place was being written, the other is whole.
So what a role keeps over a restart needs no call that names a file, and nobody waits for a disk: who opened the file asked
for writes that return when they are there.
"""

import hashlib
import os
import struct
from collections.abc import Iterator
from typing import Final

_HEAD: Final = struct.Struct(">16sQQ32s")  # what it is, which of the two is newer, octets behind it, their checksum
MAGIC_OCTETS: Final = 16


class Places:
    """The file behind *descriptor*. *magic* says what is kept there; each of the two has room for *octets*."""

    def __init__(self, descriptor: int, magic: bytes, octets: int) -> None:
        self._descriptor, self._magic, self._octets = descriptor, magic.ljust(MAGIC_OCTETS, b"\0"), octets
        self._number = 0

    @property
    def room(self) -> int:
        """Octets that can be kept."""
        return self._octets - _HEAD.size

    def load(self) -> bytes:
        """What was stored last; nothing when neither place is whole."""
        whole = [found for place in range(2) if (found := self._read(place)) is not None]
        if not whole:
            return b""
        self._number, body = max(whole)
        return body

    def store(self, body: bytes) -> None:
        """Put *body* into the older place.

        Raises:
            OSError: the disk does not take it. What was stored before is still there.
            ValueError: there is no room for so much.
        """
        if len(body) > self.room:
            raise ValueError(f"{len(body)} octets, and there is room for {self.room}")
        number = self._number + 1
        octets = _HEAD.pack(self._magic, number, len(body), hashlib.sha256(body).digest()) + body
        at = number % 2 * self._octets
        while octets:
            written = os.pwrite(self._descriptor, octets, at)
            octets, at = octets[written:], at + written
        self._number = number

    def _read(self, place: int) -> tuple[int, bytes] | None:
        at = place * self._octets
        try:
            magic, number, length, checksum = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, at))
            if magic != self._magic or length > self.room:
                return None
            body = b"".join(self._blocks(at + _HEAD.size, length))
        except (struct.error, OSError):
            return None
        return (number, body) if hashlib.sha256(body).digest() == checksum else None

    def _blocks(self, at: int, length: int) -> Iterator[bytes]:
        while length and (block := os.pread(self._descriptor, length, at)):
            at, length = at + len(block), length - len(block)
            yield block
