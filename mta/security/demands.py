"""What is wanted of the next connection: worked out from DANE, MTA-STS and what an operator demanded of a route.

A reader would otherwise get wrong: DANE comes first. A host whose TLSA records can be used is judged by them alone; that a
policy of MTA-STS would have been content does not help it, and that one would not does not hurt it (RFC 8461 2).

Questions about names are yielded, and their answers sent back in: whoever drives has the resolver, and need not be fast.
"""

import enum
import ipaddress
from collections.abc import Generator
from typing import Final, Protocol

from mta.record import dataclass, replace
from mta.security import dane
from mta.security.dane import Tlsa
from mta.security.reporting import NO_POLICY, OPTIONAL, STS, TLSA, Result
from mta.security.sts import Policy

NONE, MAY, VERIFY, DANE = "none", "may", "verify", "dane"  # what a route can say

NOT_OFFERED, BROKEN, REQUIRETLS = "4.7.4", "4.7.5", "5.7.30"  # RFC 3463 3.8, RFC 8689 7


class Level(enum.Enum):
    """How much a connection has to prove."""

    CLEAR = "clear"  # STARTTLS is not even said
    MAY = "may"  # encrypted where it can be, by whatever certificate; else in the clear
    ENCRYPT = "encrypt"  # encrypted, by whatever certificate
    VERIFY = "verify"  # by a certificate for its name that an authority of this machine stands behind
    DANE = "dane"  # by a certificate that its TLSA records speak of


@dataclass(frozen=True, slots=True)
class Demand:
    """What is wanted of a connection to one host. *server_name* is what to ask for (SNI), and what to check where it is."""

    level: Level
    server_name: str
    names: tuple[str, ...] = ()  # any of which an authority's certificate may bear (RFC 7672 3.2.2)
    records: tuple[Tlsa, ...] = ()
    is_sure: bool = False  # That this host is the domain's is itself proven: by DNSSEC, by a policy, by the operator.
    is_trial: bool = False  # A policy is only tried (RFC 8461 5): what fails is counted, and mail goes all the same.
    policy: str = NO_POLICY  # whose results are counted (RFC 8460 4.3.1)

    @property
    def needs_tls(self) -> bool:
        """Must mail not go in the clear?"""
        return self.level in (Level.ENCRYPT, Level.VERIFY, Level.DANE) and not self.is_trial

    @property
    def allows_requiretls(self) -> bool:
        """May a message that is to stay under TLS (RFC 8689) go here, once the handshake has held?"""
        return self.level in (Level.VERIFY, Level.DANE) and self.is_sure and not self.is_trial

    def weaker(self) -> "Demand | None":
        """What to try instead when TLS failed, over a connection of its own; None: nothing, this host is not to be used."""
        if self.level is Level.MAY:
            return replace(self, level=Level.CLEAR)
        if self.is_trial:
            return replace(self, level=Level.MAY, is_trial=False)
        return None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A host that this mail must not go to now, and why."""

    status: str  # RFC 3463
    text: str
    result: Result


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What is known before any host is looked at."""

    domain: str  # whose mail it is; A-label
    tls: str = MAY  # what the route says; `may` where there is none
    is_fixed: bool = False  # the next hop was named by the operator, and no MX asked
    is_mx_secure: bool = False  # the answer about MX, also that there is none, was signed
    policy: Policy | None = None  # of MTA-STS; not asked for where the next hop is fixed


class Reply(Protocol):
    """As much of `mta.wire.messages.Found` as is needed here."""

    @property
    def outcome(self) -> bytes:
        """`answer`, `none`, `nxdomain`, `failed`."""

    @property
    def secure(self) -> bool:
        """A validating resolver vouches for it."""

    @property
    def records(self) -> tuple[bytes, ...]:
        """As text."""


Asked = tuple[bytes, bytes]  # name and kind; sent back is a Reply, or None when nobody answered
Decision = Generator[Asked, Reply | None, Demand | Refusal]

_BOGUS: Final = Refusal(
    BROKEN, "its TLSA records cannot be had, so its certificate cannot be judged", Result.DNSSEC_INVALID
)


def of_host(known: Knowledge, host: str, port: int, *, is_address_secure: bool) -> Decision:
    """What is wanted of *host* (an A-label or address), whose *port* mail goes to.

    *is_address_secure*: the answers about its addresses, and every alias on the way there, were signed.
    """
    if known.tls == NONE:
        return Demand(Level.CLEAR, host)
    wants_dane = known.tls == DANE or (known.tls == MAY and not known.is_fixed)
    if wants_dane and not _is_literal(host) and (known.is_fixed or known.is_mx_secure):
        demand = yield from _by_dane(known, host, port, is_address_secure)
        if demand is not None:
            return demand
    if known.tls == DANE:
        return Refusal(BROKEN, "its route demands DANE, and it has no signed TLSA records", Result.DANE_REQUIRED)
    if known.tls == VERIFY:
        return Demand(Level.VERIFY, host, is_sure=known.is_fixed or known.is_mx_secure)
    if known.policy is None or known.policy.mode == NONE or known.is_fixed or known.tls == OPTIONAL:
        return Demand(Level.MAY, host, is_sure=known.is_mx_secure)
    return _by_policy(known.policy, host)


def _by_policy(policy: Policy, host: str) -> Demand | Refusal:
    is_trial = policy.mode != "enforce"
    if policy.allows(host):
        return Demand(Level.VERIFY, host, is_sure=True, is_trial=is_trial, policy=STS)
    if is_trial:
        return Demand(Level.MAY, host, is_trial=True, policy=STS)
    return Refusal(BROKEN, "its domain's MTA-STS policy does not name it", Result.VALIDATION_FAILURE)


def _by_dane(
    known: Knowledge, host: str, port: int, is_address_secure: bool
) -> Generator[Asked, Reply | None, Demand | Refusal | None]:
    """As `of_host`; None: DANE says nothing of this host."""
    bases = yield from _bases(host, is_address_secure)
    if bases is None:
        return _BOGUS
    for base in bases:
        reply = yield f"_{port}._tcp.{base}".encode(), b"TLSA"
        if reply is None or reply.outcome == b"failed":
            return _BOGUS  # RFC 7672 2.1.2: whoever can make answers vanish must not make the demand vanish
        if reply.outcome != b"answer" or not reply.secure:
            continue
        records = dane.read_records(reply.records)
        if records:
            names = tuple(dict.fromkeys((base, host, known.domain)))
            return Demand(Level.DANE, base, names, records, is_sure=True, policy=TLSA)
        # RFC 7672 2.2: it promised TLS; by which certificate cannot be said.
        return None if known.tls == DANE else Demand(Level.ENCRYPT, base, is_sure=True, policy=TLSA)
    return None


def _bases(host: str, is_address_secure: bool) -> Generator[Asked, Reply | None, list[str] | None]:
    """Below which names the records may stand, the best first (RFC 7672 2.2.2); None: nobody can tell now."""
    alias = yield host.encode(), b"CNAME"
    if alias is None or alias.outcome == b"failed":
        return None
    if alias.outcome != b"answer":
        return [host] if is_address_secure else []
    if not alias.secure:
        return []
    # A host that is an alias in a signed zone: its own name counts even where the zone behind it is not signed.
    canonical = alias.records[0].decode("ascii", "replace") if alias.records else ""
    return [canonical, host] if is_address_secure and canonical else [host]


def without_tls(demand: Demand) -> Refusal | None:
    """The host does not offer STARTTLS, or somebody took the offer away: what then. None: go on in the clear."""
    if not demand.needs_tls:
        return None
    return Refusal(NOT_OFFERED, "it offers no TLS, without which nothing may go there", Result.STARTTLS_NOT_SUPPORTED)


def for_requiretls(demand: Demand, *, is_secured: bool, has_extension: bool) -> str:
    """Empty when a message that is to stay under TLS may go here; else why it may not, for a reply with 5.7.30."""
    if not is_secured or not demand.allows_requiretls:
        return "REQUIRETLS support required: nothing proves who this server is"
    return "" if has_extension else "REQUIRETLS support required: this server has none"


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
