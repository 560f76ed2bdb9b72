"""dkimpy, for whom our signatures must hold and whose we must believe; and keys for both."""

import base64
import functools
from collections.abc import Mapping

import dkim
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mta.message.dkim.signing import ED25519, RSA, SigningKey

DOMAIN = b"example.org"


@functools.cache
def key_pair() -> tuple[SigningKey, SigningKey]:
    """One of each kind."""
    return (
        SigningKey(b"s-rsa", RSA, rsa.generate_private_key(65537, 2048)),
        SigningKey(b"s-ed", ED25519, ed25519.Ed25519PrivateKey.generate()),
    )


@functools.cache
def records() -> Mapping[bytes, bytes]:
    """Name to TXT record."""
    rsa_key, ed_key = key_pair()
    der = rsa_key.private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    raw = ed_key.private.public_key().public_bytes_raw()
    return {
        b"s-rsa._domainkey." + DOMAIN: b"v=DKIM1; k=rsa; p=" + base64.b64encode(der),
        b"s-ed._domainkey." + DOMAIN: b"v=DKIM1; k=ed25519; p=" + base64.b64encode(raw),
    }


def look_up(name: bytes) -> list[bytes]:
    """As `mta.message.dkim.verifying` wants it."""
    record = records().get(name)
    return [record] if record else []


def dkimpy_verifies(message: bytes, place: int) -> bool:
    """Does dkimpy believe the signature at *place*?"""
    return bool(dkim.DKIM(message).verify(place, dnsfunc=lambda name, timeout=5: records().get(name.rstrip(b"."))))


@functools.cache
def _their_rsa() -> bytes:
    return key_pair()[0].private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )


def dkimpy_signs(message: bytes, key: SigningKey, forms: tuple[bytes, bytes], *, length: bool = False) -> bytes:
    """dkimpy's field for *message*."""
    secret = _their_rsa() if key.algorithm == RSA else base64.b64encode(key.private.private_bytes_raw())
    return dkim.DKIM(message).sign(
        key.selector, DOMAIN, secret, signature_algorithm=key.algorithm, canonicalize=forms, length=length
    )
