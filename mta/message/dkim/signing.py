"""Makes DKIM-Signature fields (RFC 6376 5) with RSA (RFC 8301) and Ed25519 (RFC 8463).

A reader would otherwise get wrong: the field that is being made is signed too, up to `b=` and no further. So it is made
once, in its last form and folded as it stays, and the signature goes to its very end.
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa

from mta.message.dkim.canonical import Form, signed_octets
from mta.message.dkim.choice import names_to_sign
from mta.record import dataclass

RSA, ED25519 = b"rsa-sha256", b"ed25519-sha256"
MIN_RSA_BITS = 1024  # RFC 8301 3.2

_WIDTH = 72  # octets of a line, more or less: below the 78 of RFC 5322 2.1.1


class BadKey(ValueError):
    """Not a private key that DKIM can be signed with."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key, and where its public half is published."""

    selector: bytes
    algorithm: bytes
    private: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

    def sign(self, octets: bytes) -> bytes:
        """The signature of *octets*."""
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(octets, padding.PKCS1v15(), hashes.SHA256())
        return self.private.sign(hashlib.sha256(octets).digest())  # RFC 8463 3: of the hash


def load_key(selector: bytes, algorithm: bytes, octets: bytes) -> SigningKey:
    """The private key in *octets* (PKCS 8, DER).

    Raises:
        BadKey: it is none, or not one for *algorithm*.
    """
    try:
        # We made it ourselves, and it came sealed: to prove once more that its primes are primes costs 30 ms.
        private = serialization.load_der_private_key(octets, None, unsafe_skip_rsa_key_validation=True)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadKey("not a private key") from error
    is_rsa = isinstance(private, rsa.RSAPrivateKey) and private.key_size >= MIN_RSA_BITS
    if (algorithm == RSA and is_rsa) or (algorithm == ED25519 and isinstance(private, ed25519.Ed25519PrivateKey)):
        assert isinstance(private, rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey)
        return SigningKey(selector, algorithm, private)
    raise BadKey("not a key for this algorithm")


def sign(
    fields: Sequence[bytes], body_hash: bytes, key: SigningKey, domain: bytes, now: int, seconds: int = 0, *,
    header_form: Form = Form.RELAXED, body_form: Form = Form.RELAXED,
) -> bytes:  # fmt: skip
    """The DKIM-Signature field of a message with these *fields*, with its line end.

    *body_hash* is that of its body in *body_form*. *now* is in seconds since 1970; with *seconds*, the signature is good
    for so long (x=).
    """
    names = names_to_sign(fields)
    until = b" x=%d;" % (now + seconds) if seconds else b""
    field = b"DKIM-Signature: v=1; a=%b; c=%b/%b; d=%b;\r\n\ts=%b; t=%d;%b\r\n\th=%b;\r\n\tbh=%b;\r\n\tb=\r\n" % (
        key.algorithm, header_form.value, body_form.value, domain, key.selector, now, until, _listed(names),
        base64.b64encode(body_hash),
    )  # fmt: skip
    signature = base64.b64encode(key.sign(signed_octets(fields, names, field, header_form)))
    lines = (signature[start : start + _WIDTH] for start in range(0, len(signature), _WIDTH))
    return field[:-2] + b"\r\n\t ".join(lines) + b"\r\n"


def _listed(names: Iterable[bytes]) -> bytes:
    """*names* with colons between them, in several lines."""
    lines = [b""]
    for name in names:
        if len(lines[-1]) + len(name) >= _WIDTH:
            lines.append(b"")
        lines[-1] += name + b":"
    return b"\r\n\t ".join(lines)[:-1]
