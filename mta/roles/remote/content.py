"""The content of one message, read from its descriptor a block at a time: as it is for BDAT, with dots stuffed for DATA.

A reader would otherwise get wrong: what lies in the spool has CR LF at the end of each line, of the last one too, and no
other CR or LF: the smtpd refuses those. So stuffing looks for CR LF dot only, and nothing is ever changed.
"""

import os
from collections.abc import Iterator
from typing import Final

BLOCK: Final = 64 * 1024  # read, and sent, at once; nearly every message is one
MAX_HEADER: Final = 256 * 1024  # octets in which the header section's end is looked for


class Content:
    """The message behind *descriptor*, which is closed with it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.size = os.lseek(descriptor, 0, os.SEEK_END)  # fstat takes a path, and a remote has no call that does
        self._first = self._read(0)

    def close(self) -> None:
        """It is not needed any more; a second time does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def is_short(self) -> bool:
        """It is one block, and has been read."""
        return len(self._first) == self.size

    @property
    def may_be_eight_bit(self) -> bool:
        """Is there, or could there be, anything beyond ASCII? Of a long one only the beginning is looked at."""
        return not self.is_short or not self._first.isascii()

    def is_ascii(self) -> bool:
        """Nothing is beyond ASCII; reads all of it.

        Raises:
            OSError: it cannot be read.
        """
        return all(block.isascii() for block in self.blocks())

    def is_header_ascii(self) -> bool:
        """Nothing in the header section is.

        Raises:
            OSError: it cannot be read.
        """
        head = self._first
        while (end := head.find(b"\r\n\r\n")) < 0 and len(head) < min(self.size, MAX_HEADER):
            head += self._read(len(head))
        return (head if end < 0 else head[:end]).isascii()

    def blocks(self) -> Iterator[bytes]:
        """All of it, as it is.

        Raises:
            OSError: it cannot be read to its end.
        """
        yield self._first
        at = len(self._first)
        while at < self.size:
            block = self._read(at)
            at += len(block)
            yield block

    def stuffed_blocks(self) -> Iterator[bytes]:
        """All of it with a dot before each dot that begins a line (RFC 5321 4.5.2).

        Raises:
            OSError: as `blocks`.
        """
        before = b"\r\n"  # The content begins at the beginning of a line.
        for block in self.blocks():
            stuffed = block.replace(b"\r\n.", b"\r\n..") if b"\r\n." in block else block
            # A block may end inside of CR LF dot.
            if before == b"\r\n" and block[:1] == b".":
                stuffed = b"." + stuffed
            elif before[-1:] == b"\r" and block[:2] == b"\n.":
                stuffed = b"\n.." + stuffed[2:]
            before = (before + block[-2:])[-2:]
            yield stuffed

    def _read(self, at: int) -> bytes:
        block = os.pread(self._descriptor, BLOCK, at)
        if not block and at < self.size:
            raise OSError(5, "the content ends before its end")
        return block
