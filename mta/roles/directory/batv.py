"""Signed return paths of our own senders (draft-levine-smtp-batv, `prvs`): made, and read. Values in, values out.

A reader would otherwise get wrong: a tag is no secret and proves nothing about who writes. It says that a message with this
return path left this house some days ago, which is all that a bounce has to show to be believed.

    prvs=KDDDSSSSSS=<local-part>@<domain>      K: of the secret; DDD: the last day it is good, modulo 1000; S: the MAC
"""

import hashlib
import hmac
import re
from collections.abc import Sequence

from mta.vocabulary import MAX_LOCAL_PART

VALID_DAYS = 14  # up to five in a queue there, up to five on the way back, and some
TAG_OCTETS = len(b"prvs=0123456789=")

_TAGGED = re.compile(rb"prvs=([0-9])([0-9]{3})([0-9a-f]{6})=(.+)\Z", re.IGNORECASE | re.DOTALL)
_PLAIN = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.\x80-\xff-]+\Z")  # RFC 5321 4.1.2, Dot-string; RFC 6531 3.3
_DAYS = 1000


def can_sign(local_part: bytes) -> bool:
    """Is there room for a tag, and no need of quotes? Who has no tag cannot be asked for one."""
    return len(local_part) + TAG_OCTETS <= MAX_LOCAL_PART and _PLAIN.match(local_part) is not None


def sign(local_part: bytes, domain: bytes, secret: bytes, day: int) -> bytes:
    """*local_part* with a tag that is good from *day* (since 1970) on; as it is where it cannot have one, or has one."""
    if not can_sign(local_part) or is_tagged(local_part):
        return local_part
    stamp = b"%d%03d" % (_number(secret), (day + VALID_DAYS) % _DAYS)
    return b"prvs=%b%b=%b" % (stamp, _mac(secret, stamp, local_part, domain), local_part)


def is_tagged(local_part: bytes) -> bool:
    """Does *local_part* claim a tag?"""
    return _TAGGED.match(local_part) is not None


def read(local_part: bytes, domain: bytes, secrets: Sequence[bytes], day: int, grace_days: int = 0) -> bytes | None:
    """*local_part* without its tag, when that is ours and was good *grace_days* ago; else None."""
    found = _TAGGED.match(local_part)
    if found is None:
        return None
    key, last, given, plain = found.groups()
    if (int(last) - day + grace_days) % _DAYS > VALID_DAYS + grace_days:
        return None
    for secret in secrets:
        if _number(secret) == int(key) and hmac.compare_digest(given.lower(), _mac(secret, key + last, plain, domain)):
            return plain
    return None


def _number(secret: bytes) -> int:
    return secret[0] % 10


def _mac(secret: bytes, stamp: bytes, local_part: bytes, domain: bytes) -> bytes:
    text = b"prvs=%b=%b@%b" % (stamp, local_part.lower(), domain.lower())
    return hmac.digest(secret, text, hashlib.sha256)[:3].hex().encode()
