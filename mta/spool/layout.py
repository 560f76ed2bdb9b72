"""Where the files of one queue id are, and the few things anybody may do with them. Works below opened folders only.

A reader would otherwise get wrong: a role opens its folders *before* it enters the sandbox and names every file relative
to them. There is no path in here that a message could influence: a name is a queue id, or it is refused.
"""

import ctypes
import errno
import os
from collections.abc import Iterator

from mta.vocabulary import is_queue_id

CONTENT = "spool/content"
ENVELOPE = "spool/envelope"
PROGRESS = "spool/progress"

FILE_MODE = 0o644  # "Others" are the one role that holds the folder besides its owner: their parent is closed to all.

_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_APPEND = os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW

_libc = ctypes.CDLL(None, use_errno=True)


class Folder:
    """One of the spool's three folders, by its descriptor."""

    __slots__ = ("descriptor",)

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    @classmethod
    def open(cls, state: str | os.PathLike[str], part: str) -> "Folder":
        """The folder *part* (CONTENT, ENVELOPE or PROGRESS) below the state directory.

        Raises:
            OSError: it is not there, or not ours to enter.
        """
        return cls(os.open(f"{os.fspath(state)}/{part}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def create(self, queue_id: bytes) -> int:
        """A descriptor to write the new file of *queue_id* with.

        Raises:
            ValueError: not a queue id.
            OSError: it exists already, or the disk refuses.
        """
        return os.open(_name(queue_id), _CREATE, FILE_MODE, dir_fd=self.descriptor)

    def append(self, queue_id: bytes) -> int:
        """A descriptor to append to the file of *queue_id* with, made when missing.

        Raises:
            ValueError: not a queue id.
            OSError: the disk refuses.
        """
        return os.open(_name(queue_id), _APPEND, FILE_MODE, dir_fd=self.descriptor)

    def read(self, queue_id: bytes, max_octets: int) -> bytes | None:
        """The first *max_octets* of the file of *queue_id*; None when there is none.

        Raises:
            ValueError: not a queue id.
            OSError: the disk refuses.
        """
        try:
            descriptor = os.open(_name(queue_id), _READ, dir_fd=self.descriptor)
        except FileNotFoundError:
            return None
        try:
            return _read_up_to(descriptor, max_octets)
        finally:
            os.close(descriptor)

    def size(self, queue_id: bytes) -> int | None:
        """How many octets the file of *queue_id* has; None when there is none.

        Raises:
            ValueError: not a queue id.
            OSError: the disk refuses.
        """
        try:
            return os.stat(_name(queue_id), dir_fd=self.descriptor, follow_symlinks=False).st_size
        except FileNotFoundError:
            return None

    def remove(self, queue_id: bytes) -> bool:
        """Unlink the file of *queue_id*; was there one?

        Raises:
            ValueError: not a queue id.
            OSError: the disk refuses.
        """
        try:
            os.unlink(_name(queue_id), dir_fd=self.descriptor)
        except FileNotFoundError:
            return False
        return True

    def queue_ids(self) -> Iterator[bytes]:
        """The queue ids in this folder, in no order; what is not named by one is not ours and is passed over.

        Raises:
            OSError: the disk refuses.
        """
        # A scan shares its position with the descriptor it runs on, so each gets one of its own.
        own = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            with os.scandir(own) as entries:
                for entry in entries:
                    name = os.fsencode(entry.name)
                    if is_queue_id(name):
                        yield name
        finally:
            os.close(own)

    def sync(self) -> None:
        """Make the names in this folder durable.

        Raises:
            OSError: the disk refuses.
        """
        os.fsync(self.descriptor)

    def sync_file_system(self) -> None:
        """Make everything on this folder's file system durable: contents, and names in every folder.

        Raises:
            OSError: the disk refuses, or has failed to write something since the last time.
        """
        if _libc.syncfs(self.descriptor) != 0:
            number = ctypes.get_errno() or errno.EIO
            raise OSError(number, os.strerror(number))


def write_all(descriptor: int, octets: bytes) -> None:
    """Write all of *octets*.

    Raises:
        OSError: the disk refuses.
    """
    view = memoryview(octets)
    while view:
        view = view[os.write(descriptor, view) :]


def _read_up_to(descriptor: int, max_octets: int) -> bytes:
    first = os.read(descriptor, min(max_octets, 65536))
    if len(first) < min(max_octets, 65536):
        return first  # Regular files read short only at their end.
    parts, missing = [first], max_octets - len(first)
    while missing > 0 and (part := os.read(descriptor, missing)):
        parts.append(part)
        missing -= len(part)
    return b"".join(parts)


def _name(queue_id: bytes) -> str:
    if not is_queue_id(queue_id):
        raise ValueError("not a queue id")
    return queue_id.decode("ascii")
