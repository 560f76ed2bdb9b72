"""What there is to tell: sessions by day, domain, policy, host and result. Values in, values out, and octets for the file.

A reader would otherwise get wrong: a day is one of UTC, and what it is to be told of is over when the day is. Counts that come
late belong to the day in which the sessions were.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from mta.security.reporting import POLICIES, RESULTS
from mta.vocabulary import is_domain
from mta.wire import messages as m
from mta.wire.netstring import WireError, pack, unpack

DAY: Final = 86_400  # seconds
KEPT_DAYS: Final = 2  # before today
MAX_DOMAINS: Final = 20_000  # of one day; of more nothing is told
MAX_ROWS: Final = 40_000  # of all days together
MAX_ROWS_EACH: Final = 60  # of one domain and day; what would be more is counted without the host's name
MAX_MX: Final = 255

Row = tuple[bytes, bytes, bytes]  # policy, host, result
_FIELDS: Final = 6


class Counts:
    """All of them."""

    def __init__(self) -> None:
        self.changes = 0
        self._days: dict[int, dict[bytes, Counter[Row]]] = {}
        self._rows = 0

    def add(self, seen: m.TlsSeen, today: int) -> None:
        """So many sessions more; what makes no sense, or is as old as to be told already, is left out."""
        if not today - KEPT_DAYS <= seen.day <= today or not _is_sound(seen):
            return
        day = self._days.setdefault(seen.day, {})
        if self._rows >= MAX_ROWS or (seen.domain not in day and len(day) >= MAX_DOMAINS):
            return
        rows = day.setdefault(seen.domain, Counter())
        row = seen.policy, seen.mx, seen.result
        if row not in rows and len(rows) >= MAX_ROWS_EACH:
            row = seen.policy, b"", seen.result
        self._rows += row not in rows
        rows[row] += seen.sessions
        self.changes += 1

    def due(self, today: int) -> Iterator[tuple[int, bytes]]:
        """Days that are over, and domains that are to be told of them; the oldest first."""
        for day in sorted(self._days):
            if day < today:
                yield from ((day, domain) for domain in list(self._days[day]))

    def of(self, day: int, domain: bytes) -> Counter[Row]:
        """What is to be told of *domain* and *day*."""
        return self._days.get(day, {}).get(domain, Counter())

    def forget(self, day: int, domain: bytes) -> None:
        """It was told, or nobody wants to know."""
        self._rows -= len(self._days.get(day, {}).pop(domain, ()))
        if not self._days.get(day, True):
            del self._days[day]
        self.changes += 1

    def packed(self, most: int) -> bytes:
        """All of it, for the file; of what *most* octets have no room for, the newest is left out."""
        packets: list[bytes] = []
        for day, domains in sorted(self._days.items()):
            for domain, rows in domains.items():
                for row, sessions in rows.items():
                    packet = pack((b"%d" % day, domain, *row, b"%d" % sessions))
                    most -= len(packet)
                    if most < 0:
                        return b"".join(packets)
                    packets.append(packet)
        return b"".join(packets)

    def restore(self, octets: bytes, today: int) -> None:
        """What `packed` gave when the process ended; from a file that somebody who had taken us over may have written."""
        try:
            fields = unpack(octets, max_fields=_FIELDS * MAX_ROWS)
        except WireError:
            return
        for at in range(0, len(fields) - _FIELDS + 1, _FIELDS):
            day, domain, policy, mx, result, sessions = fields[at : at + _FIELDS]
            if len(day) <= 9 and day.isdigit() and len(sessions) <= 18 and sessions.isdigit():
                self.add(m.TlsSeen(int(day), domain, policy, mx, result, int(sessions)), today)


def _is_sound(seen: m.TlsSeen) -> bool:
    try:
        is_named = is_domain(seen.domain.decode("ascii"))
    except UnicodeDecodeError:
        return False
    is_of_a_kind = seen.policy in POLICIES and seen.result in RESULTS
    return is_named and is_of_a_kind and seen.sessions > 0 and len(seen.mx) <= MAX_MX and seen.mx.isascii()
