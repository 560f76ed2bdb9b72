"""What is slow to make and the same at each start: kept beside the sources, as Python keeps compiled modules.

A reader would otherwise get wrong: this trusts nothing that is not trusted already. Whoever may write here may write the
modules' own `__pycache__`, which the same process loads at the same moment, before it gives anything away. Where nobody may
write, things are made at each start, as modules are.
"""

import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger("postern.web")

FOLDER = "__pycache__"
# Of whose code it is what is kept: ours, and the libraries that speak in the description of the API.
MAKERS = frozenset({"appliance", "fastapi", "mta", "pydantic", "web"})


def take(file: Path) -> bytes:
    """What was kept in *file*; empty if nothing was, or not for us."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, PermissionError):
        return b""


def keep(file: Path, octets: bytes) -> None:
    """Keep *octets* in *file*, whole or not at all: others may be starting at the same time.

    A disk that takes nothing, because it is full or not ours, is no reason to serve nobody: it is made anew next time.
    """
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(exist_ok=True)
        beside.write_bytes(octets)
        beside.replace(file)
    except OSError as error:
        log.info("%s is not kept: %s", file.name, error.strerror)
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)


def kept(file: Path, make: Callable[[], bytes]) -> bytes:
    """What *make* answers; from *file*, if no loaded module of MAKERS has changed since it was put there."""
    sources = _sources()
    seal, octets = (last := take(file))[: hashlib.sha256().digest_size], last[hashlib.sha256().digest_size :]
    if seal != hashlib.sha256(sources + octets).digest():
        octets = make()
        keep(file, hashlib.sha256(sources + octets).digest() + octets)
    return octets


def _sources() -> bytes:
    """By what Python itself knows a changed source: its size and its time."""
    files = sorted(
        Path(file)
        for name, module in [*sys.modules.items()]
        if name.partition(".")[0] in MAKERS and (file := getattr(module, "__file__", None))
    )
    return repr([(str(file), (known := file.stat()).st_size, known.st_mtime_ns) for file in files]).encode()
