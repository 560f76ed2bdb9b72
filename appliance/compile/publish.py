"""Publishes what continues the snapshot: the keys that changed, or everything.

A reader would otherwise get wrong: the two parts of the snapshot are written one after the other, and each remembers up to
which change it is. What comes next begins after the older of the two, so a crash between them is mended by doing the same
again: a record says what is, not what happened.
"""

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from appliance.compile import collect, render
from appliance.compile.check import NotPublished, Present, instance_octets, require_continuation, require_substance
from appliance.compile.collect import ChangeRow, State
from appliance.compile.source import DatabaseAway, Query, Source, open_source
from appliance.errors import DatabaseUnavailable, Unable
from mta.snapshot.cdb import CdbError
from mta.snapshot.format import FORMAT_VERSION, FormatError, TooNew
from mta.snapshot.format import Record as Change
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.writer import NotContinued, SnapshotWriter
from mta.wire.netstring import WireError, pack, unpack

AUDIENCES = ("recipients", "credentials")
LAST_CHANGE_KEY = (
    b"c:"  # the last published change's number, kind and key: a database with another one has another past
)
MOST_CHANGES = 100_000  # in one batch; more are cheaper as a generation anew
LOCK_SECONDS = 10.0
LOCK_INTERVAL = 0.02

_Rendered = tuple[list[Change], list[Change]]


class SettingsLike(Protocol):
    """As much of appliance.config.Settings as is needed here."""

    @property
    def state(self) -> Path:
        """The state folder."""

    @property
    def database_url(self) -> str:
        """The database's address."""


@dataclass(frozen=True, slots=True)
class Published:
    """What one step did."""

    change: int  # published up to here
    records: int  # in both parts together
    full: bool


class Locked(Exception):
    """Somebody else is publishing at this moment."""


class Publisher:
    """Publishes from *source* below *folder*, the snapshot's."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source, self._folder = source, folder
        self._writers = [SnapshotWriter(folder / audience) for audience in AUDIENCES]
        self._recipients: Snapshot | None = None
        self._recipients_folder = -1
        self._compactions: list[Iterator[None]] = []

    def step(self, *, full: bool = False, lock_seconds: float = 0.0) -> Published | None:
        """Publish what changed since the last time; None: nothing did. With *full*, or when it must be, everything.

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
            if present is None or full or state.oldest > present.change + 1:
                return self._publish_all(query, state, instance)
            return self._publish_changes(query, state, instance, present.change)

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
            self._compactions = [writer.compaction() for writer in self._writers if writer.wants_compaction]
        end = time.monotonic() + seconds
        while self._compactions and time.monotonic() < end:
            with self._lock(0.0):
                if next(self._compactions[0], self) is self:
                    self._compactions.pop(0)
        return bool(self._compactions)

    def _publish_changes(self, query: Query, state: State, instance: bytes, after: int) -> Published | None:
        host_key, host = render.host(state)
        is_same_host = self._published_record(host_key) == host
        if state.newest == after and is_same_host:
            return None
        changes = collect.changes(query, after, MOST_CHANGES + 1)
        if len(changes) > MOST_CHANGES:
            return self._publish_all(query, state, instance)
        batches = render_changes(query, changes)
        last = changes[-1] if changes else collect.change(query, after)
        batches[0].append((LAST_CHANGE_KEY, _pack_change(last)))
        if not is_same_host:
            batches[0].append((host_key, host))
        number = changes[-1].number if changes else after
        for writer, batch in zip(self._writers, batches, strict=True):
            writer.publish_changes(instance, number, batch)
        return Published(number, sum(map(len, batches)), full=False)

    def _publish_all(self, query: Query, state: State, instance: bytes) -> Published:
        tenants, domains = list(collect.tenants(query)), list(collect.domains(query))
        require_substance(len(tenants), len(domains))
        common = [render.tenant(row) for row in tenants]
        common += itertools.chain.from_iterable(render.domain(row) for row in domains)
        last = _pack_change(collect.change(query, state.newest))
        count = _Counter()
        recipients = itertools.chain(
            [(LAST_CHANGE_KEY, last), render.host(state)],
            common,
            (render.mailbox(row) for row in collect.mailboxes(query)),
            (render.alias(row) for row in collect.aliases(query)),
        )
        credentials = itertools.chain(
            common,
            _present_only(render.mailbox_login(row) for row in collect.mailboxes(query)),
            _present_only(render.account(row) for row in collect.accounts(query)),
            (render.api_key(row) for row in collect.keys(query)),
        )
        for writer, all_records in zip(self._writers, (recipients, credentials), strict=True):
            writer.publish_all(instance, state.newest, count.counting(all_records))
        return Published(state.newest, count.number, full=True)

    def _present(self) -> Present | None:
        """What is published; None: nothing, or a part of it is damaged or of an older format, and must be made anew.

        Raises:
            NotPublished: a later version of this program published.
        """
        found = []
        for writer in self._writers:
            try:
                published = writer.published()
            except TooNew as error:
                raise NotPublished(str(error)) from error
            except (FormatError, CdbError, FileNotFoundError):
                published = None
            if published is None or published.version != FORMAT_VERSION:
                return None
            found.append(published)
        # Both were written from one database; where they are not of one age, begin after the older.
        older = min(found, key=lambda published: published.change)
        is_level = len({published.change for published in found}) == 1
        try:
            last = _unpack_change(self._published_record(LAST_CHANGE_KEY)) if is_level else None
        except SnapshotMissing:
            return None
        return Present(older.instance, older.change, last)

    def _published_record(self, key: bytes) -> bytes | None:
        if self._recipients is None:
            path = self._folder / AUDIENCES[0]
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
        descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.geteuid() == 0:
                owner = self._folder.stat()
                os.fchown(descriptor, owner.st_uid, owner.st_gid)
            _take(descriptor, time.monotonic() + seconds)
            yield
        finally:
            os.close(descriptor)


def render_changes(query: Query, changes: Iterable[ChangeRow]) -> _Rendered:
    """What stands now under each changed key, for recipients and for credentials; None where nothing stands any more."""
    wanted: dict[str, dict[str, None]] = {}
    for change in changes:
        wanted.setdefault(change.kind, {})[change.key] = None
    recipients: dict[bytes, bytes | None] = {}
    credentials: dict[bytes, bytes | None] = {}
    common = _changed_tenants(query, list(wanted.get("tenant", ()))) | _changed_domains(
        query, list(wanted.get("domain", ()))
    )
    recipients |= common
    credentials |= common
    # A mailbox's suspension and its removal are told as a changed address; its login follows.
    addresses = wanted.get("address", {})
    found = _changed_addresses(query, addresses, addresses | wanted.get("password", {}))
    recipients |= found[0]
    credentials |= found[1]
    accounts = list(wanted.get("account", ()))
    credentials |= dict.fromkeys(map(render.account_key, accounts))
    credentials |= dict(_present_only(render.account(row) for row in collect.accounts(query, accounts)))
    keys = list(wanted.get("key", ()))
    credentials |= dict.fromkeys(map(render.api_key_key, keys))
    credentials |= dict(render.api_key(row) for row in collect.keys(query, keys))
    return list(recipients.items()), list(credentials.items())


def _changed_tenants(query: Query, ids: list[str]) -> dict[bytes, bytes | None]:
    found: dict[bytes, bytes | None] = dict.fromkeys(map(render.tenant_key, ids))
    numbers = [int(id_) for id_ in ids if id_.isdigit()]
    return found | dict(render.tenant(row) for row in collect.tenants(query, numbers))


def _changed_domains(query: Query, names: list[str]) -> dict[bytes, bytes | None]:
    found: dict[bytes, bytes | None] = dict.fromkeys(key for name in names for key in render.domain_keys(name))
    for row in collect.domains(query, names):
        found |= dict(render.domain(row))
    return found


def _changed_addresses(
    query: Query, addresses: Iterable[str], logins: Iterable[str]
) -> tuple[dict[bytes, bytes | None], dict[bytes, bytes | None]]:
    found: dict[bytes, bytes | None] = dict.fromkeys(map(render.address_key, addresses))
    found_logins: dict[bytes, bytes | None] = dict.fromkeys(map(render.mailbox_login_key, logins))
    by_domain: dict[str, list[str]] = {}
    for key in logins:
        folded, _, domain = key.rpartition("@")
        by_domain.setdefault(domain, []).append(folded)
    for domain, parts in by_domain.items():
        for alias in collect.aliases(query, domain, parts):
            _put(found, render.alias(alias))
        for mailbox in collect.mailboxes(query, domain, parts):
            _put(found, render.mailbox(mailbox))
            login = render.mailbox_login(mailbox)
            if login is not None:
                found_logins |= [login]
    return found, found_logins


def _put(found: dict[bytes, bytes | None], record: tuple[bytes, bytes]) -> None:
    # Only what was asked for: an address of which the password alone changed is as it was.
    if record[0] in found:
        found[record[0]] = record[1]


def publish_once(settings: SettingsLike, full: bool = False) -> Published | None:
    """Publish now, for a command; None: everything was published already.

    Raises:
        DatabaseUnavailable: missing, empty, locked or damaged.
        Unable: it does not continue what is published, or the snapshot cannot be written.
    """
    source = open_source(settings.database_url)
    publisher = Publisher(source, settings.state / "snapshot")
    try:
        return publisher.step(full=full, lock_seconds=LOCK_SECONDS)
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


class _Counter:
    number = 0

    def counting(self, records: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[bytes, bytes]]:
        for record in records:
            self.number += 1
            yield record


def _present_only(records: Iterable[tuple[bytes, bytes] | None]) -> Iterator[tuple[bytes, bytes]]:
    return (record for record in records if record is not None)


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
