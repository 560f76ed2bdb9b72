"""What a domain's own policies and a route want of its hosts: DANE, MTA-STS, as `mta.security` reads them.

A reader would otherwise get wrong: no answer about TLSA records is not "no records". It closes the host, for else whoever can
drop a datagram could take the demand away; about an MTA-STS policy it is the fetcher who remembers, and says what holds, and
whoever keeps it from answering closes the host as well.
"""

import datetime as dt
import ssl
import time
from collections.abc import Callable
from typing import Final

from mta.roles.remote.hosts import LOOK_UP_SECONDS, Host
from mta.roles.remote.outcome import Outcome, delayed
from mta.roles.remote.security import Contexts, Level, Security
from mta.security import demands, handshake
from mta.security.demands import Decision, Demand, Knowledge, Refusal
from mta.security.reporting import OPTIONAL, STS, TLSA, Result, Tally, result_of
from mta.security.sts import Policy
from mta.wire import messages as m
from mta.wire.asking import Asking

FRESH_SECONDS: Final = 60.0  # so long a decision about a host is good for further connections
FETCH_SECONDS: Final = 70.0  # a visit to a web server may take a minute (RFC 8461 3.3)

_UNKNOWN: Final = Refusal(demands.BROKEN, "nobody knows now which policy its domain has", Result.FETCH_ERROR)
_LEVELS: Final = {
    demands.Level.CLEAR: Level.NONE,
    demands.Level.MAY: Level.MAY,
    # Any certificate will do, but one must be shown: for the connection that is a demand like DANE, with an easier judge.
    demands.Level.ENCRYPT: Level.DANE,
    demands.Level.VERIFY: Level.VERIFY,
    demands.Level.DANE: Level.DANE,
}

Hear = Callable[[Security | Outcome], None]
_Key = tuple[bytes, int, bool, bool]  # name and port; were MX and addresses signed?


class PolicyGuard:
    """For the mail of *domain* that goes by the route's demand *tls* (empty: none was made), to a next hop or by MX."""

    def __init__(
        self, asking: Asking, contexts: Contexts, tally: Tally, domain: bytes, tls: bytes, *, is_fixed: bool,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._asking, self._contexts, self._tally, self._now = asking, contexts, tally, now
        self._domain, self._tls, self._is_fixed = (
            domain.decode("ascii", "replace"),
            tls.decode() or demands.MAY,
            is_fixed,
        )
        self._decided: dict[_Key, tuple[float, Security | Outcome]] = {}
        self._waiting: dict[_Key, list[Hear]] = {}

    def decide(self, host: Host, hear: Hear) -> None:
        """As in `Guard`."""
        key = host.name, host.port, host.is_mx_secure, host.is_address_secure
        known = self._decided.get(key)
        if known is not None and known[0] > self._now():
            hear(known[1])
        elif key in self._waiting:
            self._waiting[key].append(hear)
        else:
            self._waiting[key] = [hear]
            self._find_policy(lambda policy: self._ask(key, host, policy))

    def _find_policy(self, hear: Callable[[Policy | Refusal | None], None]) -> None:
        """The MTA-STS policy in force, where one could count; or that nobody knows it now, and mail had better wait."""

        def heard(answer: m.Message | None) -> None:
            if not isinstance(answer, m.Fetched):
                hear(_UNKNOWN)
                return
            if answer.mode == b"none":
                hear(None)
                return
            patterns = tuple(each.decode("ascii", "replace") for each in answer.patterns)
            hear(Policy(answer.mode.decode("ascii", "replace"), answer.max_age, patterns))

        domain = self._domain.encode()
        is_wanted = self._tls == demands.MAY and not self._is_fixed
        if not is_wanted or not self._asking.ask("fetcher", lambda tag: m.Fetch(tag, domain), FETCH_SECONDS, heard):
            hear(None)

    def _ask(self, key: _Key, host: Host, policy: Policy | Refusal | None) -> None:
        if isinstance(policy, Refusal):
            self._settle(key, policy)
            return
        known = Knowledge(self._domain, self._tls, self._is_fixed, host.is_mx_secure, policy)
        name = host.name.decode("ascii", "replace")
        self._drive(key, demands.of_host(known, name, host.port, is_address_secure=host.is_address_secure), None)

    def _drive(self, key: _Key, decision: Decision, answer: m.Message | None) -> None:
        """Put its questions to resolver until it has made up its mind."""
        found = answer if isinstance(answer, m.Found) else None
        while True:
            try:
                name, kind = decision.send(found)
            except StopIteration as end:
                self._settle(key, end.value)
                return

            def make(tag: int, name: bytes = name, kind: bytes = kind) -> m.Message:
                return m.LookUp(tag, name, kind)

            if self._asking.ask("resolver", make, LOOK_UP_SECONDS, lambda said: self._drive(key, decision, said)):
                return
            found = None  # Nobody is there to be asked.

    def _settle(self, key: _Key, decided: Demand | Refusal) -> None:
        mx = key[0].decode("ascii", "replace")
        if isinstance(decided, Refusal):
            is_of_sts = decided.result in (Result.VALIDATION_FAILURE, Result.FETCH_ERROR)
            self._count(STS if is_of_sts else TLSA, mx, decided.result)
            found: Security | Outcome = delayed(decided.status.encode(), decided.text.encode())
        else:
            found = self._security(decided, mx)
        self._decided[key] = self._now() + FRESH_SECONDS, found
        for hear in self._waiting.pop(key):
            hear(found)

    def _security(self, demand: Demand, mx: str) -> Security:
        context = self._contexts.verifying if demand.level is demands.Level.VERIFY else self._contexts.trusting

        def judge(tls: ssl.SSLObject) -> str:
            refusal = handshake.judge(demand, tls, dt.datetime.now(dt.UTC))
            return refusal.text if refusal is not None else ""

        weaker = demand.weaker()
        return Security(
            _LEVELS[demand.level], context, demand.server_name, judge,
            lambda why: self._count(demand.policy, mx, result_of(why)),
            weaker=self._security(weaker, mx) if weaker is not None else None,
            is_authenticated=demand.allows_requiretls,
        )  # fmt: skip

    def _count(self, policy: str, mx: str, result: Result) -> None:
        if self._tls != OPTIONAL:  # RFC 8460 3: no report tells of how a report went.
            self._tally.count(policy, mx, result)
