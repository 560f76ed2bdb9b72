"""What is kept of a password for SCRAM-SHA-256 (RFC 5802, 7677), and how it lies in a seal beside the hash.

    content of a seal = hash [LF base64(StoredKey ‖ ServerKey)]

A reader would otherwise get wrong: the salt is made from the name, for a name that exists as for one that does not. So there
is nothing about a salt that tells which it is, not even over the years, and all passwords of a mailbox (its own and those of
its apps) have one salt, without which a server could not tell which of them a client is about to prove.
"""

import base64
import binascii
import hashlib
import hmac
import stringprep
import unicodedata
from typing import Final

from mta.record import dataclass

ITERATIONS: Final = (
    10_000  # RFC 7677 4 asks for 4096 at least; the keys lie under a seal, so this is for the wire alone
)
SALT_OCTETS: Final = 16
_KEY_OCTETS: Final = 32
_PERSON: Final = b"postern scram salt\0"


@dataclass(frozen=True, slots=True)
class Keys:
    """StoredKey and ServerKey of RFC 5802 3."""

    stored: bytes
    server: bytes


def salt_of(public_key: bytes, name: bytes) -> bytes:
    """The salt of *name* (an address key), in the house whose authenticator has *public_key*."""
    return hmac.digest(public_key, _PERSON + name, "sha256")[:SALT_OCTETS]


def keys_of(secret: bytes, salt: bytes) -> Keys | None:
    """The keys for *secret*; None: it holds what no client may send (RFC 4013 2.3), and SCRAM is not to be had with it."""
    prepared = _prepare(secret)
    if prepared is None:
        return None
    salted = hashlib.pbkdf2_hmac("sha256", prepared, salt, ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return Keys(hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))


def join(stored_hash: bytes, keys: Keys | None) -> bytes:
    """The content of a seal."""
    if keys is None:
        return stored_hash
    return stored_hash + b"\n" + base64.b64encode(keys.stored + keys.server)


def split(content: bytes) -> tuple[bytes, Keys | None]:
    """Hash and keys from the content of a seal; what was sealed before there were keys has none."""
    stored_hash, _, text = content.partition(b"\n")
    try:
        octets = base64.b64decode(text, validate=True)
    except binascii.Error:
        return stored_hash, None
    if len(octets) != 2 * _KEY_OCTETS:
        return stored_hash, None
    return stored_hash, Keys(octets[:_KEY_OCTETS], octets[_KEY_OCTETS:])


def _prepare(secret: bytes) -> bytes | None:
    """*secret* as SASLprep (RFC 4013) has it, with unassigned code points let through (a query, RFC 3454 7)."""
    try:
        text = secret.decode()
    except UnicodeDecodeError:
        return None
    if text.isascii():
        return secret if text.isprintable() and secret else None
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    prepared = unicodedata.normalize("NFKC", mapped)
    return (
        None if not prepared or any(map(_is_prohibited, prepared)) or not _is_one_way(prepared) else prepared.encode()
    )


def _is_prohibited(char: str) -> bool:
    tables = (
        stringprep.in_table_c12, stringprep.in_table_c21_c22, stringprep.in_table_c3, stringprep.in_table_c4,
        stringprep.in_table_c5, stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8,
        stringprep.in_table_c9,
    )  # fmt: skip
    return any(table(char) for table in tables)


def _is_one_way(text: str) -> bool:
    """RFC 3454 6: with a letter that runs from right to left there is none of the other way, and both ends are of its kind."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    return not any(map(stringprep.in_table_d2, text)) and all(map(stringprep.in_table_d1, (text[0], text[-1])))
