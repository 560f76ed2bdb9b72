"""Maildir folders below one domain's folder: found or made, never through a symbolic link; and how they reach the disk.

A reader would otherwise get wrong: O_NOFOLLOW speaks of the last part of a path only, so every part is opened by itself.
What lies below a domain's folder was put there by that domain's uid, which may have put links there.
"""

import contextlib
import ctypes
import os
from collections.abc import Iterator

from mta.record import dataclass

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE = 0o700  # The domain's uid and nobody else.
_PARTS = ("tmp", "new", "cur")

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class Maildir:
    """The two folders of one mailbox that a delivery passes through, opened."""

    tmp: int
    new: int

    def close(self) -> None:
        """Give both descriptors back."""
        os.close(self.new)
        os.close(self.tmp)


def open_folder(name: str, parent: int) -> int:
    """The folder *name* in *parent*, opened.

    Raises:
        FileNotFoundError: there is nothing of that name.
        NotADirectoryError: something else stands there, a symbolic link for example.
        OSError: it cannot be opened.
    """
    return os.open(name, _FOLDER, dir_fd=parent)


def make_folder(name: str, parent: int) -> int:
    """The folder *name* in *parent*, made when missing, opened.

    Raises:
        OSError: as `open_folder`, or it cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, _MODE, dir_fd=parent)
    return open_folder(name, parent)


def open_store(domain: int, store: str) -> Maildir:
    """The Maildir of *store* in the folder *domain*; the caller closes it.

    Raises:
        FileNotFoundError: it, or a part of it, was not made yet.
        OSError: it cannot be opened.
    """
    with _opened(open_folder(store, domain)) as outer, _opened(open_folder("Maildir", outer)) as root:
        tmp = open_folder("tmp", root)
        try:
            return Maildir(tmp, open_folder("new", root))
        except OSError:
            os.close(tmp)
            raise


def make_store(domain: int, store: str) -> None:
    """Make the Maildir of *store* in the folder *domain*, as far as it is missing. The caller syncs: one wait serves many.

    Raises:
        OSError: it cannot be made.
    """
    with _opened(make_folder(store, domain)) as outer, _opened(make_folder("Maildir", outer)) as root:
        for part in _PARTS:
            os.close(make_folder(part, root))


def names_in(folder: int) -> list[str]:
    """What is in *folder*, in no order.

    Raises:
        OSError: it cannot be read.
    """
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def sync_filesystem(descriptor: int) -> None:
    """Have everything written to the file system that holds *descriptor*: one wait for many files (syncfs(2)).

    Raises:
        OSError: the disk did not take it.
    """
    # Linux reports write errors here since 5.8, so this promises what fsync promises.
    if _libc.syncfs(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


@contextlib.contextmanager
def _opened(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)
