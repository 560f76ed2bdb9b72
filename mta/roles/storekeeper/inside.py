"""What a child does inside one domain's folder, under that domain's uid. Nothing here runs with storekeeper's own rights.

A reader would otherwise get wrong: *folder* may hold anything its uid liked to put there: links, folders a hundred thousand
deep, names that are not text. A child can be led astray, but only into what its uid could reach anyway.
"""

import contextlib
import errno
import os
from collections.abc import Iterator

from mta.maildir import make_folder, make_store, names_in, open_folder

TRASH = ".trash"
PURGE_STEP = 5000  # entries removed by one child; the rest waits for the next
MAX_DEPTH = 64
_TRIES = 100
_TAKEN = frozenset({errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR})


class MoreToDo(Exception):
    """A step of PURGE_STEP entries is done, and something is left."""


def make(folder: int, store: str) -> None:
    """Make the Maildir of *store*; the caller syncs.

    Raises:
        OSError: it cannot be made.
    """
    make_store(folder, store)


def trash(folder: int, store: str, moment: int) -> None:
    """Put *store* aside, as of *moment*; the caller syncs. When it is not there, it is done already.

    Raises:
        OSError: it cannot be done.
    """
    with _trash_of(folder) as bin_:
        _put_aside(store, folder, bin_, moment)


def trash_all(folder: int, moment: int) -> None:
    """Put everything aside: the domain is gone. Its folder stays, for a `local` may have it open, until it is purged.

    Raises:
        OSError: it cannot be done.
    """
    with _trash_of(folder) as bin_:
        for name in names_in(folder):
            if name != TRASH:
                _put_aside(name, folder, bin_, moment)


@contextlib.contextmanager
def _trash_of(folder: int) -> Iterator[int]:
    bin_ = make_folder(TRASH, folder)
    try:
        yield bin_
    finally:
        os.close(bin_)


def _put_aside(name: str, folder: int, bin_: int, moment: int) -> None:
    for number in range(moment, moment + _TRIES):
        try:
            os.rename(name, f"{number}-{name}", src_dir_fd=folder, dst_dir_fd=bin_)
        except FileNotFoundError:
            return
        except OSError as error:
            # Put aside twice within a second: a folder is not renamed onto another that holds something.
            if error.errno not in _TAKEN:
                raise
        else:
            return
    raise FileExistsError(errno.EEXIST, "the names in the trash are taken")


def purge(folder: int, before: float) -> None:
    """Remove from the domain's trash what was put there *before* that moment.

    Raises:
        MoreToDo: there was more than one step.
        OSError: it cannot be done.
    """
    try:
        bin_ = open_folder(TRASH, folder)
    except FileNotFoundError:
        return
    try:
        steps = Steps(PURGE_STEP)
        for name in names_in(bin_):
            if is_older(name, before):
                steps.remove(name, bin_)
    finally:
        os.close(bin_)
    with contextlib.suppress(OSError):  # not empty, as a rule
        os.rmdir(TRASH, dir_fd=folder)


def is_older(name: str, before: float) -> bool:
    """Was `<moment>-<name>` put aside *before* that moment? What has no such name, storekeeper did not put there."""
    moment, dash, _ = name.partition("-")
    return bool(dash) and moment.isascii() and moment.isdigit() and len(moment) < 15 and int(moment) < before


class Steps:
    """Removes trees, at most *left* entries."""

    def __init__(self, left: int) -> None:
        self.left = left

    def remove(self, name: str, parent: int, depth: int = 0) -> None:
        """Remove *name* in *parent* and all that is below it.

        Raises:
            MoreToDo: the steps are used up.
            OSError: something cannot be removed, or lies too deep.
        """
        if self.left <= 0:
            raise MoreToDo
        try:
            os.unlink(name, dir_fd=parent)
        except IsADirectoryError:
            if depth >= MAX_DEPTH:
                raise OSError(errno.ELOOP, "folders too deep to be removed") from None
            folder = open_folder(name, parent)
            try:
                for entry in names_in(folder):
                    self.remove(entry, folder, depth + 1)
            finally:
                os.close(folder)
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(name, dir_fd=parent)
        self.left -= 1
