"""Which files there are in a house, and how a taken-over role would try to come by those that are not its own."""

import os
from collections.abc import Iterator
from pathlib import Path

from mta import roster
from tests.attack.injector import Injected
from tests.attack.probes import NUMBERS

# What everybody may know: public keys, and the counts that the metrics port tells whoever can reach it.
PUBLIC = (
    *(f"keys/{role}.pub" for role in ("authenticator", "tls", "source", "remotespawn", "signer", "compiler")),
    "inject/",
    "figures/",
)
CLIMB = "../../../../../../../.."


def foreign_files(state: Path, role: roster.Role) -> Iterator[str]:
    """Paths below *state* that *role* was promised nothing about."""
    own = (*PUBLIC, *(f"{rule.path}/" for rule in role.paths))
    root = os.path.realpath(state)
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.realpath(f"{folder}/{name}").removeprefix(f"{root}/")
            if not path.startswith(own):
                yield path


def readable_only(role: roster.Role) -> Iterator[str]:
    """Folders that *role* may read but must not change; and all that it may not even see."""
    for folder in roster.FOLDERS:
        if folder.path and not any(
            rule.access is roster.Access.WRITE and f"{folder.path}/".startswith(f"{rule.path}/") for rule in role.paths
        ):
            yield folder.path


def ways_to(victim: Injected, state: Path, path: str) -> Iterator[int]:
    """Open *path* below *state* in every way there is: by its name, from the victim's root, and up from each folder it holds."""
    yield from _ways(victim, state, path, os.O_RDONLY, 0)


def ways_to_make(victim: Injected, state: Path, path: str) -> Iterator[int]:
    """Make the file *path* in the same ways."""
    yield from _ways(victim, state, path, os.O_WRONLY | os.O_CREAT, 0o600)


def _ways(victim: Injected, state: Path, path: str, flags: int, mode: int) -> Iterator[int]:
    for name in (f"{state}/{path}", f"/{path}"):
        yield _open(victim, -100, name, flags, mode)
    for descriptor, held in victim.folders.items():
        for name in (f"{CLIMB}{state}/{path}", f"{CLIMB}/{path}", os.path.relpath(f"{state}/{path}", held)):
            yield _open(victim, descriptor, name, flags, mode)


def _open(victim: Injected, descriptor: int, name: str, flags: int, mode: int) -> int:
    answer = victim.syscall(NUMBERS["openat"], descriptor, name.encode() + b"\0", flags, mode)
    if answer >= 0:
        victim.syscall(NUMBERS["close"], answer)
    return answer
