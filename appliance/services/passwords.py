"""Passwords: hashed with argon2id, then sealed so that only the authenticator can read the hash.

A reader would otherwise get wrong: nothing here can open a seal. Database, backups and the web process hold sealed hashes
only, so a copy of them gives nobody a hash to guess against.

    blob = base64(0x01 ‖ ephemeral public key (32) ‖ ChaCha20-Poly1305 ciphertext)
    key  = HKDF-SHA256(X25519(ephemeral, recipient), salt = ephemeral public ‖ recipient public, info = "postern sealed hash v1")

The nonce is twelve zero bytes: each key seals one message, for its ephemeral half is thrown away. The plaintext is the hash
in PHC string format.
"""

import base64
import secrets
from pathlib import Path

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.low_level import Type
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.errors import Invalid, Unable

PUBLIC_KEY = Path("keys/authenticator.pub")
PRIVATE_KEY = Path("keys/authenticator.key")
VERSION = b"\x01"
INFO = b"postern sealed hash v1"
MIN_LENGTH, MAX_LENGTH = 8, 1000  # characters, octets (one field of the wire)

# 17 ms on this year's machines (19 MiB, two passes): IMAP and SMTP clients log in often.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# What an imported hash may cost us at each login.
_MAX_MEMORY_KIB, _MAX_TIME, _MAX_LANES = 256 * 1024, 10, 8
# No letters or digits that are read for one another: one-time passwords are copied by hand.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class Sealer:
    """Seals hashes to the authenticator's public key (32 octets)."""

    def __init__(self, public_key: bytes) -> None:
        self._recipient = public_key
        self._key = X25519PublicKey.from_public_bytes(public_key)

    @classmethod
    def of(cls, state: Path) -> "Sealer":
        """The sealer for the appliance whose state folder is *state*.

        Raises:
            Unable: its key is not there.
        """
        try:
            return cls((state / PUBLIC_KEY).read_bytes())
        except (OSError, ValueError) as error:
            raise Unable(f"{state / PUBLIC_KEY} cannot be read: `postern init` makes it", code="no_key") from error

    def seal_password(self, password: str) -> str:
        """The sealed hash of *password*; takes as long as a login.

        Raises:
            Invalid: too short or too long.
        """
        return self.seal(_HASHER.hash(check_password(password)))

    def seal_hash(self, phc: str) -> str:
        """The sealed form of a hash made elsewhere.

        Raises:
            Invalid: it is not argon2id in PHC string format, or costs more than we would spend at each login.
        """
        try:
            cost = extract_parameters(phc)
        except (InvalidHashError, ValueError) as error:
            raise _bad_hash("a password hash starts with $argon2id$v=19$") from error
        if cost.type is not Type.ID or cost.version != 19 or not phc.isascii() or len(phc) > 300:
            raise _bad_hash("a password hash starts with $argon2id$v=19$")
        if cost.memory_cost > _MAX_MEMORY_KIB or cost.time_cost > _MAX_TIME or cost.parallelism > _MAX_LANES:
            raise _bad_hash(f"this hash costs too much: at most m={_MAX_MEMORY_KIB},t={_MAX_TIME},p={_MAX_LANES}")
        return self.seal(phc)

    def seal(self, phc: str) -> str:
        """The blob for *phc*."""
        ephemeral = X25519PrivateKey.generate()
        public = ephemeral.public_key().public_bytes_raw()
        key = HKDF(hashes.SHA256(), 32, salt=public + self._recipient, info=INFO).derive(ephemeral.exchange(self._key))
        sealed = ChaCha20Poly1305(key).encrypt(bytes(12), phc.encode(), None)
        return base64.b64encode(VERSION + public + sealed).decode()


def check_password(password: str) -> str:
    """*password*, when it is one.

    Raises:
        Invalid: too short, too long, or not text.
    """
    try:
        octets = len(password.encode())
    except UnicodeEncodeError as error:
        raise Invalid("this password is not text", code="bad_password", field="password") from error
    if len(password) < MIN_LENGTH or octets > MAX_LENGTH:
        raise Invalid(
            f"a password has at least {MIN_LENGTH} characters and at most {MAX_LENGTH} octets",
            code="bad_password",
            field="password",
        )
    return password


def _bad_hash(sentence: str) -> Invalid:
    return Invalid(sentence, code="bad_password_hash", field="password_hash")


def one_time_password() -> str:
    """Twenty characters, 100 bits."""
    characters = "".join(secrets.choice(_ALPHABET) for _ in range(20))
    return "-".join(characters[at : at + 5] for at in range(0, 20, 5))


def make_key_pair() -> tuple[bytes, bytes]:
    """A fresh private and public key, 32 octets each."""
    private = X25519PrivateKey.generate()
    return private.private_bytes_raw(), private.public_key().public_bytes_raw()
