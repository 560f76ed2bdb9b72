"""Passwords: hashed with argon2id, then sealed so that only the authenticator can read the hash.

Beside a mailbox's hash lies what SCRAM-SHA-256 wants of its password (`mta.scram`). Hashes that other programs made are taken
as they are (`mta.schemes` has the list); the authenticator replaces them when the password is next shown.

A reader would otherwise get wrong: nothing here can open a seal. Database, backups and the web process hold sealed hashes
only, so a copy of them gives nobody a hash to guess against.

The format of a seal stands in `mta.seal`.
"""

import base64
import hashlib
import secrets
from pathlib import Path

from argon2 import PasswordHasher

from appliance.errors import Invalid, Unable
from appliance.services import addresses
from mta import schemes, scram, seal

PUBLIC_KEY = Path("keys/authenticator.pub")
PRIVATE_KEY = Path("keys/authenticator.key")
MIN_LENGTH, MAX_LENGTH = 8, 1000  # characters, octets (one field of the wire)

# 17 ms on this year's machines (19 MiB, two passes): IMAP and SMTP clients log in often.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
# No letters or digits that are read for one another: one-time passwords are copied by hand.
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


class Sealer:
    """Seals hashes to the authenticator's public key (32 octets)."""

    def __init__(self, public_key: bytes) -> None:
        seal.seal(
            public_key, seal.PASSWORD_HASH, b""
        )  # A key that is none is found out here, not with the first password.
        self._recipient = public_key

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

    def seal_password(self, password: str, address: str = "") -> str:
        """The sealed hash of *password*; takes as long as a login. With the *address* of a mailbox SCRAM can be had with it.

        Raises:
            Invalid: too short or too long.
        """
        return self.seal(_HASHER.hash(check_password(password)), self._keys(password, address))

    def seal_hash(self, text: str) -> str:
        """The sealed form of a hash made elsewhere: argon2id in PHC string format, or one of the schemes of `mta.schemes`.

        Raises:
            Invalid: it is none of those, or costs more than we would spend at each login.
        """
        try:
            known = schemes.recognise(text.encode())
        except (schemes.SchemeError, UnicodeEncodeError) as error:
            raise Invalid(str(error), code="bad_password_hash", field="password_hash") from error
        if known.family is schemes.Family.PLAIN:
            return self.seal(_HASHER.hash(known.text))
        return self.seal(text)

    def seal_app_password(self, secret: str, address: str) -> str:
        """The same for an app password, which is random and needs no slow hash."""
        return self.seal("sha256:" + hashlib.sha256(secret.encode()).hexdigest(), self._keys(secret, address))

    def _keys(self, secret: str, address: str) -> scram.Keys | None:
        if not address:
            return None
        try:
            key = addresses.key_of(addresses.parse_address(address)).encode()
        except Invalid:
            return None  # Whoever makes the mailbox says what is wrong with it.
        return scram.keys_of(secret.encode(), scram.salt_of(self._recipient, key))

    def seal(self, stored: str, keys: scram.Keys | None = None) -> str:
        """The blob for a hash, and the keys beside it."""
        content = scram.join(stored.encode(), keys)
        return base64.b64encode(seal.seal(self._recipient, seal.PASSWORD_HASH, content)).decode()


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


def one_time_password() -> str:
    """Twenty characters, 100 bits."""
    characters = "".join(secrets.choice(_ALPHABET) for _ in range(20))
    return "-".join(characters[at : at + 5] for at in range(0, 20, 5))
