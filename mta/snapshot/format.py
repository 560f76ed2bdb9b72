"""The files of a snapshot, octet by octet. Shared by writer and reader; no I/O here.

One audience is one folder:

    current        which generation counts: netstrings of mark, version, generation, octets of its cdb, checksum
    <g>.cdb        generation g, a constant database; the empty key holds its header: instance id, change number
    <g>.delta      what changed since: batches, each one frame of length, checksum, change number, records

A reader would otherwise get wrong: a *batch is a frame*. What was published together is behind one checksum, so it is
there as a whole or not at all; an end of file inside a frame is a writer at work, or one that died, and never an error.

`current` begins with mark and version in every version there will ever be. The rest may change with the version:
`LAYOUTS` says how each one is read.
"""

import hashlib
import re
import struct
from collections.abc import Callable, Iterator, Mapping

from mta.record import dataclass
from mta.wire.netstring import WireError, pack, unpack

# Since 2 a domain says how it is protected and where it is relayed to; since 3, how its mail goes out;
# since 4 names of domains are folded by lower case alone, and what stands still may stand still in part;
# since 5 there are patterns, aliases that are kept for some, and domains whose mail stays inside.
FORMAT_VERSION = 5
MARK = b"postern snapshot"
CURRENT = "current"
HEADER_KEY = b""
MAX_CURRENT = 1000  # octets; more is not a file of ours
MIN_COMPACTION = 1 << 20  # octets of delta below which a new generation is not worth its writing
MAX_DELTA = 16 << 20  # above which one is written however large it will be: a reader needs three times as much memory

_FRAME = struct.Struct("<I8s")
_CHANGE = struct.Struct("<Q")
_ENTRY = struct.Struct("<II")
_TOMBSTONE = 0xFFFFFFFF
_MAX_BATCH = 0xFFFFFFFE
_FILE = re.compile(r"(\d{1,18})\.(?:cdb|delta)(?:\.new)?\Z")

Record = tuple[bytes, bytes | None]  # None: there is no such key any more


class FormatError(Exception):
    """The files contradict themselves: not written by us, or damaged."""


class TooNew(FormatError):
    """Written by a later version of this program. Only that one knows how to read it."""


@dataclass(frozen=True, slots=True)
class Current:
    """Which generation counts."""

    version: int
    generation: int
    cdb_octets: int


@dataclass(frozen=True, slots=True)
class Header:
    """What a generation was made from."""

    instance: bytes  # 16 octets: the installation whose database it was
    change: int  # every change up to this number is in it


@dataclass(frozen=True, slots=True)
class Batch:
    """Changes that became valid together."""

    change: int
    records: tuple[Record, ...]


def cdb_name(generation: int) -> str:
    """The file of the constant database."""
    return f"{generation}.cdb"


def delta_name(generation: int) -> str:
    """The file of what changed since."""
    return f"{generation}.delta"


def generation_of(name: str) -> int | None:
    """Which generation the file *name* belongs to; None: it is none of theirs."""
    match = _FILE.match(name)
    return int(match[1]) if match else None


def pack_current(current: Current) -> bytes:
    """The octets of the file `current`."""
    fields = [MARK, b"%d" % current.version, b"%d" % current.generation, b"%d" % current.cdb_octets]
    return pack([*fields, _checksum(pack(fields), b"current")])


def unpack_current(octets: bytes, layouts: "Mapping[int, Layout] | None" = None) -> Current:
    """Read the file `current`.

    Raises:
        TooNew: its version is above all that *layouts* can read.
        FormatError: it is not such a file, or damaged.
    """
    known = LAYOUTS if layouts is None else layouts
    try:
        fields = unpack(octets)
        if fields[0] != MARK:
            raise FormatError("`current` is not a snapshot's")
        version = int(fields[1])
        if version not in known:
            kind = TooNew if version > max(known) else FormatError
            raise kind(f"the snapshot has format version {version}; this program reads up to {max(known)}")
        if fields[4] != _checksum(pack(fields[:4]), b"current"):
            raise FormatError("`current` is damaged")
        return Current(version, int(fields[2]), int(fields[3]))
    except (WireError, ValueError, IndexError) as error:
        raise FormatError("`current` is not a snapshot's") from error


def pack_header(header: Header) -> bytes:
    """The value under `HEADER_KEY`."""
    return pack([header.instance, b"%d" % header.change])


def unpack_header(octets: bytes | None) -> Header:
    """Read the value under `HEADER_KEY`.

    Raises:
        FormatError: there is none, or it is not one.
    """
    try:
        instance, change = unpack(octets or b"")
        return Header(instance, int(change))
    except (WireError, ValueError) as error:
        raise FormatError("a generation without a header") from error


def pack_batch(batch: Batch) -> bytes:
    """The payload of one frame.

    Raises:
        FormatError: more than one frame can hold; it wants a new generation.
    """
    parts = [_CHANGE.pack(batch.change)]
    for key, value in batch.records:
        octets = _TOMBSTONE if value is None else len(value)
        parts += (_ENTRY.pack(len(key), octets), key, value or b"")
    payload = b"".join(parts)
    if len(payload) > _MAX_BATCH:
        raise FormatError("a batch of more than 4 GiB")
    return payload


def unpack_batch(payload: bytes) -> Batch:
    """Read what `pack_batch` made.

    Raises:
        FormatError: nobody made it so.
    """
    try:
        (change,) = _CHANGE.unpack_from(payload)
        records: list[Record] = []
        position = _CHANGE.size
        while position < len(payload):
            key_octets, value_octets = _ENTRY.unpack_from(payload, position)
            start = position + _ENTRY.size
            position = start + key_octets
            key = payload[start:position]
            if value_octets == _TOMBSTONE:
                records.append((key, None))
                continue
            records.append((key, payload[position : position + value_octets]))
            position += value_octets
    except struct.error as error:
        raise FormatError("a batch that does not end where it says") from error
    if position != len(payload):
        raise FormatError("a batch that does not end where it says")
    return Batch(change, tuple(records))


def pack_frame(payload: bytes, generation: int, offset: int) -> bytes:
    """*payload* as it stands in the delta of *generation* at *offset*."""
    return _FRAME.pack(len(payload), _checksum(payload, _place(generation, offset))) + payload


def whole_frames(octets: bytes, generation: int, offset: int) -> Iterator[tuple[bytes, int]]:
    """Each whole frame in *octets*, which stand at *offset* of the delta: its payload and the offset behind it.

    Ends at the first frame that is not whole, or whose checksum is not right *here*: neither octets left over from
    another place or generation nor a writer's half-done work pass for a batch.
    """
    position = 0
    while position + _FRAME.size <= len(octets):
        length, checksum = _FRAME.unpack_from(octets, position)
        start, end = position + _FRAME.size, position + _FRAME.size + length
        payload = octets[start:end]
        if end > len(octets) or checksum != _checksum(payload, _place(generation, offset + position)):
            return
        yield payload, offset + end
        position = end


def wants_compaction(delta_octets: int, cdb_octets: int) -> bool:
    """Is the delta so long that a new generation is worth its writing? A reader holds the delta in memory."""
    return delta_octets > max(MIN_COMPACTION, min(cdb_octets // 4, MAX_DELTA))


def _place(generation: int, offset: int) -> bytes:
    return b"%d %d" % (generation, offset)


def _checksum(octets: bytes, place: bytes) -> bytes:
    return hashlib.blake2b(octets, digest_size=8, key=place).digest()


@dataclass(frozen=True, slots=True)
class Layout:
    """How one version is read by this program."""

    header: Callable[[bytes | None], Header] = unpack_header
    batch: Callable[[bytes], Batch] = unpack_batch
    # Turns a value as that version wrote it into today's; None when nothing is different, and costs nothing then.
    modernise: Callable[[bytes, bytes], bytes] | None = None


# An older version stays here for as long as an upgrade from it is promised.
LAYOUTS: Mapping[int, Layout] = {1: Layout(), 2: Layout(), 3: Layout(), 4: Layout(), FORMAT_VERSION: Layout()}
