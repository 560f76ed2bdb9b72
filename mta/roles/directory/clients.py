"""What DNS says about a client: is it on a list, and has its address a name that leads back to it?

A reader would otherwise get wrong: only an answer counts against a client. A list that is away, slow or answers nonsense, a
name server that fails, a resolver that is gone: all of it lets the client pass, and is soon asked again.
"""

import functools
import ipaddress
from collections.abc import Callable

from mta.record import dataclass, field
from mta.wire import messages as m
from mta.wire.asking import Asking

CHECK_SECONDS = 1.5  # for all questions about one client together: it waits at RCPT
KEPT_SECONDS = 300.0  # an answer
FAILED_KEPT_SECONDS = 30.0  # none
MAX_KEPT = 20_000  # clients, about 4 MB
MAX_CHECKS = 1000  # at once; who comes then is not checked
MAX_NAMES = 4  # of one address that are looked up again
_ERRORS = b"127.255.255."  # a list's way of saying that it does not answer us: not a listing

Hear = Callable[["Standing"], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a client."""

    listed_in: bytes = b""  # the first of our lists that names it
    is_nameless: bool = False


NOTHING_KNOWN = Standing()


@dataclass(slots=True)
class _Check:
    client: str
    deadline: float
    waiting: list[Hear] = field(default_factory=list)
    open: int = 0  # questions not yet answered
    listings: set[bytes] = field(default_factory=set)
    failed: bool = False  # any question
    is_nameless: bool = False  # as far as was heard
    has_name: bool = False  # or perhaps: one of several may be the one that could not be looked up


class Clients:
    """Asks the role resolver; the same about one client only once in a while, and never twice at the same time."""

    def __init__(
        self, asking: Asking, clock: Callable[[], float], zones: tuple[bytes, ...], *, wants_names: bool
    ) -> None:
        """*zones*: the DNS lists. *wants_names*: whether clients without a name of their own are told apart."""
        self.zones, self.wants_names = zones, wants_names
        self._asking, self._clock = asking, clock
        self._kept: dict[bytes, tuple[float, Standing]] = {}
        self._checks: dict[bytes, _Check] = {}

    def known(self, client: bytes) -> Standing | None:
        """What was found out a short while ago; None: ask with `check`."""
        if not self.zones and not self.wants_names:
            return NOTHING_KNOWN
        kept = self._kept.get(client)
        return kept[1] if kept is not None and kept[0] > self._clock() else None

    def check(self, client: bytes, hear: Hear) -> bool:
        """Find out; *hear* is told, but not before this returns. False: it cannot be found out now."""
        check = self._checks.get(client)
        if check is None:
            if len(self._checks) >= MAX_CHECKS:
                return False
            check = _Check(client.decode(errors="replace"), self._clock() + CHECK_SECONDS)
            if not self._begin(client, check):
                return False
            self._checks[client] = check
        check.waiting.append(hear)
        return True

    def _begin(self, client: bytes, check: _Check) -> bool:
        try:
            pointer = ipaddress.ip_address(check.client.partition("%")[0]).reverse_pointer
        except ValueError:
            return False
        reversed_address = pointer.encode().rpartition(b".")[0].rpartition(b".")[0]  # without in-addr.arpa, ip6.arpa
        for zone in self.zones:
            self._ask(client, check, reversed_address + b"." + zone, b"A", functools.partial(_heard_list, check, zone))
        if self.wants_names:
            self._ask(client, check, pointer.encode(), b"PTR", functools.partial(self._heard_names, client, check))
        return check.open > 0

    def _ask(
        self, client: bytes, check: _Check, name: bytes, kind: bytes, heard: Callable[[m.Found | None], None]
    ) -> None:
        def hear(answer: m.Message | None) -> None:
            found = answer if isinstance(answer, m.Found) and answer.outcome != b"failed" else None
            check.failed = check.failed or found is None
            heard(found)
            check.open -= 1
            if not check.open:
                self._end(client, check)

        seconds = max(0.0, check.deadline - self._clock())
        if self._asking.ask("resolver", lambda tag: m.LookUp(tag, name, kind), seconds, hear):
            check.open += 1
        else:
            check.failed = True

    def _heard_names(self, client: bytes, check: _Check, found: m.Found | None) -> None:
        names = found.records[:MAX_NAMES] if found else ()
        check.is_nameless = found is not None
        check.has_name = found is None
        kind = b"AAAA" if ":" in check.client else b"A"
        for name in names:
            if 0 < len(name) < 256:
                self._ask(client, check, name, kind, functools.partial(_heard_addresses, check))

    def _end(self, client: bytes, check: _Check) -> None:
        """Everything was answered, or its time is up."""
        listed = next((zone for zone in self.zones if zone in check.listings), b"")
        standing = Standing(listed, check.is_nameless and not check.has_name)
        if len(self._kept) >= MAX_KEPT:
            self._kept.clear()  # All at once, as elsewhere here: who fills it with rubbish fills it again anyway.
        until = self._clock() + (FAILED_KEPT_SECONDS if check.failed and not listed else KEPT_SECONDS)
        self._kept[client] = (until, standing)
        del self._checks[client]
        for hear in check.waiting:
            hear(standing)


def _heard_list(check: _Check, zone: bytes, found: m.Found | None) -> None:
    if found is not None and any(
        record.startswith(b"127.") and not record.startswith(_ERRORS) for record in found.records
    ):
        check.listings.add(zone)


def _heard_addresses(check: _Check, found: m.Found | None) -> None:
    check.has_name = check.has_name or found is None
    for record in found.records if found else ():
        try:
            is_same = ipaddress.ip_address(record.decode()) == ipaddress.ip_address(check.client.partition("%")[0])
        except ValueError:
            continue
        check.has_name = check.has_name or is_same
