"""One question in DNS's wire format, and what an answer to it says: the only place where a name server's octets are read.

A reader would otherwise get wrong: an answer that does not match is no error but *strange*, since anybody on the Internet
can send one; the true answer may still be under way. Capitals are mixed at random and must come back as they went
(draft-vixie-dnsext-dns0x20), which gives whoever guesses ids as many more bits as the name has letters.
"""

import enum
import os
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype

from mta.record import dataclass

UDP_OCTETS: Final = 1232  # What passes everywhere without fragments, which are easy to forge.
MAX_MESSAGE: Final = 65_535  # RFC 1035 4.2.2
MAX_NAME: Final = 253  # RFC 1035 2.3.4: 255 octets on the wire, as text without the last dot
MAX_RECORDS: Final = 100  # of one answer; more are left out
MAX_RECORD: Final = 4096  # octets of one record; what is longer is nothing that mail needs
MAX_OCTETS: Final = 40 * 1024  # of all records together: an answer travels in one packet

ANSWER, NONE, NXDOMAIN, FAILED = b"answer", b"none", b"nxdomain", b"failed"

_NAME: Final = re.compile(rb"(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?\Z", re.IGNORECASE)
_HEADER_OCTETS: Final = 12
_QR, _TC = 0x80, 0x02  # in the third octet of the header (RFC 1035 4.1.1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known about a name now, and for how many seconds."""

    outcome: bytes
    secure: bool = False
    records: tuple[bytes, ...] = ()
    ttl: int = 0


class Other(enum.Enum):
    """What came instead of an answer."""

    STRANGE = "strange"  # not an answer to this question
    TRUNCATED = "truncated"  # more than a datagram holds: ask over TCP (RFC 7766 5)
    MISWRITTEN = "miswritten"  # right but for its capitals: an old server or a forger, TCP tells
    UNABLE = "unable"  # the server says that it cannot tell: SERVFAIL, REFUSED and the like


class QueryError(ValueError):
    """Not a name that can be asked about."""


def _name(name: dns.name.Name) -> bytes:
    return name.to_text(omit_final_dot=True).lower().encode("ascii")


_RENDER: Final[Mapping[bytes, Callable[[Any], bytes]]] = {
    b"A": lambda data: data.address.encode(),
    b"AAAA": lambda data: data.address.encode(),
    b"PTR": lambda data: _name(data.target),
    b"MX": lambda data: b"%d %b" % (data.preference, _name(data.exchange)),
    b"TXT": lambda data: b"".join(data.strings),
    b"CNAME": lambda data: _name(data.target),
    b"SRV": lambda data: b"%d %d %d %b" % (data.priority, data.weight, data.port, _name(data.target)),
    b"TLSA": lambda data: b"%d %d %d %b" % (data.usage, data.selector, data.mtype, data.cert.hex().encode()),
}
KINDS: Final = frozenset(_RENDER)


def load() -> None:
    """Import what dnspython imports late: after the door there are no files to import from."""
    dns.rdata.load_all_types()  # type: ignore[no-untyped-call]  # dnspython left it out


class Query:
    """One question to one server, with an id and capitals of its own."""

    __slots__ = ("_id", "_kind", "_name", "octets")

    def __init__(self, name: bytes, kind: bytes, *, mix: bool = True) -> None:
        """Put the question; over TCP, which nobody forges from afar, without mixed capitals (*mix*).

        Raises:
            QueryError: no host or service can have this *name*.
        """
        if len(name) > MAX_NAME or not _NAME.match(name):
            raise QueryError("not a domain name")
        self._kind = kind
        self._name = dns.name.from_text((mixed(name) if mix else name.lower()).decode("ascii"))
        self._id = os.urandom(2)
        # AD in the question asks for AD in the answer (RFC 6840 5.7), without the signatures that DO would bring.
        query = dns.message.make_query(
            self._name, kind.decode(), use_edns=0, payload=UDP_OCTETS, id=int.from_bytes(self._id, "big"),
            flags=dns.flags.RD | dns.flags.AD,
        )  # fmt: skip
        self.octets = query.to_wire()

    def read(self, octets: bytes) -> Answer | Other:
        """What *octets*, from the server, say."""
        # Before anything is parsed: a forger must at least know the id.
        if len(octets) < _HEADER_OCTETS or octets[:2] != self._id or not octets[2] & _QR:
            return Other.STRANGE
        if octets[2] & _TC:
            return Other.TRUNCATED
        try:
            response = dns.message.from_wire(octets)
            if not isinstance(response, dns.message.QueryMessage):
                return Other.STRANGE
            return self._judge(response)
        except Exception:  # noqa: BLE001 - dnspython's own kinds are many, and whatever they are: this is no answer
            return Other.STRANGE

    def _judge(self, response: dns.message.QueryMessage) -> Answer | Other:
        code = response.rcode()
        tells = code in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN)
        if not response.question:  # Those who cannot tell may leave it out (RFC 1035 4.1.1, format error).
            return Other.STRANGE if tells else Other.UNABLE
        question = response.question[0]
        kind = dns.rdatatype.to_text(question.rdtype).encode()
        if len(response.question) != 1 or question.name != self._name or kind != self._kind:
            return Other.STRANGE
        if question.name.labels != self._name.labels:
            return Other.MISWRITTEN
        return self._told(response) if tells else Other.UNABLE

    def _told(self, response: dns.message.QueryMessage) -> Answer:
        chain = response.resolve_chaining()
        secure = bool(response.flags & dns.flags.AD)
        if chain.answer is None:
            told = any(each.rdtype == dns.rdatatype.SOA for each in response.authority)  # RFC 2308 5
            outcome = NXDOMAIN if response.rcode() == dns.rcode.NXDOMAIN else NONE
            return Answer(outcome, secure, ttl=chain.minimum_ttl if told else 0)
        records = bounded(sorted(_RENDER[self._kind](data) for data in chain.answer))
        return Answer(ANSWER, secure, records, chain.minimum_ttl)


def mixed(name: bytes) -> bytes:
    """*name* with each letter large or small at random."""
    coins = int.from_bytes(os.urandom((len(name) + 7) // 8), "big")
    lower, upper = name.lower(), name.upper()
    return bytes((upper if coins >> place & 1 else lower)[place] for place in range(len(name)))


def bounded(records: list[bytes]) -> tuple[bytes, ...]:
    """As many of *records* as travel in one packet; what is too long by itself is left out."""
    kept: list[bytes] = []
    left = MAX_OCTETS
    for record in records:
        if len(record) <= MAX_RECORD and len(record) <= left and len(kept) < MAX_RECORDS:
            kept.append(record)
            left -= len(record)
    return tuple(kept)
