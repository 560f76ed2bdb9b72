"""The key pairs to which secrets are sealed, one for each role that opens some: made once, by `init`.

A reader would otherwise get wrong: nothing else opens what was sealed. Losing the authenticator's private half loses every
password, losing tls's every private key of a certificate, losing source's the passwords of directories, losing
remotespawn's those of routes, losing signer's the keys that mail is signed with, losing compiler's the secrets of webhooks.
They belong into the backup, apart from the database.
"""

import os
from pathlib import Path

from mta.seal import make_key_pair

ROLES = (
    "authenticator",
    "tls",
    "source",
    "remotespawn",
    "signer",
    "compiler",
)  # who is sealed to; keys/<role>.key is root's, which the role reads before it gives root away


def make_keys(state: Path) -> bool:
    """Make the pairs that are not there; False when all are.

    Raises:
        OSError: the folder cannot be written.
    """
    missing = [role for role in ROLES if not (state / "keys" / f"{role}.key").exists()]
    for role in missing:
        private, public = make_key_pair()
        _write(state / "keys" / f"{role}.key", private, 0o600)
        _write(state / "keys" / f"{role}.pub", public, 0o644)
    return bool(missing)


def _write(path: Path, octets: bytes, mode: int) -> None:
    """Whole or not at all, and on the disk: half a key would be found out by the first login."""
    half = path.with_name(path.name + ".new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        os.write(descriptor, octets)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    half.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
