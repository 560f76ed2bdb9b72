"""What ties each audit entry to the one before it, so that none can be changed, left out or put in between unnoticed.

A reader would otherwise get wrong: the chain alone does not show that its *end* was cut off, or that all of it was made anew.
For that somebody who cannot write the other must remember where it ended: the compiler does, in a file below snapshot/, where
the web process has nothing to say (`Anchor`).

Neither SQLAlchemy nor the models are wanted here: the compiler writes entries too, and must stay small.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEGINNING = "0" * 64  # what the first entry is tied to
FILE = "audit-end"  # of an anchor, below the snapshot's folder
_NOT_TOLD = frozenset({"id", "digest"})


def link(previous: str, entry: Mapping[str, Any]) -> str:
    """The digest of *entry* (columns and values) behind an entry whose digest is *previous*: SHA-256 in hexadecimal digits.

    What is None counts as not there, so a column that comes later leaves old digests as they were.
    """
    told = {name: value for name, value in entry.items() if value is not None and name not in _NOT_TOLD}
    # Once out and back, so that a tuple or a number as a key counts as what the database gives back of it.
    plain = json.loads(json.dumps(told))
    octets = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii")
    return hashlib.sha256(previous.encode("ascii") + octets).hexdigest()


@dataclass(frozen=True, slots=True)
class Anchor:
    """An entry that was there, and must be for ever."""

    id: int
    digest: str


def read_anchor(folder: Path) -> Anchor | None:
    """What was remembered below *folder*; None: nothing yet, or nothing that makes sense.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        number, _, digest = (folder / FILE).read_text(encoding="ascii").strip().partition(" ")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return Anchor(int(number), digest) if number.isdigit() and len(digest) == len(BEGINNING) else None


def write_anchor(folder: Path, anchor: Anchor) -> None:
    """Remember *anchor*, in place of the one before.

    Raises:
        OSError: no.
    """
    fresh = folder / f"{FILE}.new"
    # Not synced: after a power cut an older one is as true.
    fresh.write_text(f"{anchor.id} {anchor.digest}\n", encoding="ascii")
    os.replace(fresh, folder / FILE)  # noqa: PTH105 - Path.replace() does the same, and hides which comes last
