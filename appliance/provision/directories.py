"""Puts the state folder into the form that `mta.roster.FOLDERS` tells, at every start.

A reader would otherwise get wrong: the database file is `db/postern.db`; `postern.db` beside it is a symlink. SQLite writes
its log files beside the real file, and rights are given by folder.
"""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from appliance.config import Settings
from appliance.errors import Unable
from appliance.provision.os_users import is_root, uid_of
from mta import roster

DATABASE = "postern.db"
DATABASE_FOLDER = "db"
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_DATABASE_MODE = 0o660
# Besides the folders themselves, what lies in these is given back to its owner: commands that root ran may have left files.
_AUDIENCES = ("recipients", "credentials", "certificates", "sources", "routes", "signing")
_CONTENTS_MENDED = ("db", *(f"snapshot/{audience}" for audience in _AUDIENCES), "ledger", "log")


def prepare(settings: Settings) -> list[str]:
    """Make and mend the tree. Returns a line for each thing that was not as it should be.

    Raises:
        Unable: the state folder cannot be written.
    """
    try:
        return [*_prepare(settings.state, settings.host.uid_base)]
    except OSError as error:
        reason = error.strerror or str(error)
        raise Unable(
            f"the state folder {settings.state} cannot be prepared: {error.filename}: {reason}", code="state_folder"
        ) from error


def problems(settings: Settings) -> list[str]:
    """What `prepare` would mend; changes nothing."""
    return [
        text
        for folder in roster.FOLDERS
        for text in _differences(settings.state / folder.path, folder, settings.host.uid_base)
    ]


def _prepare(state: Path, uid_base: int) -> Iterator[str]:
    state.mkdir(parents=True, exist_ok=True)
    for folder in roster.FOLDERS:
        path = state / folder.path
        found = _differences(path, folder, uid_base)
        path.mkdir(exist_ok=True)
        if found:
            _apply(path, folder, uid_base)
        yield from found
        if folder.path in _CONTENTS_MENDED and is_root():
            yield from _mend_contents(path, folder, uid_base)
    yield from _place_database(state)


def _owner_of(folder: roster.Folder, uid_base: int) -> tuple[int, int]:
    # A role's gid has the number of its uid; a role that shares another's group is named by that one here.
    return uid_of(folder.owner, uid_base), uid_of(folder.group, uid_base)


def _mode_of(folder: roster.Folder) -> int:
    # Without root there is one uid: what root gives to groups and others, the owner has already.
    return folder.mode if is_root() else folder.mode & 0o7700 | 0o700


def _differences(path: Path, folder: roster.Folder, uid_base: int) -> list[str]:
    if not path.exists():
        return [f"{path} is missing"]
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode):
        return [f"{path} is not a folder"]
    found = []
    if is_root() and (info.st_uid, info.st_gid) != _owner_of(folder, uid_base):
        found.append(
            f"{path} belongs to {info.st_uid}:{info.st_gid}, not to {':'.join(map(str, _owner_of(folder, uid_base)))}"
        )
    if stat.S_IMODE(info.st_mode) != _mode_of(folder):
        found.append(f"{path} has mode {stat.S_IMODE(info.st_mode):o}, not {_mode_of(folder):o}")
    return found


def _apply(path: Path, folder: roster.Folder, uid_base: int) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if is_root():
            os.fchown(descriptor, *_owner_of(folder, uid_base))  # First: a change of owner takes setgid away.
        os.fchmod(descriptor, _mode_of(folder))
    finally:
        os.close(descriptor)


def _mend_contents(path: Path, folder: roster.Folder, uid_base: int) -> Iterator[str]:
    owner, group = _owner_of(folder, uid_base)
    with os.scandir(path) as entries:
        for entry in entries:
            info = entry.stat(follow_symlinks=False)
            # A second link could be to any file of this host: giving that away would be a role's way to it.
            if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1:
                continue
            right_group = folder.path != DATABASE_FOLDER or info.st_gid == group
            if info.st_uid in (uid_of("compiler", uid_base), owner) and right_group:
                continue
            os.chown(entry.path, owner, group, follow_symlinks=False)
            if folder.path == DATABASE_FOLDER:
                os.chmod(entry.path, _DATABASE_MODE)  # noqa: PTH101 - a regular file, looked at just now
            yield f"{entry.path} belonged to {info.st_uid}:{info.st_gid}"


def _place_database(state: Path) -> Iterator[str]:
    """Move a regular postern.db into db/ (a restored copy, perhaps) and leave the symlink."""
    link, real = state / DATABASE, state / DATABASE_FOLDER / DATABASE
    if link.is_symlink() and str(link.readlink()) == f"{DATABASE_FOLDER}/{DATABASE}":
        return
    if link.is_symlink():
        raise OSError(0, "is a symlink to somewhere else; the database lies in db/", str(link))
    if link.exists():
        for suffix in _SUFFIXES:
            # The log of another database beside this file would be played back into it.
            real.with_name(DATABASE + suffix).unlink(missing_ok=True)
            beside = link.with_name(DATABASE + suffix)
            if beside.exists():
                beside.rename(real.with_name(DATABASE + suffix))
        _give_database(state, real)
        yield f"{link} moved into {DATABASE_FOLDER}/"
    link.symlink_to(f"{DATABASE_FOLDER}/{DATABASE}")


def _give_database(state: Path, real: Path) -> None:
    folder = (state / DATABASE_FOLDER).stat()
    for suffix in _SUFFIXES:
        path = real.with_name(DATABASE + suffix)
        if path.exists():
            if is_root():
                os.chown(path, folder.st_uid, folder.st_gid, follow_symlinks=False)
            path.chmod(_DATABASE_MODE if is_root() else 0o600)


def give_database(settings: Settings) -> None:
    """Give a database file that root has just made to those who use it."""
    if settings.database_file == settings.state / DATABASE:
        _give_database(settings.state, settings.state / DATABASE_FOLDER / DATABASE)
