"""Seals octets to one role's public key; only that role opens them.

    blob = 0x01 ‖ ephemeral public key (32) ‖ ChaCha20-Poly1305 ciphertext
    key  = HKDF-SHA256(X25519(ours, ephemeral), salt = ephemeral public ‖ our public, info = purpose)

Standards: RFC 7748 (X25519), 5869 (HKDF), 8439 (ChaCha20-Poly1305).

A reader would otherwise get wrong: the nonce of twelve zero bytes is right here. Each key seals one message, since the
private half of the ephemeral key is thrown away after it.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# What a seal is for stands in it: one made for a role and a purpose opens for no other, whoever moves the blob about.
PASSWORD_HASH = b"postern sealed hash v1"  # to the authenticator
TLS_KEY = b"postern sealed tls key v1"  # to tls
SOURCE_SECRET = b"postern sealed source secret v1"  # to source
SIGNING_KEY = b"postern sealed signing key v1"  # to signer
ROUTE_SECRET = b"postern sealed route secret v1"  # to remotespawn
WEBHOOK_SECRET = b"postern sealed webhook secret v1"  # to compiler
SECOND_FACTOR = b"postern sealed second factor v1"  # to the authenticator

_VERSION = b"\x01"
_KEY_OCTETS = 32
_NONCE = bytes(12)


class NotOpened(Exception):
    """Not sealed to us, or for something else, or changed since."""


def seal(public_key: bytes, purpose: bytes, octets: bytes) -> bytes:
    """*octets* sealed to who has the private half of *public_key* (32 octets).

    Raises:
        ValueError: the key is none.
    """
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(public_key))
    return _VERSION + public + _cipher(shared, public + public_key, purpose).encrypt(_NONCE, octets, None)


def make_key_pair() -> tuple[bytes, bytes]:
    """A fresh private and public key, 32 octets each."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()


class Opener:
    """Holds the private key (32 octets)."""

    def __init__(self, private_key: bytes, purpose: bytes) -> None:
        """Raises ValueError for a key that is none."""
        self._key = X25519PrivateKey.from_private_bytes(private_key)
        self._public = self._key.public_key().public_bytes_raw()
        self._purpose = purpose

    @property
    def public_key(self) -> bytes:
        """To which one seals for us."""
        return self._public

    def beside(self, purpose: bytes) -> "Opener":
        """For what is sealed to the same key for another *purpose*."""
        return Opener(self._key.private_bytes_raw(), purpose)

    def open(self, blob: bytes) -> bytes:
        """What is in *blob*.

        Raises:
            NotOpened: as it says.
        """
        version, ephemeral, sealed = blob[:1], blob[1 : 1 + _KEY_OCTETS], blob[1 + _KEY_OCTETS :]
        if version != _VERSION or len(ephemeral) != _KEY_OCTETS:
            raise NotOpened("a seal of an unknown version")
        try:
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            return _cipher(shared, ephemeral + self._public, self._purpose).decrypt(_NONCE, sealed, None)
        except (InvalidTag, ValueError) as error:
            raise NotOpened("sealed to another key, or changed since") from error


def read_opener(file: str | os.PathLike[str], purpose: bytes) -> Opener | None:
    """The opener for the private key in *file*; None: there is none, and then nothing opens. A role serves without."""
    try:
        with open(file, "rb") as stream:  # noqa: PTH123 - as in `mta.wire.control.Start.path`
            return Opener(stream.read(), purpose)
    except (OSError, ValueError):
        return None


def _cipher(shared: bytes, salt: bytes, purpose: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(HKDF(hashes.SHA256(), length=_KEY_OCTETS, salt=salt, info=purpose).derive(shared))
