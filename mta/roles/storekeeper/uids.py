"""Which uid is whose: a file of lines `<domain> <uid> <checksum>`, only ever appended to.

A reader would otherwise get wrong: a line is never taken out, not even when its domain is long gone. Its old mail, a backup
or a process may still belong to that uid.
"""

import errno
import hashlib
import os

from mta.vocabulary import is_domain

_NAME = ".uids"


class UidsUnreadable(Exception):
    """The list is damaged. Going on could give one uid to two domains."""


class NoUidLeft(OSError):
    """All uids of the range are given. An OSError like a full disk: what was asked for cannot be made now."""


class Uids:
    """The list, open for appending. With *count* 0 there is only one uid, and everybody's is 0: stay who you are."""

    def __init__(self, mail: int, first: int, count: int) -> None:
        """Read the list in the folder *mail*.

        Raises:
            UidsUnreadable: a line that is not the last is damaged, or a uid stands there twice.
            OSError: it cannot be opened.
        """
        self._first, self._end, self._mail = first, first + count, mail
        self._of: dict[str, int] = {}
        self._next = first
        self._file = -1
        if count:
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(_NAME, flags, 0o600, dir_fd=mail)
            self._read()

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What has to stay open."""
        return (self._file,) if self._file >= 0 else ()

    def known(self, domain: str) -> int | None:
        """The uid of *domain*, if it has one."""
        return 0 if self._file < 0 else self._of.get(domain)

    def of(self, domain: str) -> int:
        """The uid of *domain*, given and on the disk.

        Raises:
            NoUidLeft: the range is used up.
            OSError: the disk did not take it.
        """
        uid = self.known(domain)
        return self._give(domain) if uid is None else uid

    def _give(self, domain: str) -> int:
        if self._next >= self._end:
            raise NoUidLeft(errno.EUSERS, f"all {self._end - self._first} uids for domains are given")
        uid = self._next
        length = os.fstat(self._file).st_size
        try:
            _write_all(self._file, _line(domain, uid))
            os.fsync(self._file)
            os.fsync(self._mail)
        except OSError:
            # A full disk: half a line in the middle would make the whole list unreadable at the next start.
            os.ftruncate(self._file, length)
            raise
        self._next = uid + 1
        self._of[domain] = uid
        return uid

    def _read(self) -> None:
        octets = b""
        while block := os.pread(self._file, 1 << 20, len(octets)):
            octets += block
        *lines, torn = octets.split(b"\n")
        for line in lines:
            domain, uid = self._parse(line)
            if domain in self._of or uid < self._next:
                raise UidsUnreadable(f"mail/{_NAME}: {domain} or its uid stands there twice")
            self._of[domain] = uid
            self._next = uid + 1
        if torn:
            # The last append was interrupted before it was synced, so nobody was given that uid.
            os.ftruncate(self._file, len(octets) - len(torn))

    def _parse(self, line: bytes) -> tuple[str, int]:
        try:
            domain, number, _ = line.decode("ascii").split(" ")
            uid = int(number)
        except ValueError as error:
            raise UidsUnreadable(f"mail/{_NAME}: a damaged line") from error
        if line + b"\n" != _line(domain, uid) or not is_domain(domain):
            raise UidsUnreadable(f"mail/{_NAME}: a damaged line")
        return domain, uid


def _line(domain: str, uid: int) -> bytes:
    text = f"{domain} {uid}"
    return f"{text} {hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}\n".encode()


def _write_all(file: int, octets: bytes) -> None:
    while octets:
        octets = octets[os.write(file, octets) :]
