"""Return paths of what is forwarded to other hosts (the Sender Rewriting Scheme): made, and led home. Values in, values out.

A reader would otherwise get wrong: a rewritten path is a promise. Mail to it goes on to a stranger, so it is kept for nobody
who cannot show that we made it, and for no longer than a bounce may take.

    SRS0=<mac>=<day>=<domain>=<local-part>     who sent it is <local-part>@<domain>
    SRS0=<mac>=<day>==<token>                  who sent it is kept by the ledger: too long, or in need of quotes
    SRS1=<mac>=<domain>=<rest>                 who sent it is SRS0<rest>@<domain>, another host's promise, with its own day

There is no RFC; this is what all implementations have agreed on since 2003, with a longer MAC. Hosts on the way may change
the case of everything, so case is no part of what the MAC is about.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

from mta.record import dataclass
from mta.vocabulary import MAX_LOCAL_PART

VALID_DAYS = 21  # a week in a queue, a week for the bounce, and one for whoever comes back from a holiday
MAC_CHARACTERS = 8  # 40 bits: a guess costs an unknown recipient, and of those a client has twenty a minute
TOKEN_CHARACTERS = 16  # 80 bits, since two senders must never share one

_DAYS = 1024  # what two digits of base 32 count
_DIGITS = b"abcdefghijklmnopqrstuvwxyz234567"
_PLAIN = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\xff-]+\Z")  # RFC 5321 4.1.2, Dot-string; RFC 6531 3.3
_OTHERS = re.compile(rb"srs([01])([=+-])", re.IGNORECASE)  # other hosts separate by other characters, too


@dataclass(frozen=True, slots=True)
class Kept:
    """A path of which only this name goes out."""

    token: bytes


def is_ours(local_part: bytes) -> bool:
    """Does *local_part*, at our own name, claim to be a rewritten path?"""
    return local_part[:5].lower() in (b"srs0=", b"srs1=")


def rewrite(path: bytes, host: bytes, secret: bytes, day: int) -> tuple[bytes, Kept | None]:
    """The path under which what *path* sent goes on from *host*, and what the ledger has to keep for that.

    *day* is the number of today since 1970.
    """
    local_part, _, domain = path.rpartition(b"@")
    other = _OTHERS.match(local_part)
    if other and other[1] == b"0":
        made = _sealed(b"SRS1", secret, domain, local_part[4:])
    elif other and local_part[5:].count(b"=") > 1:
        # Whoever is between the first host and us has done his part: a bounce need not pass him.
        made = _sealed(b"SRS1", secret, *local_part[5:].split(b"=", 2)[1:])
    else:
        made = _sealed(b"SRS0", secret, _stamp(day), domain, local_part)
    kept = None
    is_plain = _PLAIN.match(made) is not None and bool(local_part and domain) and b"=" not in domain
    if len(made) > MAX_LOCAL_PART or not is_plain:
        kept = Kept(_mac(secret, b"token", path, TOKEN_CHARACTERS))
        made = _sealed(b"SRS0", secret, _stamp(day), b"", kept.token)
    return made + b"@" + host, kept


def restore(local_part: bytes, secrets: Sequence[bytes], day: int, valid_days: int = VALID_DAYS) -> bytes | Kept | None:
    """The path of whoever sent what *local_part* was made for; None: we did not make it, or too long ago."""
    kind, _, rest = local_part.partition(b"=")
    given, _, text = rest.partition(b"=")
    kind = kind.upper()
    if not any(hmac.compare_digest(given.lower(), _mac(secret, kind, text, MAC_CHARACTERS)) for secret in secrets):
        return None
    fields = text.split(b"=", 2 if kind == b"SRS0" else 1)
    if kind == b"SRS1":
        return b"SRS0%b@%b" % (fields[1], fields[0])
    stamp, domain, name = fields
    if _age(stamp, day) > valid_days:
        return None
    return name + b"@" + domain if domain else Kept(name.lower())


def _sealed(kind: bytes, secret: bytes, *fields: bytes) -> bytes:
    text = b"=".join(fields)
    return b"=".join((kind, _mac(secret, kind, text, MAC_CHARACTERS), text))


def _mac(secret: bytes, kind: bytes, text: bytes, characters: int) -> bytes:
    digest = hmac.digest(secret, kind + b"=" + text.lower(), hashlib.sha256)
    return base64.b32encode(digest)[:characters].lower()


def _stamp(day: int) -> bytes:
    number = day % _DAYS
    return bytes((_DIGITS[number >> 5], _DIGITS[number & 31]))


def _age(stamp: bytes, day: int) -> int:
    """How many days ago *stamp*, which we made, was made."""
    high, low = stamp.lower()
    return (day - (_DIGITS.index(high) << 5 | _DIGITS.index(low))) % _DAYS
