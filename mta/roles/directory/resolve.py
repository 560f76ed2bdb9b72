"""Where an address leads, judged from the snapshot alone: no clock, no files, no sockets.

A reader would otherwise get wrong: one address may lead to many mailboxes by many ways, and a way may lead back. So each
address is looked at once, whatever the snapshot says, and a ring ends where it began.

The order at each step, the same in which the control plane checks what is saved: the address itself, the address without
its +tag, the host's postmaster for postmaster@ and abuse@, the domain's catch-all.
"""

import enum
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from mta.snapshot.records import (
    ADDRESS,
    DOMAIN,
    HOST_KEY,
    TENANT,
    Alias,
    Domain,
    Host,
    Mailbox,
    Record,
    RecordError,
    Tenant,
    unpack_record,
)
from mta.vocabulary import MAX_LOCAL_PART, Word, fold_local_part

MAX_EXPANSION = 1000  # mailboxes that one recipient may lead to
MAX_STEPS = (
    20_000  # addresses looked at on the way there; a nest of aliases could otherwise keep the role busy for minutes
)
MAX_DEPTH = 20  # aliases one behind the other
MAX_TENANTS = 16  # levels of the tree of tenants
MAX_REMEMBERED = 10_000  # domains and verdicts kept until the snapshot changes

ROLE_ADDRESSES = frozenset({b"postmaster", b"abuse"})  # RFC 5321 4.5.1, RFC 2142: they reach someone in every domain
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)

Get = Callable[[bytes], bytes | None]
_Value = TypeVar("_Value")


class Obstacle(enum.Enum):
    """Why a way leads to no mailbox, the weightiest first: the one that decides when all ways end."""

    TOO_MANY = enum.auto()
    SUSPENDED = enum.auto()
    UNKNOWN = enum.auto()
    RING = enum.auto()
    FOREIGN = enum.auto()


@dataclass(frozen=True, slots=True)
class Final:
    """A mailbox at the end of a way."""

    recipient: bytes  # the mailbox's address as its owner wrote it
    domain: bytes
    store: bytes
    key: bytes  # address key
    quota_bytes: int  # 0: no limit

    @property
    def counted(self) -> bytes:
        """Whose usage counts: the address key when there is a quota, else empty."""
        return self.key if self.quota_bytes else b""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What to say about a forward-path, but for the ledger's word about a mailbox with a quota."""

    word: Word
    counted: bytes = b""
    quota_bytes: int = 0

    def with_usage(self, stored: int, reserved: int, size: int) -> Word:
        """The word, now that octets *stored* and on their way (*reserved*) are known, for a message of *size* octets."""
        return Word.FULL if self.quota_bytes and stored + reserved + size > self.quota_bytes else self.word


@dataclass(frozen=True, slots=True)
class _Place:
    """A domain as it stands now, aliases followed and its tenants asked."""

    name: bytes
    suspended: bool
    catch_all: bytes


_WORDS = {
    Obstacle.TOO_MANY: Word.TRY_LATER,
    Obstacle.SUSPENDED: Word.SUSPENDED,
    Obstacle.RING: Word.UNKNOWN,
    Obstacle.UNKNOWN: Word.UNKNOWN,
    # Of an alias whose targets all went away: it is ours, so nobody asked us to relay.
    Obstacle.FOREIGN: Word.UNKNOWN,
}


class Resolver:
    """Looks up with *get*; `forget` must be called when what *get* answers may have changed.

    Every method raises what *get* raises, and RecordError for a record that is none.
    """

    def __init__(self, get: Get, max_expansion: int = MAX_EXPANSION) -> None:
        self._get = get
        self._max_expansion = max_expansion
        self._places: dict[bytes, _Place | None] = {}
        self._judgements: dict[bytes, Judgement] = {}
        self._host: Host | None = None

    def forget(self) -> None:
        """The snapshot changed."""
        self._places.clear()
        self._judgements.clear()
        self._host = None

    def judge(self, forward_path: bytes) -> Judgement:
        """May *forward_path* have mail?"""
        judgement = self._judgements.get(forward_path)
        if judgement is None:
            judgement = self._judge(forward_path)
            _remember(self._judgements, forward_path, judgement)
        return judgement

    def expand(self, recipient: bytes) -> list[Final] | Obstacle:
        """Every mailbox that mail for *recipient* goes to now, each once; or why there is none."""
        start = self._start(recipient)
        if isinstance(start, Obstacle):
            return start
        finals: list[Final] = []
        obstacles: set[Obstacle] = set()
        for end in self._ends(start):
            if isinstance(end, Obstacle):
                obstacles.add(end)
            else:
                finals.append(end)
            if end is Obstacle.TOO_MANY or len(finals) > self._max_expansion:
                # Part of them would be some who get it and some who silently do not.
                return Obstacle.TOO_MANY
        return finals or _weightiest(obstacles)

    def _judge(self, forward_path: bytes) -> Judgement:
        start = self._start(forward_path)
        if isinstance(start, Obstacle):
            return Judgement(Word.FOREIGN if start is Obstacle.FOREIGN else Word.UNKNOWN)
        first: Final | None = None
        obstacles: set[Obstacle] = set()
        for end in self._ends(start):
            if isinstance(end, Obstacle):
                obstacles.add(end)
            elif first is None:
                first = end
            else:
                # A second one: it is never full, and who else is behind it does not matter now.
                return Judgement(Word.ACCEPT)
        if first is None or Obstacle.TOO_MANY in obstacles:
            return Judgement(_WORDS[_weightiest(obstacles)])
        return Judgement(Word.ACCEPT, first.counted, first.quota_bytes)

    def _start(self, path: bytes) -> bytes | Obstacle:
        """The address key that *path* stands for, when its domain is ours."""
        split = split_path(path)
        if split is None:
            return Obstacle.FOREIGN if b"@" in path else Obstacle.UNKNOWN
        local_part, domain = split
        if not domain:
            return self._postmaster()
        if self._place(domain) is None:
            return Obstacle.FOREIGN
        if len(local_part) > MAX_LOCAL_PART:
            return Obstacle.UNKNOWN
        return local_part + b"@" + domain

    def _ends(self, start: bytes) -> Iterator[Final | Obstacle]:
        """Every end of the ways from *start*, as they are found."""
        waiting = [(start, 0)]
        seen: set[bytes] = set()
        while waiting:
            key, depth = waiting.pop()
            local_part, _, domain = key.rpartition(b"@")
            place = self._place(domain)
            if place is None:
                yield Obstacle.FOREIGN
                continue
            key = local_part + b"@" + place.name
            if key in seen:
                yield Obstacle.RING
                continue
            seen.add(key)
            if depth > MAX_DEPTH or len(seen) > MAX_STEPS:
                yield Obstacle.TOO_MANY
                continue
            # The stack takes them backwards so that they are found in the order in which they were written.
            for end in self._look(local_part, place, seen):
                if isinstance(end, bytes):
                    waiting.append((end, depth + 1))
                else:
                    yield end

    def _look(self, local_part: bytes, place: _Place, seen: set[bytes]) -> Iterator[bytes | Final | Obstacle]:
        """One address: where it ends, and the address keys to which it goes on, last first."""
        if place.suspended:
            # Somebody must be reachable about a domain even, and above all, when it is switched off.
            is_role = local_part.partition(b"+")[0] in ROLE_ADDRESSES
            host = self._postmaster()
            yield host if is_role and host.rpartition(b"@")[2] != place.name else Obstacle.SUSPENDED
            return
        base, record = self._find(local_part, place)
        if isinstance(record, Mailbox):
            yield from self._mailbox(base + b"@" + place.name, place, record, seen)
        elif isinstance(record, Alias):
            yield from reversed(record.targets)
        elif base in ROLE_ADDRESSES and base + b"@" + place.name != self._postmaster():
            yield self._postmaster()
        elif place.catch_all:
            yield place.catch_all
        else:
            yield Obstacle.UNKNOWN

    def _find(self, local_part: bytes, place: _Place) -> tuple[bytes, Record | None]:
        """The record of *local_part*, else of what stands before its +tag, and under which local-part it was found."""
        record = self._record(ADDRESS + local_part + b"@" + place.name)
        base, plus, _ = local_part.partition(b"+")
        if record is not None or not plus or not base:
            return local_part, record
        record = self._record(ADDRESS + base + b"@" + place.name)
        return (base, record) if record is not None or base in ROLE_ADDRESSES else (local_part, None)

    def _mailbox(
        self, key: bytes, place: _Place, record: Mailbox, seen: set[bytes]
    ) -> Iterator[bytes | Final | Obstacle]:
        if record.suspended:
            yield Obstacle.SUSPENDED
            return
        mark = b"\0" + key  # No address has a NUL: with and without a +tag it is one mailbox and one copy.
        if (record.keep_copy or not record.targets) and mark not in seen:
            seen.add(mark)
            yield Final(record.address, place.name, record.store, key, record.quota_bytes)
        yield from reversed(record.targets)

    def _place(self, domain: bytes) -> _Place | None:
        if domain in self._places:
            return self._places[domain]
        place = self._find_place(domain)
        _remember(self._places, domain, place)
        return place

    def _find_place(self, domain: bytes) -> _Place | None:
        suspended = False
        for _ in range(MAX_DEPTH):
            record = self._record(DOMAIN + domain)
            if not isinstance(record, Domain):
                return None
            suspended = suspended or record.suspended or self._is_tenant_suspended(record.tenant)
            if not record.alias_of:
                return _Place(domain, suspended, record.catch_all)
            domain = record.alias_of
        return None

    def _is_tenant_suspended(self, tenant: bytes) -> bool:
        for _ in range(MAX_TENANTS):
            if not tenant:
                return False
            record = self._record(TENANT + tenant)
            if not isinstance(record, Tenant):
                raise RecordError("a domain of a tenant that does not exist")
            if record.suspended:
                return True
            tenant = record.parent
        raise RecordError("a tree of tenants without a root")

    def _postmaster(self) -> bytes:
        if self._host is None:
            record = self._record(HOST_KEY)
            if not isinstance(record, Host):
                raise RecordError("a snapshot without its host")
            self._host = record
        return self._host.postmaster

    def _record(self, key: bytes) -> Record | None:
        octets = self._get(key)
        return None if octets is None else unpack_record(octets)


def split_path(path: bytes) -> tuple[bytes, bytes] | None:
    """Folded local-part and lower-case domain of a forward-path without its angle brackets; None: it is not one.

    The one path without a domain is `postmaster` (RFC 5321 4.5.1): its domain is empty here. A source route is ignored, as
    RFC 5321 3.6.1 and appendix C ask.
    """
    if path.startswith(b"@"):
        path = path.partition(b":")[2]
    local_part, at, domain = path.rpartition(b"@")
    if not at:
        return (b"postmaster", b"") if path.lower() == b"postmaster" else None
    if local_part.startswith(b'"'):
        if len(local_part) < 3 or not local_part.endswith(b'"'):
            return None
        local_part = _QUOTED_PAIR.sub(rb"\1", local_part[1:-1])
    if not local_part or not domain:
        return None
    if path.isascii():
        return local_part.lower(), domain.lower()
    try:
        return fold_local_part(local_part.decode()).encode(), _fold_domain(domain.decode())
    except UnicodeDecodeError:
        return None


def _fold_domain(domain: str) -> bytes:
    # The snapshot holds a domain under both its forms, so nobody here needs to convert between them.
    return unicodedata.normalize("NFC", domain.casefold()).encode()


def _weightiest(obstacles: set[Obstacle]) -> Obstacle:
    return min(obstacles, key=lambda obstacle: obstacle.value, default=Obstacle.UNKNOWN)  # none: an alias for nobody


def _remember(memory: dict[bytes, _Value], key: bytes, value: _Value) -> None:
    # All at once instead of the oldest: who fills it with rubbish fills it again anyway, and this costs nothing.
    if len(memory) >= MAX_REMEMBERED:
        memory.clear()
    memory[key] = value
