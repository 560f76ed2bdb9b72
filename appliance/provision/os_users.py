"""Which numbers the roles run under. No entries in /etc/passwd are needed or made.

A reader would otherwise get wrong: a uid's number says nothing by itself; the distance from `host.uid_base` does. The base is
chosen once, by `init`, from what this host (or container) has.
"""

import os
from pathlib import Path

from appliance.config import DEFAULT_UID_BASE
from appliance.errors import Unable
from mta import roster

SMALLEST_BASE = 70_000  # above the users of this host and the 16-bit numbers that distributions give to services
SPAN = roster.DOMAIN_UIDS_FROM + roster.DOMAIN_UIDS
ENOUGH_DOMAINS = 1000


def is_root() -> bool:
    """Can we give every role its own uid?"""
    return os.geteuid() == 0


def uid_of(role: str, uid_base: int) -> int:
    """The role's uid; root's for an empty name."""
    return uid_base + roster.role_named(role).number if role else 0


def choose_uid_base(uid_map: Path = Path("/proc/self/uid_map")) -> int:
    """The default, or the highest below it that fits into what the user namespace maps.

    Raises:
        Unable: as root in a namespace too small for roles and domains.
    """
    end = _mapped_from_zero(uid_map)
    if end >= DEFAULT_UID_BASE + SPAN:
        return DEFAULT_UID_BASE
    for span in (SPAN, roster.DOMAIN_UIDS_FROM + ENOUGH_DOMAINS):
        base = (end - span) // 1000 * 1000
        if base >= SMALLEST_BASE:
            return base
    if not is_root():
        return DEFAULT_UID_BASE  # Never used: all roles share the caller's uid.
    raise Unable(
        f"this container maps only {end} uids; roles and domains want"
        f" {SMALLEST_BASE + roster.DOMAIN_UIDS_FROM + ENOUGH_DOMAINS}: give it more (subuid, UserNS)",
        code="few_uids",
    )


def _mapped_from_zero(uid_map: Path) -> int:
    """How many uids, counted from 0 without a gap, exist here."""
    try:
        lines = [line.split() for line in uid_map.read_text().splitlines()]
    except OSError:
        return 1 << 32  # No /proc, no namespace to ask about: believe in the whole range.
    end = 0
    for inside, _, count in sorted((int(a), int(b), int(c)) for a, b, c in lines):
        if inside > end:
            break
        end = max(end, inside + count)
    return end
