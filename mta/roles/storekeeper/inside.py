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
PURGE_STEP = 5000  # entries removed, or moved back, by one child; the rest waits for the next
GRACE = 2 * 24 * 3600  # seconds that what is kept for a removal outlives its time, when nobody says that it may go
MAX_DEPTH = 64
_TRIES = 100
_NO_STORES = frozenset({"", ".", "..", TRASH})
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


def keep(folder: int, store: str, removal: int, until: int) -> None:
    """Put *store* aside for a removal; the caller syncs. What a delivery under way left there meanwhile follows.

    Raises:
        OSError: it cannot be done.
    """
    with _trash_of(folder) as bin_:
        _move(store, folder, _kept_name(until, removal, store), bin_, Steps(PURGE_STEP))


def keep_all(folder: int, removal: int, until: int) -> None:
    """As `keep`, for everything in a domain.

    Raises:
        OSError: it cannot be done.
    """
    for name in names_in(folder):
        if name != TRASH:
            keep(folder, name, removal, until)


def restore(folder: int, removal: int) -> None:
    """Put back whatever was kept for *removal*; the caller syncs. What came in since stays beside it.

    Raises:
        MoreToDo: there was more than one step.
        OSError: it cannot be done.
    """
    with _trash_of(folder) as bin_:
        steps = Steps(PURGE_STEP)
        for name in names_in(bin_):
            kept = _kept(name)
            if kept is not None and kept[1] == removal:
                _move(name, bin_, kept[2], folder, steps)


def drop(folder: int, removal: int) -> None:
    """Mark whatever was kept for *removal* as what may go; the caller syncs.

    Raises:
        OSError: it cannot be done.
    """
    with _trash_of(folder) as bin_:
        for name in names_in(bin_):
            kept = _kept(name)
            if kept is not None and kept[0] and kept[1] == removal:
                _move(name, bin_, _kept_name(0, removal, kept[2]), bin_, Steps(PURGE_STEP))


def _kept_name(until: int, removal: int, store: str) -> str:
    return f"u{until}-{removal}-{store}"


def _kept(name: str) -> tuple[int, int, str] | None:
    """From a `_kept_name`: until when, the removal, the store; None: it is none."""
    until, _, rest = name[1:].partition("-")
    removal, dash, store = rest.partition("-")
    if name[:1] != "u" or not dash or store in _NO_STORES or not (_is_number(until) and _is_number(removal)):
        return None
    return int(until), int(removal), store


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


def _move(name: str, parent: int, new_name: str, new_parent: int, steps: "Steps", depth: int = 0) -> None:
    """Move *name*. Where there is a folder already it goes into that, entry by entry; a file that is there already stays.

    Whatever is interrupted is gone on with by doing it again.
    """
    if steps.left <= 0:
        raise MoreToDo
    if not _is_there(new_name, new_parent):
        with contextlib.suppress(FileNotFoundError):
            os.rename(name, new_name, src_dir_fd=parent, dst_dir_fd=new_parent)
            steps.left -= 1
        return
    with contextlib.ExitStack() as opened:
        try:
            source, target = (_opened(opened, *each) for each in ((name, parent), (new_name, new_parent)))
        except (NotADirectoryError, FileNotFoundError):
            return
        if depth < MAX_DEPTH:
            for entry in names_in(source):
                _move(entry, source, entry, target, steps, depth + 1)
    with contextlib.suppress(OSError):  # not empty: what is there twice
        os.rmdir(name, dir_fd=parent)


def _opened(stack: contextlib.ExitStack, name: str, parent: int) -> int:
    folder = open_folder(name, parent)
    stack.callback(os.close, folder)
    return folder


def _is_there(name: str, parent: int) -> bool:
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


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


def purge(folder: int, before: float, now: float) -> None:
    """Remove from the domain's trash what was put there *before* that moment, and what was kept for removals till *now*.

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
            if is_older(name, before) or is_over(name, now):
                steps.remove(name, bin_)
    finally:
        os.close(bin_)
    with contextlib.suppress(OSError):  # not empty, as a rule
        os.rmdir(TRASH, dir_fd=folder)


def is_older(name: str, before: float) -> bool:
    """Was `<moment>-<name>` put aside *before* that moment? What has no such name, storekeeper did not put there."""
    moment, dash, _ = name.partition("-")
    return bool(dash) and moment.isascii() and moment.isdigit() and len(moment) < 15 and int(moment) < before


def is_over(name: str, now: float) -> bool:
    """Was *name* kept for a removal, and need not be any more?"""
    kept = _kept(name)
    return kept is not None and (not kept[0] or kept[0] + GRACE < now)


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
