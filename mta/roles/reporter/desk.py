"""The judgement of reporter: when a day is told of, whom, and what must be known for it; one domain after the other.

A reader would otherwise get wrong: nothing is told at midnight. Each house waits its own part of four hours (RFC 8460 4.1), so that
not all of the world writes to one domain in the same second, and always the same part, so that a restart changes nothing.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from mta.message.dkim.canonical import BodyHash
from mta.message.tls_reports import TlsReport, compose_tls_report
from mta.places import Places
from mta.record import dataclass
from mta.roles.reporter.counts import DAY, Counts, Row
from mta.roles.reporter.document import Policies, document_of
from mta.security.reporting import STS, TLSA, Result
from mta.security.tlsrpt import RECORD, addresses_of
from mta.wire import messages as m
from mta.wire.asking import Asking
from mta.wire.channel import Channel, Packet
from mta.wire.loop import Loop

SPREAD_SECONDS: Final = 4 * 3600  # RFC 8460 4.1
KEEP_SECONDS: Final = 10.0  # from a count to the file that it stands in
FIRST_SECONDS: Final = 2.0  # from the start to the first look at what is due
LOOK_SECONDS: Final = 60.0  # between two looks
RETRY_SECONDS: Final = 900.0
TRIED_SECONDS: Final = DAY  # RFC 8460 5.5
LOOK_UP_SECONDS: Final = 5.0
FETCH_SECONDS: Final = 70.0  # as long as a visit to a web server may take
ANSWER_SECONDS: Final = 30.0  # of signer and enqueuer
MAX_TLSA: Final = 10  # hosts whose records are looked up for one report
MAX_TLSA_RECORDS: Final = 10  # of each
BLOCK: Final = 32 * 1024
SMTP_PORT: Final = 25

Step = Iterator[None]


@dataclass(frozen=True, slots=True)
class House:
    """Who reports."""

    name: bytes  # of the host
    contact: bytes  # an address


class Desk:
    """Tells what *counts* has through *asking*. *clock* counts seconds since 1970."""

    def __init__(
        self, loop: Loop, asking: Asking, house: House, places: Places | None, clock: Callable[[], float]
    ) -> None:
        self.counts = Counts()
        self._loop, self._asking, self._house, self._places, self._clock = loop, asking, house, places, clock
        self._kept = 0
        self._work: tuple[int, bytes] | None = None
        self._not_before: dict[tuple[int, bytes], float] = {}
        self._told: dict[tuple[int, bytes], set[bytes]] = {}  # addresses that have theirs, while another waits
        if places is not None:
            self.counts.restore(places.load(), self._today)
            self._kept = self.counts.changes
            loop.call_later(KEEP_SECONDS, self._keep_again)
        loop.call_later(FIRST_SECONDS, self._look_again)

    @property
    def _today(self) -> int:
        return int(self._clock()) // DAY

    def seen(self, _channel: Channel, packet: Packet) -> None:
        """A `TlsSeen` of remotespawn."""
        message = packet[0]
        assert isinstance(message, m.TlsSeen)
        self.counts.add(message, self._today)

    # --- over a restart

    def keep(self) -> None:
        """Write down what changed since the last time."""
        if self._places is None or self._kept == self.counts.changes:
            return
        self._kept = self.counts.changes
        try:
            self._places.store(self.counts.packed(self._places.room))
        except OSError as error:
            self._asking.peers.event("tls-counts-not-kept", why=os.strerror(error.errno or 0))

    def _keep_again(self) -> None:
        self.keep()
        self._loop.call_later(KEEP_SECONDS, self._keep_again)

    # --- whose turn it is

    def _look_again(self) -> None:
        self.look()
        self._loop.call_later(LOOK_SECONDS, self._look_again)

    def look(self) -> None:
        """Begin with the next domain that is due, if none is in hand."""
        now = self._clock()
        for day, domain in self.counts.due(self._today) if self._work is None else ():
            begin = (day + 1) * DAY + delay_of(self._house.name)
            if now >= begin + TRIED_SECONDS:
                self._drop(day, domain, "it could not be made within a day")
            elif now >= max(begin, self._not_before.get((day, domain), 0.0)):
                self._work = (day, domain)
                self._ask_who(day, domain)
                return

    def _drop(self, day: int, domain: bytes, why: str) -> None:
        self._asking.peers.event("tls-report-dropped", domain=domain, why=why)
        self._forget(day, domain)

    def _forget(self, day: int, domain: bytes) -> None:
        self.counts.forget(day, domain)
        self._not_before.pop((day, domain), None)
        self._told.pop((day, domain), None)

    def _next(self) -> None:
        """What was in hand is done, or put off."""
        self._work = None
        self._loop.call_later(0.0, self.look)

    def _put_off(self, day: int, domain: bytes) -> None:
        self._not_before[day, domain] = self._clock() + RETRY_SECONDS
        self._next()

    # --- one domain: who wants to know, what was in force, the mail

    def _ask_who(self, day: int, domain: bytes) -> None:
        def heard(answer: m.Message | None) -> None:
            if not isinstance(answer, m.Found) or answer.outcome == b"failed":
                self._put_off(day, domain)
                return
            addresses = addresses_of(answer.records if answer.outcome == b"answer" else ())
            told = self._told.get((day, domain), set())
            left = tuple(address for address in addresses if address not in told)
            if left:
                self._ask_policy(Telling(day, domain, left, self.counts.of(day, domain)))
            else:
                self._forget(day, domain)
                self._next()

        if not self._look_up(RECORD.encode() + domain, b"TXT", heard):
            self._put_off(day, domain)

    def _ask_policy(self, telling: "Telling") -> None:
        """The MTA-STS policy, where one counted."""
        if not any(policy == STS.encode() for policy, _, _ in telling.rows):
            self._ask_tlsa(telling, telling.hosts(TLSA))
            return

        def heard(answer: m.Message | None) -> None:
            if isinstance(answer, m.Fetched) and answer.mode != b"none":
                telling.know_policy(answer)
            self._ask_tlsa(telling, telling.hosts(TLSA))

        if not self._asking.ask("fetcher", lambda tag: m.Fetch(tag, telling.domain), FETCH_SECONDS, heard):
            heard(None)

    def _ask_tlsa(self, telling: "Telling", hosts: list[bytes]) -> None:
        """The TLSA records of *hosts*, one host after the other."""
        if not hosts:
            self._write(telling)
            return

        def heard(answer: m.Message | None) -> None:
            if isinstance(answer, m.Found) and answer.secure:
                found = (record.decode("ascii", "replace") for record in answer.records[:MAX_TLSA_RECORDS])
                telling.tlsa[hosts[0]] = tuple(found)
            self._ask_tlsa(telling, hosts[1:])

        if not self._look_up(b"_%d._tcp.%b" % (SMTP_PORT, hosts[0]), b"TLSA", heard):
            heard(None)

    def _write(self, telling: "Telling") -> None:
        if not telling.addresses:
            self._forget(telling.day, telling.domain)
            self._next()
            return
        recipient = telling.addresses[0]
        header, body = compose_tls_report(telling.report(self._house, recipient, int(self._clock())))
        hashed = BodyHash()
        hashed.update(body)
        digest = hashed.digest()

        def heard(answer: m.Message | None) -> None:
            word = answer.word if isinstance(answer, m.Signed) else b"later"
            if isinstance(answer, m.Signed) and word == b"signed":
                self._offer(telling, recipient, answer.fields + header + b"\r\n" + body)
            elif word == b"later":
                self._put_off(telling.day, telling.domain)
            else:
                # RFC 8460 3: nobody believes a report that is not signed.
                domain = self._house.contact.rpartition(b"@")[2].decode()
                self._drop(telling.day, telling.domain, f"{domain} has no key here to sign it with")
                self._next()

        if not self._asking.ask("signer", lambda tag: m.SignReport(tag, digest, header), ANSWER_SECONDS, heard):
            heard(None)

    def _offer(self, telling: "Telling", recipient: bytes, content: bytes) -> None:
        tags: list[int] = []

        def make(tag: int) -> m.Message:
            tags.append(tag)
            return m.OfferReport(tag, recipient)

        def heard(answer: m.Message | None) -> None:
            if isinstance(answer, m.Taken):
                self._tell(telling, recipient, answer.queue_id)
                telling.addresses.pop(0)
                self._told.setdefault((telling.day, telling.domain), set()).add(recipient)
                self._write(telling)
            elif isinstance(answer, m.Declined) and answer.reply_code >= 500:
                self._drop(telling.day, telling.domain, answer.text.decode("ascii", "replace"))
                self._next()
            else:
                self._put_off(telling.day, telling.domain)

        if not self._asking.ask("enqueuer", make, ANSWER_SECONDS, heard):
            heard(None)
            return
        for start in range(0, len(content), BLOCK):
            block = content[start : start + BLOCK]
            self._asking.peers.tell("enqueuer", m.Content(tags[0], start + BLOCK >= len(content), block))

    def _tell(self, telling: "Telling", recipient: bytes, queue_id: bytes) -> None:
        sessions, good = sum(telling.rows.values()), 0
        for (_, _, result), count in telling.rows.items():
            good += count if result == Result.SUCCESS.value.encode() else 0
        self._asking.peers.event(
            "tls-reported", domain=telling.domain, recipient=recipient, queue_id=queue_id, sessions=sessions,
            failed=sessions - good,
        )  # fmt: skip

    def _look_up(self, name: bytes, kind: bytes, hear: Callable[[m.Message | None], None]) -> bool:
        return self._asking.ask("resolver", lambda tag: m.LookUp(tag, name, kind), LOOK_UP_SECONDS, hear)


class Telling:
    """What is gathered for the report about one domain and day."""

    def __init__(self, day: int, domain: bytes, addresses: tuple[bytes, ...], rows: Counter[Row]) -> None:
        self.day, self.domain, self.addresses, self.rows = day, domain, list(addresses), rows
        self.tlsa: dict[bytes, tuple[str, ...]] = {}
        self._sts: tuple[str, ...] = ()
        self._patterns: tuple[str, ...] = ()

    def hosts(self, policy: str) -> list[bytes]:
        """Those to which *policy* was applied."""
        found = {mx for applied, mx, _ in self.rows if applied == policy.encode() and mx}
        return sorted(found)[:MAX_TLSA]

    def know_policy(self, answer: m.Fetched) -> None:
        """This one is in force. For how long it was to be when it was fetched nobody remembers, so that line is left out."""
        self._patterns = tuple(pattern.decode("ascii", "replace") for pattern in answer.patterns)
        mode = answer.mode.decode("ascii", "replace")
        self._sts = ("version: STSv1", f"mode: {mode}", *(f"mx: {pattern}" for pattern in self._patterns))

    def report(self, house: House, recipient: bytes, moment: int) -> TlsReport:
        """The mail to *recipient*."""
        seed = b"%b %b %d" % (house.contact, self.domain, self.day)
        report_id = hashlib.blake2b(seed, digest_size=12).hexdigest().encode()
        policies = Policies(self._sts, self._patterns, self.tlsa)
        document = document_of(self.domain, self.day, house.contact, report_id, self.rows, policies)
        begin = self.day * DAY
        return TlsReport(
            house.name, house.contact, self.domain, recipient, report_id, begin, begin + DAY - 1, moment, document
        )


def delay_of(host: bytes) -> int:
    """How many seconds after midnight the house *host* begins to tell."""
    return int.from_bytes(hashlib.blake2b(host, digest_size=8).digest(), "big") % SPREAD_SECONDS
