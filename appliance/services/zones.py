"""Time zones by their IANA names (RFC 6557), and whose zone is which.

A reader would otherwise get wrong: they are all read when the process starts, since after it has entered its sandbox it opens no
file of the system any more. A zone is taken apart only when somebody wants it.
"""

import datetime as dt
import functools
import io
import zoneinfo
from pathlib import Path

from appliance.database.session import Session
from appliance.errors import Invalid
from appliance.services import persons, second_factors
from appliance.services.actor import Actor

__all__ = ["UTC", "choose", "names", "zone"]

UTC = "UTC"
MAX_OCTETS = 16_384  # of one zone's file; the longest has four thousand
_PLACES = ("Africa", "America", "Antarctica", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@functools.cache
def _files() -> dict[str, bytes]:
    """What is known of each place, as in its file (RFC 8536)."""
    found: dict[str, bytes] = {}
    for folder in map(Path, reversed(zoneinfo.TZPATH)):
        for place in _PLACES:
            for file in sorted((folder / place).rglob("*")):
                if file.is_file() and file.stat().st_size <= MAX_OCTETS:
                    content = file.read_bytes()
                    if content.startswith(b"TZif"):
                        found[file.relative_to(folder).as_posix()] = content
    return found


@functools.cache
def names() -> tuple[str, ...]:
    """All that may be chosen."""
    return (UTC, *sorted(_files()))


@functools.lru_cache(maxsize=64)
def zone(name: str) -> dt.tzinfo:
    """The zone called *name*; UTC where it is none that is known (any more)."""
    content = _files().get(name)
    return dt.UTC if content is None else zoneinfo.ZoneInfo.from_file(io.BytesIO(content), key=name)


def choose(session: Session, name: str, *, actor: Actor) -> None:
    """Have all times shown to the actor in this zone.

    Raises:
        Invalid: there is no such zone.
        NotFound, Forbidden: as `persons.own`.
    """
    person = persons.own(session, actor)
    if name not in names():
        raise Invalid("there is no such time zone", code="bad_time_zone", field="time_zone")
    second_factors.own_settings(session, person).time_zone = name
    session.flush()
