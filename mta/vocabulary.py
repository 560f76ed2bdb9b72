"""The field's own words as values: addresses, queue ids, what became of a recipient. No I/O, imports nothing of ours.

A reader would otherwise get wrong: the local-part of a hosted address compares case-insensitively and NFC-normalised
(`fold_local_part`), yet is kept as given wherever it is shown or written into a message. Domains are ASCII A-labels here.
"""

import enum
import re
import unicodedata

from mta.record import dataclass

MAX_LOCAL_PART = 64  # RFC 5321 4.5.3.1.1, octets
MAX_DOMAIN = 255  # RFC 5321 4.5.3.1.2, octets
MAX_PATH = 254  # RFC 5321 4.5.3.1.3 with erratum 1690: 256 with the angle brackets, octets
MAX_LABEL = 63  # RFC 1035 2.3.4, octets
# Octets of PEM. A pair goes from the role that keeps it to the one that shows it in a packet, so both are bounded together.
MAX_CHAIN = 48 * 1024
MAX_PRIVATE_KEY = 12 * 1024
MAX_CUTS = 4  # places at which a local-part is cut to look for whom it belongs to, the first ones: so many look-ups, never more
CUTTING = b"+-._"  # what a pattern's star may stand behind

# Among an envelope's options: a report about TLS, which must arrive where TLS fails (RFC 8460 3). No client can declare it.
TLS_NOT_REQUIRED = b"TLSREQUIRED=NO"

_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)\Z")
_SAFE_STORE_NAME = re.compile(rb"[a-z0-9_][a-z0-9_.+=-]{0,99}\Z")
_QUEUE_ID = re.compile(rb"[0-9a-f]{20}\Z")


class AddressError(ValueError):
    """Not an address or a domain; the text says why and may be shown to its author."""


class Action(enum.Enum):
    """What became of a recipient in one attempt (RFC 3464 2.3.3)."""

    DELIVERED = b"delivered"
    FAILED = b"failed"
    DELAYED = b"delayed"
    EXPANDED = b"expanded"
    RELAYED = b"relayed"


class Word(enum.Enum):
    """The directory's one-word answer about a forward-path."""

    ACCEPT = b"accept"
    UNKNOWN = b"unknown"
    SUSPENDED = b"suspended"
    FULL = b"full"
    FOREIGN = b"foreign"  # not a domain of ours: relaying refused
    UNSIGNED = b"unsigned"  # a bounce to an address whose return paths we sign, and this is none of ours
    DENIED = b"denied"  # by an access rule of the host, the domain or the mailbox
    LISTED = b"listed"  # the client stands in a DNS list
    GREYLISTED = b"greylisted"  # come back: who retries is no spray of one message to everybody
    NO_REVERSE_NAME = b"no-reverse-name"  # the client's address has no name that leads back to it
    TOO_FAST = b"too-fast"  # more recipients or messages in a minute than one client may
    OVER_LIMIT = b"over-limit"  # the mailbox that sends, its domain or a tenant above has had enough recipients for now
    BRAKED = b"braked"  # the mailbox that sends does what it never did: somebody should look first
    SLOW_DOWN = b"slow-down"  # too many unknown ones
    TRY_LATER = b"try-later"


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox address (RFC 5321 4.1.2, without quoting): local-part as given, domain as lower-case A-label."""

    local_part: str
    domain: str

    def __str__(self) -> str:
        return f"{self.local_part}@{self.domain}"

    @property
    def key(self) -> bytes:
        """What look-ups compare: folded local-part, at-sign, domain; UTF-8."""
        return f"{fold_local_part(self.local_part)}@{self.domain}".encode()


def fold_local_part(local_part: str) -> str:
    """Case-folded and NFC-normalised; applying it twice changes nothing more."""
    if local_part.isascii():
        return local_part.lower()
    folded = unicodedata.normalize("NFC", local_part)
    # Folding can denormalise and normalising can unfold, so go on until it stands still.
    while (again := unicodedata.normalize("NFC", folded.casefold())) != folded:
        folded = again
    return folded


def untagged(local_part: bytes, separator: bytes) -> list[bytes]:
    """What a folded *local_part* may be without its tag, in the order in which it is looked for.

    A plus sign stands in few names, so the first one is meant. Hyphens stand in many: there the longest that exists is.
    """
    cuts = [place for place, octet in enumerate(local_part) if place and octet in separator]
    return [local_part[:cut] for cut in (cuts[:1] if separator == b"+" else cuts[:MAX_CUTS][::-1])]


def pattern_prefixes(local_part: bytes) -> list[bytes]:
    """What may stand before the star of a pattern that a folded *local_part* fits, the longest first."""
    cuts = [place for place, octet in enumerate(local_part[:-1]) if place and octet in CUTTING]
    return [local_part[: cut + 1] for cut in cuts[:MAX_CUTS][::-1]]


def fold_domain(domain: str) -> str:
    """A domain of A-labels or U-labels as look-ups compare it; applying it twice changes nothing more.

    Not by case folding: that makes one name of two that are registered apart (RFC 5894 7.2: "straße" and "strasse").
    """
    if domain.isascii():
        return domain.lower()
    folded = unicodedata.normalize("NFC", domain)
    while (again := unicodedata.normalize("NFC", folded.lower())) != folded:
        folded = again
    return folded


def is_domain(text: str) -> bool:
    """Is *text* a lower-case domain name of at least two labels, as RFC 1035 2.3.1 wants it?"""
    labels = text.split(".")
    return len(text) <= MAX_DOMAIN and len(labels) >= 2 and all(_LABEL.match(label) for label in labels)


def store_name(local_part: str) -> str:
    """The file name below the domain's folder for a folded local-part; reversible by `local_part_of_store`.

    What is not plainly safe (a slash, a leading dot, capitals, non-ASCII) is written `%` and two hexadecimal digits for
    each octet, and such names begin with `%`, so the two kinds never meet.
    """
    octets = local_part.encode()
    if _SAFE_STORE_NAME.match(octets):
        return local_part
    return "%" + "".join(
        chr(o) if chr(o).isascii() and chr(o).isalnum() and not chr(o).isupper() else f"%{o:02x}" for o in octets
    )


def local_part_of_store(name: str) -> str:
    """The folded local-part whose `store_name` is *name*.

    Raises:
        AddressError: no local-part has this name.
    """
    if not name.startswith("%"):
        # It may have come over a channel: `..` or a slash must not become a path.
        if not _SAFE_STORE_NAME.match(name.encode()):
            raise AddressError("not the name of a store")
        return name
    try:
        text = re.sub(rb"%([0-9a-f]{2})", lambda m: bytes([int(m[1], 16)]), name[1:].encode()).decode()
    except UnicodeDecodeError as error:
        raise AddressError("not the name of a store") from error
    if store_name(text) != name:
        raise AddressError("not the name of a store")
    return text


def is_queue_id(value: bytes) -> bool:
    """Twenty hexadecimal digits: sixteen of microseconds since 1970, four of a counter. Nothing else names a file."""
    return _QUEUE_ID.match(value) is not None


def arrival_of(queue_id: bytes) -> float:
    """Seconds since 1970 at which the message of *queue_id* was accepted."""
    return int(queue_id[:16], 16) / 1_000_000
