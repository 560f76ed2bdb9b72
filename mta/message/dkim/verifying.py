"""Checks DKIM signatures (RFC 6376 6). Where keys stand is for whoever calls: this asks nobody.

A reader would otherwise get wrong: a false signature means no more than none at all (RFC 6376 6.1). A message is worth
what its good signatures say, and a broken one beside them takes nothing away.
"""

import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from mta.message.dkim.canonical import NotAHeader, name_of, signed_octets, split_fields
from mta.message.dkim.signature import NoKey, NoSignature, Signature, read_key, read_signature
from mta.message.dkim.signing import ED25519, MIN_RSA_BITS
from mta.message.header import header_section
from mta.record import dataclass

MAX_SIGNATURES = 10  # of one message; what stands below is not looked at

# The TXT records (each with its strings joined) under a name. Raises KeyError when nobody knows now.
LookUp = Callable[[bytes], Sequence[bytes]]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one signature; the words of RFC 8601 2.7.1: pass, fail, neutral, permerror, temperror."""

    word: str
    domain: bytes = b""
    selector: bytes = b""
    why: str = ""


def verify(message: bytes, look_up: LookUp, now: int) -> list[Result]:
    """What became of each signature of *message* at *now* (seconds since 1970), the first field's first."""
    header = header_section(message)
    body = message[len(header) :].removeprefix(b"\r\n")
    try:
        fields = split_fields(header)
    except NotAHeader as error:
        return [Result("permerror", why=str(error))]
    return [_verify_one(field, fields, body, look_up, now) for field in signature_fields(fields)]


def signature_fields(fields: Sequence[bytes]) -> Iterator[bytes]:
    """Those of *fields* that are signatures, and are looked at."""
    found = (field for field in fields if name_of(field) == b"dkim-signature")
    for _, field in zip(range(MAX_SIGNATURES), found, strict=False):
        yield field


def _verify_one(field: bytes, fields: Sequence[bytes], body: bytes, look_up: LookUp, now: int) -> Result:
    try:
        signature = read_signature(field, now)
    except NoSignature as error:
        return Result("permerror", why=str(error))
    try:
        records = look_up(signature.query_name)
    except KeyError:
        return Result("temperror", signature.domain, signature.selector, "its key cannot be asked for now")
    body_hash = signature.new_body_hash()
    body_hash.update(body)
    digest = body_hash.digest()
    if signature.most is not None and signature.most > body_hash.octets:
        return Result("permerror", signature.domain, signature.selector, "l= is longer than the body")
    return check(signature, fields, digest, records)


def check(signature: Signature, fields: Sequence[bytes], body_digest: bytes, records: Sequence[bytes]) -> Result:
    """Does *signature* hold for a message of these *fields*, whose body has *body_digest*, with the key in *records*?"""

    def result(word: str, why: str = "") -> Result:
        return Result(word, signature.domain, signature.selector, why)

    if len(records) != 1:
        # RFC 6376 3.6.2.2: several records are nobody's promise.
        return result("permerror", "there is no key record" if not records else "there are several key records")
    try:
        key = _load_public(read_key(records[0], signature), signature)
    except NoKey as error:
        return result("permerror", str(error))
    if not hmac.compare_digest(body_digest, signature.body_hash):
        return result("fail", "the body was changed")
    # All fields of the name From, whatever h= says: one that nobody signed must not be the one that is shown.
    names = (*signature.names, b"from")
    octets = signed_octets(
        [f for f in fields if f is not signature.field], names, signature.unsigned_field, signature.header_form
    )
    return result("pass") if _holds(key, signature.signature, octets) else result("fail", "the header was changed")


_PublicKey = rsa.RSAPublicKey | ed25519.Ed25519PublicKey


def _load_public(octets: bytes, signature: Signature) -> _PublicKey:
    try:
        if signature.algorithm == ED25519:
            return ed25519.Ed25519PublicKey.from_public_bytes(octets)
        key = serialization.load_der_public_key(octets)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise NoKey("the key cannot be read") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise NoKey("the key is of another kind")
    if key.key_size < MIN_RSA_BITS:
        raise NoKey("the key is too short")
    return key


def _holds(key: _PublicKey, signature: bytes, octets: bytes) -> bool:
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, octets, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, hashlib.sha256(octets).digest())
    except InvalidSignature:
        return False
    return True
