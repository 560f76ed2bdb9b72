"""Pairs of keys that a domain's mail is signed with (DKIM), and the TXT records for their public halves.

A reader would otherwise get wrong: to make one costs 40 ms and sometimes 200, so nobody makes them while he holds a
transaction. They are made here, sealed at once, and only then put where they belong.

Standards  RFC 6376 3.6.1, RFC 8301 3.2 (RSA of 2048 bits), RFC 8463 (Ed25519)
"""

import base64
import datetime as dt
from collections.abc import Container
from dataclasses import dataclass

# Loaded with the first RSA key otherwise, which in a process behind its walls is too late.
import cryptography.hazmat.backends.openssl.backend  # noqa: F401
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from mta import seal

RSA, ED25519 = "rsa-sha256", "ed25519-sha256"
RSA_BITS = 2048  # RFC 8301 3.2: what signers should use; the record of a longer one fits in no single packet of DNS
STRING = 255  # octets of one string of a TXT record (RFC 1035 3.3)
_KINDS = {RSA: "rsa", ED25519: "ed25519"}
_LETTERS = " bcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh pair."""

    algorithm: str
    public_key: str  # base64, as it stands in the record
    sealed_key: str  # base64; nobody but the role signer opens it


def make(signer: bytes) -> tuple[NewKey, ...]:
    """One of each kind, sealed to the public key *signer*.

    Raises:
        ValueError: that is no key.
    """
    rsa_key = rsa.generate_private_key(65537, RSA_BITS)
    ed_key = ed25519.Ed25519PrivateKey.generate()
    rsa_public = rsa_key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    publics = ((RSA, rsa_key, rsa_public), (ED25519, ed_key, ed_key.public_key().public_bytes_raw()))
    return tuple(NewKey(algorithm, _text(public), _text(_sealed(signer, key))) for algorithm, key, public in publics)


def selector(algorithm: str, seconds: int, taken: Container[str]) -> str:
    """A selector that never was: the day (of *seconds* since 1970), a letter where the day has several, and the kind.

    Never one of before: name servers and mail that is on its way remember what stood under it.

    Raises:
        ValueError: the day has no letter left.
    """
    day = dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y%m%d")
    for letter in _LETTERS:
        found = f"{day}{letter.strip()}-{_KINDS[algorithm]}"
        if found not in taken:
            return found
    raise ValueError("so many keys in one day")


def record_name(selector_: str, domain: str) -> str:
    """Under which name the TXT record stands."""
    return f"{selector_}._domainkey.{domain}"


def record(algorithm: str, public_key: str) -> str:
    """What the TXT record says."""
    return f"v=DKIM1; k={_KINDS[algorithm]}; p={public_key}"


def zone_line(name: str, text: str) -> str:
    """The record as a line of a zone file (RFC 1035 5.1), in strings that are short enough."""
    strings = " ".join(f'"{text[start : start + STRING]}"' for start in range(0, len(text), STRING))
    return f"{name}. IN TXT {strings}"


def _sealed(signer: bytes, key: rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    der = key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return seal.seal(signer, seal.SIGNING_KEY, der)


def _text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()
