"""A constant database: written once, then only mapped and looked up. The file format is D. J. Bernstein's cdb.

A reader would otherwise get wrong: positions are 32 bits, so one file holds 4 GiB and the writer refuses more. A file
is never changed in place: whoever has it mapped may go on using it after a newer one has taken its name.
"""

import mmap
import struct
from array import array
from collections.abc import Iterator
from typing import BinaryIO

_PAIR = struct.Struct("<II")
_HEADER_OCTETS = 256 * _PAIR.size
_LIMIT = 0xFFFFFFFF
_PIECE = 1 << 20  # Octets gathered before they are written: a call for each record would cost more than the record.


class CdbError(Exception):
    """Not a whole constant database, or more than one can hold."""


def cdb_hash(key: bytes) -> int:
    """The format's hash of *key*."""
    h = 5381
    for octet in key:
        # Cut to 32 bits once, at the end: what is above them never comes down again, and keys are short.
        h = h * 33 ^ octet
    return h & _LIMIT


class Cdb:
    """A constant database, mapped read-only."""

    def __init__(self, descriptor: int, octets: int) -> None:
        """Map the file behind *descriptor*, which may be closed afterwards.

        Raises:
            CdbError: it is shorter than any constant database.
        """
        if octets < _HEADER_OCTETS:
            raise CdbError("shorter than its own table of contents")
        self._map = mmap.mmap(descriptor, octets, access=mmap.ACCESS_READ)
        self._tables = [_PAIR.unpack_from(self._map, 8 * index) for index in range(256)]
        self._end = min(position for position, _ in self._tables)
        if any(position + 8 * slots > octets for position, slots in self._tables):
            raise CdbError("its tables lie beyond its end")

    def get(self, key: bytes) -> bytes | None:
        """The value of *key*, or None.

        Raises:
            CdbError: the file contradicts itself.
        """
        h = cdb_hash(key)
        position, slots = self._tables[h & 255]
        if not slots:
            return None
        found, first = self._map, (h >> 8) % slots
        unpack = _PAIR.unpack_from
        try:
            for slot in range(first, first + slots):
                other, record = unpack(found, position + 8 * (slot % slots))
                if not record:
                    return None
                if other == h:
                    key_octets, value_octets = unpack(found, record)
                    start = record + 8
                    if found[start : start + key_octets] == key:
                        return found[start + key_octets : start + key_octets + value_octets]
        except struct.error as error:
            raise CdbError("a record lies beyond its end") from error
        return None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Every record, in the order it was written."""
        position = _HEADER_OCTETS
        while position < self._end:
            key_octets, value_octets = _PAIR.unpack_from(self._map, position)
            start = position + 8
            position = start + key_octets + value_octets
            yield self._map[start : start + key_octets], self._map[start + key_octets : position]

    def close(self) -> None:
        """Give the mapping back."""
        self._map.close()


class CdbWriter:
    """Writes a constant database; `add` each record once, then `finish`."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._position = _HEADER_OCTETS
        self._piece: list[bytes] = [bytes(_HEADER_OCTETS)]
        self._piece_octets = _HEADER_OCTETS
        # Arrays, not lists of tuples: a million records are then 8 MB here instead of 120.
        self._hashes = [array("I") for _ in range(256)]
        self._positions = [array("I") for _ in range(256)]

    def add(self, key: bytes, value: bytes) -> None:
        """Write one record. A key that is added twice is found with its first value.

        Raises:
            CdbError: the file would pass 4 GiB.
        """
        octets = 8 + len(key) + len(value)
        if self._position + octets > _LIMIT:
            raise CdbError("more than 4 GiB")
        h = cdb_hash(key)
        self._hashes[h & 255].append(h)
        self._positions[h & 255].append(self._position)
        self._position += octets
        self._put(_PAIR.pack(len(key), len(value)) + key + value)

    def finish(self) -> int:
        """Write the tables and the table of contents; how many octets the file has.

        Raises:
            CdbError: the file would pass 4 GiB.
        """
        for _ in self.finish_in_steps():
            pass
        return self._position

    def finish_in_steps(self) -> Iterator[None]:
        """As `finish`, giving the caller his turn after each of the 256 tables.

        Raises:
            CdbError: the file would pass 4 GiB.
        """
        contents: list[bytes] = []
        for hashes, positions in zip(self._hashes, self._positions, strict=True):
            table = _table(hashes, positions)
            contents.append(_PAIR.pack(self._position, len(table) // 2))
            self._position += 4 * len(table)
            if self._position > _LIMIT:
                raise CdbError("more than 4 GiB")
            self._put(_little_endian(table))
            yield
        self._flush()
        self._file.seek(0)
        self._file.write(b"".join(contents))
        self._file.flush()

    @property
    def octets(self) -> int:
        """How many there are so far."""
        return self._position

    def _put(self, octets: bytes) -> None:
        self._piece.append(octets)
        self._piece_octets += len(octets)
        if self._piece_octets > _PIECE:
            self._flush()

    def _flush(self) -> None:
        self._file.write(b"".join(self._piece))
        self._piece, self._piece_octets = [], 0


def _table(hashes: "array[int]", positions: "array[int]") -> "array[int]":
    """Twice as many slots as records, each a hash and a position; open addressing, position 0 is an empty slot."""
    slots = 2 * len(hashes)
    table = array("I", bytes(8 * slots))
    for h, position in zip(hashes, positions, strict=True):
        slot = (h >> 8) % slots
        while table[2 * slot + 1]:
            slot = slot + 1 if slot + 1 < slots else 0
        table[2 * slot], table[2 * slot + 1] = h, position
    return table


def _little_endian(table: "array[int]") -> bytes:
    if struct.pack("=I", 1) != struct.pack("<I", 1):
        table.byteswap()
    return table.tobytes()
