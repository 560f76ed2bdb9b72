"""What remotes ask, answered once the record was looked up and, where it says something new, the policy was fetched.

A reader would otherwise get wrong: an answer may take a minute, and the mail waits for it. Without it the first message to a
domain would go by whatever an attacker shows, and the second by the policy.
"""

import contextlib
import os
import ssl
from collections.abc import Callable, Sequence
from typing import Final

from mta.roles.fetcher.addresses import usable
from mta.roles.fetcher.memory import Known, Memory
from mta.roles.fetcher.shelf import Kept, Shelf
from mta.roles.fetcher.visit import HTTPS_PORT, Visit
from mta.security.reporting import Result
from mta.security.sts import PolicyError, read_policy, record_id
from mta.vocabulary import is_domain
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.loop import Loop

MAX_FLIGHTS: Final = 1000  # domains that something is found out about
MAX_OF_ONE: Final = 2  # that one remote may wait for; it has one domain's mail, and so asks about one
MAX_ASKED: Final = 100  # questions of one remote at a time: one for each host that it thinks of
MAX_VISITS: Final = 50  # web servers that are spoken to at once
MAX_ADDRESSES: Final = 4  # of one web server that are tried
LOOK_UP_SECONDS: Final = 5.0
REFRESH_INTERVAL: Final = 60.0
REFRESHED_AT_ONCE: Final = 20
ANSWER_SECONDS: Final = (
    60.0  # whoever asked hears by then what is known, however many servers are silent (RFC 8461 3.3)
)
KEEP_SECONDS: Final = 2.0  # from a policy that was fetched to the file that it stands in
QUIET_SECONDS: Final = 3600.0  # between two lines of the journal about one domain

_HOST: Final = "mta-sts."  # RFC 8461 3.3
_RECORD: Final = "_mta-sts."  # RFC 8461 3.1


class Desk:
    """Asks through *asking*. *clock* counts seconds since 1970; *port*, and *private_too*, are for tests."""

    def __init__(
        self, loop: Loop, asking: Asking, authorities: ssl.SSLContext, clock: Callable[[], float], *,
        shelf: Shelf | None = None, private_too: bool = False, port: int = HTTPS_PORT,
    ) -> None:  # fmt: skip
        self.memory = Memory()
        self._shelf, self._kept = shelf, 0
        self._loop, self._asking, self._authorities, self._clock = loop, asking, authorities, clock
        self._private_too, self._port = private_too, port
        self._flights: dict[str, list[tuple[Channel, int]]] = {}
        self._visits = 0
        self._waiting: list[Callable[[], None]] = []
        self._told: dict[str, float] = {}
        if shelf is not None:
            self._restore(shelf)
            loop.call_later(KEEP_SECONDS, self._keep_again)
        loop.call_later(REFRESH_INTERVAL, self._refresh)

    def asked(self, channel: Channel, packet: Packet) -> None:
        """A `Fetch` of a remote."""
        question = packet[0]
        if not isinstance(question, m.Fetch):
            channel.close()
            return
        domain = question.domain.decode("ascii", "replace").lower()
        if not self._is_modest(channel, domain):
            channel.close()  # It was taken over, and would keep others from their policies.
            return
        if not is_domain(domain):
            self._answer(channel, question.tag, domain, None)
        elif domain in self._flights:
            askers = self._flights[domain]
            askers.append((channel, question.tag))
            self._loop.call_later(ANSWER_SECONDS, lambda: self._lose_patience(domain, askers))
        elif len(self._flights) >= MAX_FLIGHTS:
            self._answer(channel, question.tag, domain, Result.FETCH_ERROR)
        else:
            self._begin(domain, [(channel, question.tag)])

    def _is_modest(self, remote: Channel, domain: str) -> bool:
        """Does *remote* ask about no more domains, and *domain* no more often, than a remote has cause to?"""
        waits = [name for name, askers in self._flights.items() for asker, _ in askers if asker is remote]
        return len({*waits, domain}) <= MAX_OF_ONE and len(waits) < MAX_ASKED

    # --- one domain

    def _begin(self, domain: str, askers: list[tuple[Channel, int]]) -> None:
        self._flights[domain] = askers
        self._loop.call_later(ANSWER_SECONDS, lambda: self._lose_patience(domain, askers))
        if not self._look_up(_RECORD + domain, b"TXT", lambda answer: self._announced(domain, answer)):
            self._land(domain, None)

    def _lose_patience(self, domain: str, askers: list[tuple[Channel, int]]) -> None:
        """What was known before still holds: else who can make servers silent would make a policy forgotten."""
        waiting, askers[:] = list(askers), ()
        for channel, tag in waiting:
            self._answer(channel, tag, domain, Result.FETCH_ERROR)

    def _announced(self, domain: str, answer: m.Message | None) -> None:
        """The record is there, or it is not; then what was known before still holds (RFC 8461 5.1)."""
        now, known = self._clock(), self.memory.get(domain, self._clock())
        id_ = record_id(answer.records) if isinstance(answer, m.Found) else ""
        is_wanted = bool(id_) and (known is None or known.id != id_ or self._is_stale(domain, known))
        if not is_wanted:
            self._land(domain, None)
            return
        has_failed = self.memory.has_failed(domain, id_, now)
        if has_failed or not self._look_up(_HOST + domain, b"A", lambda found: self._four(domain, id_, found)):
            self._land(domain, Result.FETCH_ERROR)

    def _is_stale(self, domain: str, known: Known) -> bool:
        return not self._flights[domain] and known.until > self._clock()  # Nobody waits: it is a refreshment.

    def _four(self, domain: str, id_: str, answer: m.Message | None) -> None:
        four = answer.records if isinstance(answer, m.Found) else ()

        def six(found: m.Message | None) -> None:
            self._found(domain, id_, (*four, *(found.records if isinstance(found, m.Found) else ())))

        if not self._look_up(_HOST + domain, b"AAAA", six):
            six(None)

    def _found(self, domain: str, id_: str, records: Sequence[bytes]) -> None:
        found = (usable(record, private_too=self._private_too) for record in records)
        addresses = [address for address in found if address][:MAX_ADDRESSES]
        self._waiting.append(
            lambda: self._visit(domain, id_, addresses, Result.FETCH_ERROR, "it has no public address")
        )
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._visits < MAX_VISITS:
            self._visits += 1
            self._waiting.pop(0)()

    def _visit(self, domain: str, id_: str, addresses: list[str], found: bytes | Result, why: str) -> None:
        """Try the first of *addresses*; with none left, *found* is what there is."""
        if not addresses or isinstance(found, bytes) or found is not Result.FETCH_ERROR:
            self._visits -= 1
            self._conclude(domain, id_, found, why)
            self._go_on()
            return

        def hear(found: bytes | Result, why: str) -> None:
            self._visit(domain, id_, addresses[1:], found, why)

        Visit(self._loop, self._authorities, _HOST + domain, addresses[0], hear, port=self._port)

    def _conclude(self, domain: str, id_: str, found: bytes | Result, why: str) -> None:
        if isinstance(found, bytes):
            try:
                self.memory.put(domain, read_policy(found), id_, self._clock())
            except PolicyError as error:
                found, why = Result.POLICY_INVALID, str(error)
            else:
                self._land(domain, None)
                return
        self.memory.fail(domain, id_, self._clock())
        self._complain(domain, found, why)
        self._land(domain, found)

    def _land(self, domain: str, trouble: Result | None) -> None:
        askers = self._flights.pop(domain)
        waiting, askers[:] = list(askers), ()
        for channel, tag in waiting:
            self._answer(channel, tag, domain, trouble)

    def _answer(self, channel: Channel, tag: int, domain: str, trouble: Result | None) -> None:
        now, known = self._clock(), self.memory.get(domain, self._clock())
        word = trouble.value.encode() if trouble is not None else b""
        answer = m.Fetched(tag, b"none", 0, word, ())
        if known is not None:
            patterns = tuple(pattern.encode() for pattern in known.policy.patterns)
            answer = m.Fetched(tag, known.policy.mode.encode(), int(known.until - now), word, patterns)
        with contextlib.suppress(ChannelClosed):  # Whoever asked is gone; the next one asks anew.
            channel.send(answer)

    # --- over a restart

    def _restore(self, shelf: Shelf) -> None:
        now = self._clock()
        # What was fetched tomorrow comes of a clock that was wrong then, or is now: it is looked at anew when it is used.
        kept = [each for each in shelf.load() if each.fetched <= now < each.until]
        self.memory.restore((each.domain, Known(each.policy, each.id, each.until, each.fetched)) for each in kept)

    def keep(self) -> None:
        """Write down what changed since the last time."""
        if self._shelf is None or self._kept == self.memory.changes:
            return
        self._kept = self.memory.changes
        try:
            self._shelf.store(
                Kept(domain, each.id, each.until, each.fetched, each.policy) for domain, each in self.memory
            )
        except OSError as error:
            self._asking.peers.event("policies-not-kept", why=os.strerror(error.errno or 0))

    def _keep_again(self) -> None:
        self.keep()
        self._loop.call_later(KEEP_SECONDS, self._keep_again)

    # --- what is needed for that

    def _look_up(self, name: str, kind: bytes, hear: Callable[[m.Message | None], None]) -> bool:
        octets = name.encode()
        return self._asking.ask("resolver", lambda tag: m.LookUp(tag, octets, kind), LOOK_UP_SECONDS, hear)

    def _refresh(self) -> None:
        """Fetch again what would run out some day; whoever sends there then never waits, nor is without."""
        for domain in self.memory.stale(self._clock(), REFRESHED_AT_ONCE):
            if domain not in self._flights:
                self._begin(domain, [])
        self._loop.call_later(REFRESH_INTERVAL, self._refresh)

    def _complain(self, domain: str, result: Result, why: str) -> None:
        now = self._clock()
        if now - self._told.get(domain, float("-inf")) < QUIET_SECONDS:
            return
        if len(self._told) >= MAX_FLIGHTS:
            self._told.clear()
        self._told[domain] = now
        self._asking.peers.event("policy-trouble", domain=domain, result=result.value, why=why)
