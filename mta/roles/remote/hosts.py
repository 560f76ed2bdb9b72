"""From a domain to the addresses that take its mail (RFC 5321 5.1, RFC 7505), through role resolver. No sockets.

A reader would otherwise get wrong: where we stand among a domain's hosts ourselves, we and everybody less preferred are
left out; when nobody remains, the mail would come back to us for ever, and it fails now. And no name leads to this machine's
own loopback: who could have said so has no business there.
"""

import ipaddress
import random
from collections.abc import Callable, Sequence
from typing import Final

from mta.record import dataclass, field
from mta.roles.remote.outcome import Outcome, delayed, failed
from mta.wire import messages as m
from mta.wire.asking import Asking

MAX_NAMES = 20  # hosts of a domain that are looked at, the preferred ones first
MAX_ADDRESSES = 60  # of all of them
LOOK_UP_SECONDS = 5.0
SMTP_PORT: Final = 25

_UNKNOWN: Final = delayed(b"4.4.3", b"the name servers do not say now where its mail goes")
_NO_DOMAIN: Final = failed(b"5.1.2", b"there is no such domain")
_NO_MAIL: Final = failed(b"5.1.10", b"the domain takes no mail (null MX)")
_NO_HOST: Final = failed(b"5.4.4", b"no host takes mail for this domain")
_LOOP: Final = failed(b"5.4.6", b"its mail would come back to this host")


@dataclass(frozen=True, slots=True)
class Host:
    """One address that is worth a connection."""

    name: bytes
    address: str
    port: int
    is_mx_secure: bool = False  # that the domain names this host was vouched for (DNSSEC)
    is_address_secure: bool = False  # and so was its address
    is_fixed: bool = False  # a route named it, so it may be this machine

    @property
    def described(self) -> bytes:
        """For Remote-MTA and the log."""
        return b"%b (%b)" % (self.name, self.address.encode())


Hear = Callable[[list[Host] | Outcome], None]


@dataclass(slots=True)
class _Search:
    """What is known of one destination while its addresses are looked up."""

    names: list[bytes]
    is_secure: bool
    port: int
    is_fixed: bool
    hear: Hear
    found: dict[tuple[bytes, bytes], tuple[list[str], bool]] = field(default_factory=dict)  # by name and kind
    open: int = 0
    is_unsure: bool = False  # a look-up of them got no answer


class Finder:
    """Asks through *asking*'s peer resolver."""

    def __init__(
        self, asking: Asking, own_name: bytes, port: int, *, allow_loopback: bool = False, source: str = "",
        shuffle: Callable[[list[bytes]], None] = random.shuffle,
    ) -> None:  # fmt: skip
        """*own_name*: what we call ourselves, and so what is our own place among a domain's hosts.

        *source*: the address that we call from, where a route says so; hosts that it cannot reach are passed over, unless
        there are no others.
        """
        self._source = source
        self._asking, self._own_name, self._port = asking, own_name.lower(), port
        self._allow_loopback, self._shuffle = allow_loopback, shuffle

    def find(self, domain: bytes, hear: Hear) -> None:
        """Where *domain*'s mail goes, in the order in which to try; or what becomes of it."""

        def heard(answer: m.Message | None) -> None:
            if not isinstance(answer, m.Found) or answer.outcome == b"failed":
                hear(_UNKNOWN)
            elif answer.outcome == b"nxdomain":
                hear(_NO_DOMAIN)
            elif answer.outcome == b"none":
                self._addresses(_Search([domain], answer.secure, self._port, is_fixed=False, hear=hear))
            else:
                names = self.ordered(answer.records)
                if isinstance(names, Outcome):
                    hear(names)
                else:
                    self._addresses(_Search(names, answer.secure, self._port, is_fixed=False, hear=hear))

        if not self._ask(domain, b"MX", heard):
            hear(_UNKNOWN)

    def find_at(self, next_hop: bytes, hear: Hear) -> None:
        """The same of a route's next hop: host, host:port, address, or [address]:port."""
        name, port = split_host_port(next_hop, SMTP_PORT)
        try:
            address = ipaddress.ip_address(name.decode())
        except ValueError:
            self._addresses(_Search([name], is_secure=False, port=port, is_fixed=True, hear=hear))
            return
        hear([Host(name, str(address), port, is_mx_secure=True, is_address_secure=True, is_fixed=True)])

    def ordered(self, records: Sequence[bytes]) -> list[bytes] | Outcome:
        """The names in MX *records*, preferred first, equals in no order that could be known before."""
        by_preference: dict[int, list[bytes]] = {}
        for record in records:
            number, _, name = record.partition(b" ")
            if number.isdigit() and name.strip(b"."):
                by_preference.setdefault(int(number), []).append(name.lower().rstrip(b"."))
        if not by_preference:
            return _NO_MAIL
        names: list[bytes] = []
        for preference in sorted(by_preference):
            equals = list(dict.fromkeys(by_preference[preference]))
            if self._own_name in equals:
                break
            self._shuffle(equals)
            names += equals
        return names[:MAX_NAMES] or _LOOP

    def _ask(self, name: bytes, kind: bytes, heard: Callable[[m.Message | None], None]) -> bool:
        return self._asking.ask("resolver", lambda tag: m.LookUp(tag, name, kind), LOOK_UP_SECONDS, heard)

    def _addresses(self, search: _Search) -> None:
        asked = [(name, kind) for name in search.names for kind in (b"AAAA", b"A")]
        search.open = len(asked)

        def hear(key: tuple[bytes, bytes], answer: m.Message | None) -> None:
            if isinstance(answer, m.Found) and answer.outcome != b"failed":
                search.found[key] = ([record.decode("ascii", "replace") for record in answer.records], answer.secure)
            else:
                search.is_unsure = True
            search.open -= 1
            if not search.open:
                search.hear(self._conclude(search))

        for key in asked:
            if not self._ask(*key, heard=lambda answer, key=key: hear(key, answer)):  # type: ignore[misc]
                hear(key, None)

    def _conclude(self, search: _Search) -> list[Host] | Outcome:
        hosts: list[Host] = []
        is_own = False
        for name in search.names:
            six, four = (self._of(search, name, kind) for kind in (b"AAAA", b"A"))
            for host in _alternating(six, four):
                if not self._leads_home(host):
                    hosts.append(host)
                else:
                    is_own = True
        if hosts:
            fitting = [host for host in hosts if (":" in host.address) == (":" in self._source)] if self._source else []
            return (fitting or hosts)[:MAX_ADDRESSES]
        return _UNKNOWN if search.is_unsure else _LOOP if is_own else _NO_HOST

    def _of(self, search: _Search, name: bytes, kind: bytes) -> list[Host]:
        texts, is_secure = search.found.get((name, kind), ([], False))
        found = []
        for text in texts:
            try:
                address = str(ipaddress.ip_address(text))
            except ValueError:
                continue  # No address, whatever the resolver was told.
            found.append(Host(name, address, search.port, search.is_secure, is_secure, search.is_fixed))
        return found

    def _leads_home(self, host: Host) -> bool:
        address = ipaddress.ip_address(host.address)
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_unspecified or address.is_multicast:
            return True
        return address.is_loopback and not (self._allow_loopback or host.is_fixed)


def _alternating(six: list[Host], four: list[Host]) -> list[Host]:
    """IPv6 first and IPv4 second, so that a network where only one of them works is known after one attempt."""
    both = [host for pair in zip(six, four, strict=False) for host in pair]
    return both + six[len(four) :] + four[len(six) :]


def split_host_port(text: bytes, default: int) -> tuple[bytes, int]:
    """Host and port of a next hop; what is no port belongs to the host."""
    host, colon, port = text.rpartition(b":")
    if not colon or not port.isdigit() or (b":" in host and not host.endswith(b"]")):
        return text.strip(b"[]"), default
    return host.strip(b"[]"), int(port)
