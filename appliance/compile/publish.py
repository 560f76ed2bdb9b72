"""Publishes what continues the snapshot: what changed, or everything.

A reader would otherwise get wrong: the parts of the snapshot are written one after the other, those that seldom change first
and only when they do. What comes next begins after the older of recipients and credentials, which are written always and
last; so a crash between two parts is mended by doing the same again: a record says what is, not what happened.
"""

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from appliance.compile import collect, render, standing
from appliance.compile.check import NotPublished, Present, instance_octets, require_continuation, require_substance
from appliance.compile.collect import ChangeRow, State
from appliance.compile.source import DatabaseAway, Query, Source, open_source
from appliance.compile.standing import AUDIENCES
from appliance.errors import DatabaseUnavailable, Unable
from mta.snapshot.cdb import CdbError
from mta.snapshot.format import FORMAT_VERSION, FormatError, TooNew
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.writer import NotContinued, SnapshotWriter
from mta.wire.netstring import WireError, pack, unpack

ALWAYS = AUDIENCES[4:]  # these say how old the whole is
# The last published change's number, kind and key: a database with another one has another past.
LAST_CHANGE_KEY = b"c:"
FIXED_KEY = b"o:"  # the next hops of the settings file, as they were when they were published
MOST_CHANGES = 100_000  # in one batch; more are cheaper as a generation anew
LOCK_SECONDS = 10.0
LOCK_INTERVAL = 0.02

PROGRESS = "progress"  # the file below the snapshot's folder in which a long publication says how far it is
PROGRESS_SECONDS = 0.25

Report = Callable[[int, int], None]  # records done, of how many


class SettingsLike(Protocol):
    """As much of appliance.config.Settings as is needed here."""

    @property
    def state(self) -> Path:
        """The state folder."""

    @property
    def database_url(self) -> str:
        """The database's address."""

    @property
    def fixed_routes(self) -> Mapping[str, str]:
        """Next hops by domain; `*` is for all others."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one step did."""

    change: int  # published up to here
    records: int  # in both parts together
    full: bool


class Locked(Exception):
    """Somebody else is publishing at this moment."""


class Publisher:
    """Publishes from *source* below *folder*, the snapshot's. *fixed*: the next hops that the settings file names."""

    def __init__(self, source: Source, folder: Path, fixed: Mapping[str, str] | None = None) -> None:
        self._source, self.folder = source, folder
        self.fixed: Mapping[str, str] = fixed or {}
        self._writers = {audience: SnapshotWriter(folder / audience) for audience in AUDIENCES}
        self._recipients: Snapshot | None = None
        self._recipients_folder = -1
        self._compactions: list[Iterator[None]] = []

    def step(self, *, full: bool = False, lock_seconds: float = 0.0, report: Report | None = None) -> Published | None:
        """Publish what changed since the last time; None: nothing did. With *full*, or when it must be, everything.

        *report* is told how far the publication of everything is.

        Raises:
            NotPublished: the database does not continue what is published.
            DatabaseAway: it cannot be read.
            Locked: somebody else publishes, and did not finish in *lock_seconds*.
            OSError, CdbError: the snapshot cannot be written.
        """
        with self._lock(lock_seconds), self._source.reading() as query:
            state = collect.state(query)
            instance = instance_octets(state)
            assert state is not None
            present = self._present()
            same = collect.change(query, present.change) if present is not None else None
            require_continuation(state, instance, present, same)
            if present is None or not present.whole or full or state.oldest > present.change + 1:
                return self._publish_all(query, state, instance, report)
            return self._publish_changes(query, state, instance, present.change, report)

    def change(self) -> int:
        """Published is up to here; 0: nothing is.

        Raises:
            NotPublished: as `step`.
        """
        present = self._present()
        return present.change if present is not None else 0

    def compact_a_little(self, seconds: float) -> bool:
        """Work for about *seconds* on a generation that outgrew itself; is there more to do?"""
        if not self._compactions:
            self._compactions = [writer.compaction() for writer in self._writers.values() if writer.wants_compaction]
        end = time.monotonic() + seconds
        while self._compactions and time.monotonic() < end:
            with self._lock(0.0):
                if next(self._compactions[0], self) is self:
                    self._compactions.pop(0)
        return bool(self._compactions)

    def _publish_changes(
        self, query: Query, state: State, instance: bytes, after: int, report: Report | None
    ) -> Published | None:
        host_key, host = render.host(state)
        is_same_host = self._published_record(host_key) == host
        former = _unpack_fixed(self._published_record(FIXED_KEY))
        if state.newest == after and is_same_host and former == self.fixed:
            return None
        changes = collect.changes(query, after, MOST_CHANGES + 1)
        if len(changes) > MOST_CHANGES:
            return self._publish_all(query, state, instance, report)
        rendered = standing.changed(query, changes, state.host_name, self.fixed, is_same_host=is_same_host)
        last = changes[-1] if changes else collect.change(query, after)
        rendered["recipients"][LAST_CHANGE_KEY] = _pack_change(last)
        if not is_same_host:
            rendered["recipients"][host_key] = host
        if former != self.fixed:
            keys = [key for key in {**former, **self.fixed} if former.get(key) != self.fixed.get(key)]
            ways, marks = standing.changed_routes(query, self.fixed, keys)
            rendered["routes"] |= ways
            rendered["recipients"] |= marks | {FIXED_KEY: _pack_fixed(self.fixed) or None}
        number = changes[-1].number if changes else after
        for audience, writer in self._writers.items():
            if audience in ALWAYS or rendered[audience]:
                writer.publish_changes(instance, number, rendered[audience].items())
        return Published(number, sum(map(len, rendered.values())), full=False)

    def _publish_all(self, query: Query, state: State, instance: bytes, report: Report | None) -> Published:
        tenants, domains = list(collect.tenants(query)), list(collect.domains(query))
        require_substance(len(tenants), len(domains))
        last = _pack_change(collect.change(query, state.newest))
        records, amount = standing.everything(query, state, tenants, domains, self.fixed)
        own = [(LAST_CHANGE_KEY, last), *([(FIXED_KEY, _pack_fixed(self.fixed))] if self.fixed else ())]
        records["recipients"] = itertools.chain(own, records["recipients"])
        with _Progress(self.folder / PROGRESS, amount, report) as progress:
            for audience, writer in self._writers.items():
                writer.publish_all(instance, state.newest, progress.counting(records[audience]))
        return Published(state.newest, progress.done, full=True)

    def _present(self) -> Present | None:
        """What is published; None: nothing. Where a part is damaged or of an older format, it is not `whole`.

        Raises:
            NotPublished: a later version of this program published.
        """
        found, is_whole = [], True
        for audience, writer in self._writers.items():
            try:
                published = writer.published()
            except TooNew as error:
                raise NotPublished(str(error)) from error
            except (FormatError, CdbError, FileNotFoundError):
                published = None
            is_whole = is_whole and published is not None and published.version == FORMAT_VERSION
            if published is not None and audience in ALWAYS:
                found.append(published)
        if not found:
            return None
        # All were written from one database; where they are not of one age, begin after the older.
        older = min(found, key=lambda published: published.change)
        last = None
        if is_whole and len({published.change for published in found}) == 1:
            try:
                last = _unpack_change(self._published_record(LAST_CHANGE_KEY))
            except SnapshotMissing:
                is_whole = False
        return Present(older.instance, older.change, last, is_whole)

    def _published_record(self, key: bytes) -> bytes | None:
        if self._recipients is None:
            path = self.folder / "recipients"
            self._recipients_folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            self._recipients = Snapshot(self._recipients_folder)
        self._recipients.refresh()
        return self._recipients.get(key)

    def close(self) -> None:
        """Give the files back."""
        if self._recipients is not None:
            self._recipients.close()
            self._recipients = None
            os.close(self._recipients_folder)

    @contextlib.contextmanager
    def _lock(self, seconds: float) -> Iterator[None]:
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.geteuid() == 0:
                owner = self.folder.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            _take(descriptor, time.monotonic() + seconds)
            yield
        finally:
            os.close(descriptor)


def publish_once(settings: SettingsLike, full: bool = False, report: Report | None = None) -> Published | None:
    """Publish now, for a command; None: everything was published already. *report* is told how far it is.

    Raises:
        DatabaseUnavailable: missing, empty, locked or damaged.
        Unable: it does not continue what is published, or the snapshot cannot be written.
    """
    source = open_source(settings.database_url)
    publisher = Publisher(source, settings.state / "snapshot", settings.fixed_routes)
    try:
        return publisher.step(full=full, lock_seconds=LOCK_SECONDS, report=report)
    except DatabaseAway as error:
        raise DatabaseUnavailable(f"the database cannot be used now: {error}") from error
    except NotPublished as error:
        raise Unable(f"nothing was published: {error}", code="not_published") from error
    except Locked as error:
        raise Unable("somebody else is publishing", code="not_published") from error
    except (OSError, CdbError, NotContinued) as error:
        raise Unable(f"the snapshot cannot be written: {error}", code="not_published") from error
    finally:
        publisher.close()
        source.close()


class _Progress:
    """Counts records, and tells now and then: whoever called, and a file that `postern publish` reads."""

    def __init__(self, file: Path, total: int, report: Report | None) -> None:
        self.done = 0
        self._file, self._total, self._report = file, total, report
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        self._file.unlink(missing_ok=True)  # Of one that died, perhaps under another uid.
        return self

    def __exit__(self, *_: object) -> None:
        self._file.unlink(missing_ok=True)

    def counting(self, records: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        iterator = iter(records)
        while some := list(itertools.islice(iterator, 1000)):
            yield from some
            self.done += len(some)
            if time.monotonic() - self._told > PROGRESS_SECONDS:
                self._tell()

    def _tell(self) -> None:
        self._told = time.monotonic()
        total = max(self._total, self.done)
        self._file.write_text(f"{self.done} {total}\n", encoding="ascii")
        if self._report is not None:
            self._report(self.done, total)


def _pack_change(change: ChangeRow | None) -> bytes:
    return b"" if change is None else pack([b"%d" % change.number, change.kind.encode(), change.key.encode()])


def _unpack_change(octets: bytes | None) -> ChangeRow | None:
    if not octets:
        return None
    try:
        number, kind, key = unpack(octets)
        return ChangeRow(int(number), kind.decode(), key.decode())
    except (WireError, ValueError) as error:
        raise NotPublished("the snapshot's last change cannot be read") from error


def _pack_fixed(fixed: Mapping[str, str]) -> bytes:
    return pack([part.encode() for key in sorted(fixed) for part in (key, fixed[key])])


def _unpack_fixed(octets: bytes | None) -> dict[str, str]:
    try:
        parts = [part.decode() for part in unpack(octets)] if octets else []
        return dict(zip(parts[::2], parts[1::2], strict=True))
    except (WireError, ValueError) as error:
        raise NotPublished("the snapshot's fixed routes cannot be read") from error


def _take(descriptor: int, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                raise Locked("another process is publishing") from error
            time.sleep(LOCK_INTERVAL)
        else:
            return
