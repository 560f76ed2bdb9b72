"""For how long it is remembered what became of each domain's messages: told to the journal, from which tracer has all it knows.

A reader would otherwise get wrong: tracer asks nobody, and keeps what it was told last. So at each start all of it is told anew,
behind a word that what was told before counts no more; later only what is different. Where no tenant says anything of his
own, nothing is.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from appliance.compile.source import Query

LOOK_SECONDS = 60.0
AT_ONCE = 1000  # domains told at one look; the rest at the next
ALL = "*"  # of all domains what was told before counts no more
HOSTS_OWN = 0  # in place of days


class Ways(Protocol):
    """What is needed of `mta.wire.control.Peers`."""

    def event(self, name: str, **pairs: bytes | str | int) -> None:
        """Tell the journal."""


class Owner(Protocol):
    """What is needed of the compiler."""

    @property
    def peers(self) -> Ways:
        """The ways to others, once they are there."""

    def read(self, act: Callable[[Query], None]) -> bool:
        """*act* on one state of the database; False when it is away."""

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """Call *callback* in *seconds*."""


class Retention:
    """Looks, and tells what is different."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._told: dict[str, int] | None = None

    def begin(self) -> None:
        """Look now, and from now on."""
        self._owner.read(self.look)
        self._owner.later(LOOK_SECONDS, self.begin)

    def look(self, query: Query) -> None:
        """Tell what is different."""
        wanted = dict(days_of_domains(query))
        if self._told is None:
            self._owner.peers.event("trace-days", domain=ALL, days=HOSTS_OWN)
            self._told = {}
        if wanted:
            # What is ours no more is told no more; what is remembered of it goes when it would have gone.
            self._told = {domain: days for domain, days in self._told.items() if domain in wanted}
        else:
            wanted = dict.fromkeys(self._told, HOSTS_OWN)  # Nobody says anything of his own any more.
        different = [(domain, days) for domain, days in wanted.items() if self._told.get(domain) != days]
        for domain, days in different[:AT_ONCE]:
            self._owner.peers.event("trace-days", domain=domain, days=days)
            self._told[domain] = days


def days_of_domains(query: Query) -> Iterator[tuple[str, int]]:
    """Each domain with the days of the nearest tenant upward that says some, or HOSTS_OWN; nothing where none does."""
    tenants = {id_: (parent, days) for id_, parent, days in query.rows("SELECT id, parent_id, trace_days FROM tenant")}
    if not any(days for _, days in tenants.values()):
        return
    for name, tenant_id in query.rows("SELECT name, tenant_id FROM domain WHERE proved_at IS NOT NULL ORDER BY id"):
        found, current = None, tenant_id
        while found is None and current is not None:
            current, found = tenants[current]
        yield name, found or HOSTS_OWN
