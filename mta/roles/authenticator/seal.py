"""Opens what was sealed to our public key.

    blob = 0x01 ‖ ephemeral public key (32) ‖ ChaCha20-Poly1305 ciphertext
    key  = HKDF-SHA256(X25519(ours, ephemeral), salt = ephemeral public ‖ our public, info = "postern sealed hash v1")

A reader would otherwise get wrong: the nonce of twelve zero bytes is right here. Each key seals one message, since the
private half of the ephemeral key is thrown away after it.
"""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_VERSION = b"\x01"
_INFO = b"postern sealed hash v1"
_KEY_OCTETS = 32
_NONCE = bytes(12)


class NotOpened(Exception):
    """Not sealed to us, or changed since."""


class Opener:
    """Holds the private key (32 octets)."""

    def __init__(self, private_key: bytes) -> None:
        """Raises ValueError for a key that is none."""
        self._key = X25519PrivateKey.from_private_bytes(private_key)
        self._public = self._key.public_key().public_bytes_raw()

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
            derive = HKDF(hashes.SHA256(), length=_KEY_OCTETS, salt=ephemeral + self._public, info=_INFO)
            return ChaCha20Poly1305(derive.derive(shared)).decrypt(_NONCE, sealed, None)
        except (InvalidTag, ValueError) as error:
            raise NotOpened("sealed to another key, or changed since") from error
