"""Passwords: hashed with argon2id, then sealed so that only the authenticator can read the hash.

A reader would otherwise get wrong: nothing here can open a seal. Database, backups and the web process hold sealed hashes
only, so a copy of them gives nobody a hash to guess against.

The format of a seal stands in `mta.seal`; what is sealed is the hash in PHC string format.
"""

import base64
import secrets
from pathlib import Path

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError
from argon2.low_level import Type

from appliance.errors import Invalid, Unable
from mta import seal

PUBLIC_KEY = Path("keys/authenticator.pub")
PRIVATE_KEY = Path("keys/authenticator.key")
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
        return base64.b64encode(seal.seal(self._recipient, seal.PASSWORD_HASH, phc.encode())).decode()


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
