"""Many deliveries, one wait for the disk: write all, sync, rename all, sync, answer all.

A reader would otherwise get wrong: the order is the promise. Nothing is renamed before its bytes are on the disk, and nothing
is answered `delivered` before its name is. What is *staged* keeps the same order, but both waits are localspawn's: `stage`
leaves it in tmp/, and `rename_staged` is called when localspawn has said that it is on the disk, and never else.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Sequence

from mta.maildir import Maildir, make_store, open_store, sync_filesystem
from mta.record import dataclass, field
from mta.roles.local import content
from mta.vocabulary import Action
from mta.wire.messages import Attempted, Write

TOGETHER = 4  # From so many deliveries on, one syncfs costs less than an fsync for each file and folder.
LEFTOVER_SECONDS = 36 * 3600  # A file in tmp/ this old belongs to no living delivery (the Maildir convention).
MAX_SETTLED = 10_000  # Stores remembered as synced and swept; more are simply looked at again.
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_GONE = frozenset({errno.EACCES, errno.ENOENT, errno.ESTALE})

Job = tuple[Write, int]


@dataclass(slots=True)
class _Pending:
    """One message on its way from tmp/ to new/."""

    requests: list[Write]  # more than one when a restarted scheduler asked again for what was on its way
    maildir: Maildir
    name: str
    size: int
    file: int  # -1 once closed
    error: OSError | None = None


@dataclass(slots=True)
class Store:
    """The folder of one domain, and what this process knows about it."""

    folder: int
    host: str
    now: Callable[[], float] = time.time
    gone: bool = False  # the folder is not ours any more: somebody removed the domain
    _settled: set[bytes] = field(default_factory=set)
    _unswept: set[bytes] = field(default_factory=set)
    _staged: list[_Pending] = field(default_factory=list)
    _staged_in: list[Maildir] = field(default_factory=list)  # the folders of those, open

    def deliver(self, jobs: Sequence[Job]) -> list[Attempted]:
        """Deliver all *jobs*; an answer for each, durable when it says `delivered`. The descriptors stay the caller's."""
        # The folders themselves may be as new as the file, made by us or by one who was killed before he synced them.
        together = len(jobs) >= TOGETHER or any(request.store not in self._settled for request, _ in jobs)
        opened: dict[bytes, Maildir] = {}
        try:
            answers, pending = self._write_all(jobs, opened, together=together)
            self._commit(pending, together=together)
        finally:
            for maildir in opened.values():
                maildir.close()
        return answers + [_answer(request, one) for one in pending for request in one.requests]

    def stage(self, jobs: Sequence[Job]) -> tuple[list[Attempted], list[tuple[int, int]]]:
        """Put *jobs* into tmp/ and wait for no disk. Answers what could not be done; tag and octets of what waits there now."""
        opened: dict[bytes, Maildir] = {}
        try:
            answers, self._staged = self._write_all(jobs, opened, together=True)
        finally:
            self._staged_in = list(opened.values())
        return answers, [(request.tag, one.size) for one in self._staged for request in one.requests]

    def rename_staged(self) -> list[Attempted]:
        """What was staged is on the disk, and the folders it lies in are: rename it. Answers what could not be renamed."""
        staged, self._staged = self._staged, []
        for one in staged:
            _try(one, _rename)
            self._finish(one)
        for maildir in self._staged_in:
            maildir.close()
        self._staged_in = []
        return [_answer(request, one) for one in staged if one.error is not None for request in one.requests]

    def sweep(self) -> None:
        """Remove what deliveries that never ended left in tmp/, in the stores that were delivered to since the last time."""
        for store in self._unswept:
            # It is only tidying: what cannot be tidied now is met again at the next delivery.
            with contextlib.suppress(OSError):
                self._sweep_one(store.decode())
        self._unswept.clear()

    def _write_all(
        self, jobs: Sequence[Job], opened: dict[bytes, Maildir], *, together: bool
    ) -> tuple[list[Attempted], list[_Pending]]:
        """Into tmp/, each once: answers for what cannot be delivered, and what can."""
        answers: list[Attempted] = []
        pending: dict[tuple[bytes, str], _Pending] = {}
        for request, descriptor in jobs:
            key = (request.store, content.file_name(request.queue_id, request.recipient, self.host))
            if key in pending:
                pending[key].requests.append(request)
                continue
            outcome = self._write(request, descriptor, key[1], opened, together=together)
            if isinstance(outcome, _Pending):
                pending[key] = outcome
            else:
                answers.append(outcome)
        return answers, list(pending.values())

    def _write(
        self, request: Write, descriptor: int, name: str, opened: dict[bytes, Maildir], *, together: bool
    ) -> _Pending | Attempted:
        before = content.lines_before(request.reverse_path, request.recipient)
        if before.count(b"\n") != 2 or b"\r" in before:
            # A line break in an address would be a header field of somebody's choice above ours.
            return Attempted(request.tag, Action.FAILED.value, b"5.1.7", b"an address with a line break in it", 0)
        try:
            block = os.pread(descriptor, content.BLOCK, 0)
            if content.has_passed(request.recipient, block):
                text = b"mail loop: this message was delivered to %b before" % request.recipient
                return Attempted(request.tag, Action.FAILED.value, b"5.4.6", text[:1000], 0)
            maildir = opened.get(request.store) or self._open(request.store, opened)
            return _write_file(request, descriptor, block, before, maildir, name, close=together)
        except OSError as error:
            return _delayed(request, error)

    def _open(self, store: bytes, opened: dict[bytes, Maildir]) -> Maildir:
        name = store.decode()
        try:
            try:
                maildir = open_store(self.folder, name)
            except FileNotFoundError:
                make_store(self.folder, name)
                maildir = open_store(self.folder, name)
        except OSError as error:
            self.gone = self.gone or error.errno in _GONE
            raise
        opened[store] = maildir
        return maildir

    def _commit(self, pending: Sequence[_Pending], *, together: bool) -> None:
        self._sync(pending, _sync_and_close, together=together)
        for one in pending:
            _try(one, _rename)
        self._sync(pending, lambda one: os.fsync(one.maildir.new), together=together)
        for one in pending:
            self._finish(one)

    def _finish(self, one: _Pending) -> None:
        if one.error is None:
            self._remember(one.requests[0].store)
        else:
            _discard(one.maildir, one.name)

    def _sync(self, pending: Sequence[_Pending], alone: Callable[[_Pending], None], *, together: bool) -> None:
        if not together:
            for one in pending:
                _try(one, alone)
        elif pending:
            try:
                sync_filesystem(self.folder)
            except OSError as error:
                for one in pending:
                    one.error = one.error or error

    def _remember(self, store: bytes) -> None:
        if store not in self._settled:
            if len(self._settled) >= MAX_SETTLED:
                self._settled.clear()
            self._settled.add(store)
            self._unswept.add(store)

    def _sweep_one(self, store: str) -> None:
        maildir = open_store(self.folder, store)
        try:
            limit = self.now() - LEFTOVER_SECONDS
            with os.scandir(maildir.tmp) as entries:
                old = [entry.name for entry in entries if entry.stat(follow_symlinks=False).st_mtime < limit]
            for name in old:
                os.unlink(name, dir_fd=maildir.tmp)
        finally:
            maildir.close()


def _write_file(
    request: Write, descriptor: int, block: bytes, before: bytes, maildir: Maildir, name: str, *, close: bool
) -> _Pending:
    file = _create(name, maildir.tmp)
    try:
        size = content.copy(descriptor, file, block, before)
    except OSError:
        os.close(file)
        _discard(maildir, name)
        raise
    if close:
        os.close(file)
        file = -1
    return _Pending([request], maildir, name, size, file)


def _discard(maildir: Maildir, name: str) -> None:
    """Remove a file from tmp/ that will not become a message; when it was renamed already, it is there no more."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=maildir.tmp)


def _create(name: str, folder: int) -> int:
    try:
        return os.open(name, _CREATE, 0o600, dir_fd=folder)
    except FileExistsError:
        # An earlier try for the same delivery was killed here; what it left may be half a message.
        os.unlink(name, dir_fd=folder)
        return os.open(name, _CREATE, 0o600, dir_fd=folder)


def _try(one: _Pending, step: Callable[[_Pending], None]) -> None:
    """Take *step* for a message that met no error yet."""
    if one.error is None:
        try:
            step(one)
        except OSError as error:
            one.error = error


def _sync_and_close(one: _Pending) -> None:
    file, one.file = one.file, -1
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _rename(one: _Pending) -> None:
    final = f"{one.name},S={one.size}"
    os.rename(one.name, final, src_dir_fd=one.maildir.tmp, dst_dir_fd=one.maildir.new)


def _answer(request: Write, one: _Pending) -> Attempted:
    if one.error is None:
        return Attempted(request.tag, Action.DELIVERED.value, b"2.0.0", b"", one.size)
    return _delayed(request, one.error)


# RFC 3463 3.3, 3.4: mailbox full, mail system full, something about the mailbox. The rest is the mail system's: 4.3.0.
_STATUS = {errno.EDQUOT: b"4.2.2", errno.ENOSPC: b"4.3.1", errno.ENOTDIR: b"4.2.0", errno.ELOOP: b"4.2.0"}


def _delayed(request: Write, error: OSError) -> Attempted:
    name = errno.errorcode.get(error.errno or 0, "error")
    text = f"{name}: {error.strerror}".encode()
    return Attempted(request.tag, Action.DELAYED.value, _STATUS.get(error.errno or 0, b"4.3.0"), text, 0)
