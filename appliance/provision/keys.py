"""The authenticator's key pair: made once, by `init`.

A reader would otherwise get wrong: losing the private half loses every password, for nothing else opens the sealed hashes. It
belongs into the backup, apart from the database.
"""

import os
from pathlib import Path

from appliance.services.passwords import PRIVATE_KEY, PUBLIC_KEY, make_key_pair


def make_keys(state: Path) -> bool:
    """Make the pair when there is none; False when there is.

    Raises:
        OSError: the folder cannot be written.
    """
    if (state / PRIVATE_KEY).exists():
        return False
    private, public = make_key_pair()
    _write(state / PRIVATE_KEY, private, 0o600)
    _write(state / PUBLIC_KEY, public, 0o644)
    return True


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
