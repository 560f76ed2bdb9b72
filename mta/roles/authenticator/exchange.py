"""The server's half of SCRAM-SHA-256 (RFC 5802, 7677): texts in, texts out. No channel binding, so `-PLUS` is not offered.

A reader would otherwise get wrong: an exchange for a name that does not exist goes through every step as any other, with a
salt made from the name and keys that nobody has. It fails where a wrong password does: at the proof.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence

from mta import scram
from mta.record import dataclass
from mta.scram import Keys

NONCE_OCTETS = 18

# RFC 5802 7: a nonce is printable ASCII without a comma; a name has "=2C" and "=3D" for comma and equals sign.
_FIRST = re.compile(rb"([ny],(?:a=([^,]{1,500}))?,)(n=([^,]{1,500}),r=([!-+\--~]{1,200})(?:,[A-Za-z]=[^,]*)*)\Z")
_FINAL = re.compile(rb"(c=([A-Za-z0-9+/=]{1,900}),r=([!-+\--~]{1,300})(?:,[A-Za-z]=[^,]*)*),p=([A-Za-z0-9+/=]{44})\Z")
_ESCAPE = re.compile(rb"=(2C|3D)?")


class ExchangeError(ValueError):
    """Not what RFC 5802 has a client say."""


@dataclass(frozen=True, slots=True)
class Begun:
    """An exchange whose challenge was made."""

    name: bytes  # as the client gave it
    gs2_header: bytes
    client_first_bare: bytes
    nonce: bytes  # both halves
    server_first: bytes


def read_name(first: bytes) -> bytes:
    """The name in a client-first-message.

    Raises:
        ExchangeError: it is none; or one that wants channel binding, or to act for another.
    """
    return _read_first(first)[1]


def begin(first: bytes, random: bytes, salt: bytes) -> Begun:
    """The challenge for a client-first-message, with *random* octets in it.

    Raises:
        ExchangeError: as `read_name`.
    """
    gs2_header, name, bare, nonce = _read_first(first)
    nonce += base64.b64encode(random)
    server_first = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(salt), scram.ITERATIONS)
    return Begun(name, gs2_header, bare, nonce, server_first)


def finish(begun: Begun, final: bytes, candidates: Sequence[Keys]) -> tuple[bytes, Keys] | None:
    """The server-final-message, and which of *candidates* the client-final-message proves; None: it proves none."""
    found = _FINAL.match(final)
    if found is None:
        return None
    without_proof, binding, nonce, proof = found.groups()
    try:
        bound, proven = base64.b64decode(binding, validate=True), base64.b64decode(proof, validate=True)
    except binascii.Error:
        return None
    if (
        bound != begun.gs2_header
        or not hmac.compare_digest(nonce, begun.nonce)
        or len(proven) != hashlib.sha256().digest_size
    ):
        return None
    message = b",".join((begun.client_first_bare, begun.server_first, without_proof))
    right = None
    for keys in candidates:  # All of them: time does not tell which one it was.
        signature = hmac.digest(keys.stored, message, "sha256")
        client_key = bytes(a ^ b for a, b in zip(proven, signature, strict=True))
        if hmac.compare_digest(hashlib.sha256(client_key).digest(), keys.stored):
            right = keys
    if right is None:
        return None
    return b"v=" + base64.b64encode(hmac.digest(right.server, message, "sha256")), right


def _read_first(first: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    found = _FIRST.match(first)
    if found is None:
        raise ExchangeError("not a client-first-message")
    gs2_header, acts_for, bare, name, nonce = found.groups()
    name = _unescape(name)
    if acts_for is not None and _unescape(acts_for) != name:
        raise ExchangeError("nobody acts for another here")
    return gs2_header, name, bare, nonce


def _unescape(name: bytes) -> bytes:
    def one(found: re.Match[bytes]) -> bytes:
        if found[1] is None:
            raise ExchangeError("an equals sign that stands for nothing")
        return b"," if found[1] == b"2C" else b"="

    return _ESCAPE.sub(one, name)
