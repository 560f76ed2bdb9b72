"""Where an address leads, judged from the snapshot and the number of today: no files, no sockets.

A reader would otherwise get wrong: one address may lead to many mailboxes by many ways, and a way may lead back. So each
address is looked at once, whatever the snapshot says, and a ring ends where it began.

The order at each step, the same in which the control plane checks what is saved: the address itself, the address without
its tag; in a domain that we only relay for, who is asked about its recipients; in one of ours the longest pattern that the
address fits, the host's postmaster for postmaster@ and abuse@, the domain's catch-all. How many look-ups that is hangs on how
the address is spelt (`MAX_CUTS`) and not on what else the domain has.
"""

import enum
import re
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from mta.record import dataclass, replace
from mta.roles.directory import batv, srs
from mta.roles.directory.access import Scope
from mta.roles.directory.doors import OURS, Doors, Origin, Place, is_within
from mta.roles.directory.letters import Letter
from mta.roles.directory.outward import Beyond, a_label, beyond, route_of
from mta.snapshot.records import (
    ADDRESS,
    DOMAIN,
    HOST_KEY,
    PATTERN,
    RECEIVING,
    RULES,
    SENDING_OUT,
    TENANT,
    Alias,
    Domain,
    Host,
    Mailbox,
    Pattern,
    Record,
    RecordError,
    Relayed,
    Rules,
    Tenant,
    stands_still,
    unpack_record,
)
from mta.vocabulary import MAX_LOCAL_PART, Word, fold_domain, fold_local_part, pattern_prefixes, untagged

MAX_EXPANSION = 1000  # mailboxes that one recipient may lead to
MAX_STEPS = (
    20_000  # addresses looked at on the way there; a nest of aliases could otherwise keep the role busy for minutes
)
MAX_DEPTH = 20  # aliases one behind the other
MAX_TENANTS = 16  # levels of the tree of tenants
MAX_REMEMBERED = 10_000  # domains and verdicts kept until the snapshot changes
GRACE_DAYS = 7  # a bounce that was taken in time may wait here a little

ROLE_ADDRESSES = frozenset({b"postmaster", b"abuse"})  # RFC 5321 4.5.1, RFC 2142: they reach someone in every domain
ASKED_SOURCES = frozenset({b"ldap", b"call-ahead", b"hook"})  # where the role `source` must be asked
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)

Get = Callable[[bytes], bytes | None]
_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class Obstacle(enum.Enum):
    """Why a way leads to no mailbox, the weightiest first: the one that decides when all ways end."""

    TOO_MANY = enum.auto()
    RELAYED = enum.auto()  # for another host, and nobody here goes there; no obstacle to taking the mail
    SUSPENDED = enum.auto()
    CLOSED = enum.auto()  # to whoever sent it: kept for others, or for those inside
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
    key: bytes = b""  # the address key, domain aliases followed; empty where the domain is not ours
    late: bool = False  # the domain tells nothing before the content
    scopes: tuple[Scope, ...] = ()  # the access rules that apply, the most specific first
    checks_client: bool = False  # whether the client's own address may be a reason to refuse here ...
    dnsbl: bool = False  # ... because a DNS list names it
    greylist: bool = False
    asks_source: bool = False  # only the role `source` can tell whether the address exists
    is_return: bool = False  # a return path that we rewrote: for bounces, and nothing else
    wants_tag: bool = False  # its bounces come to signed return paths, and this is none
    until_changed: bool = True  # today's date is no part of it
    asks_origin: bool = False  # on the way stands what is not open to everybody; ACCEPT means: to somebody
    detail: bytes = b""  # words for the client instead of the usual ones

    def with_reverse_path(self, reverse_path: bytes) -> "Judgement":
        """The same, now that it is known whether it is about a bounce."""
        if self.word is not Word.ACCEPT or not (self.is_return if reverse_path else self.wants_tag):
            return self
        return replace(self, word=Word.UNKNOWN if reverse_path else Word.UNSIGNED)

    def with_usage(self, stored: int, reserved: int, size: int) -> Word:
        """The word, now that octets *stored* and on their way (*reserved*) are known, for a message of *size* octets."""
        return Word.FULL if self.quota_bytes and stored + reserved + size > self.quota_bytes else self.word


class _Walk:
    """What is kept while the ways from an address are followed."""

    __slots__ = ("asks_origin", "ends_at_mailboxes", "letter", "mailboxes", "origin", "seen", "words")

    def __init__(self, origin: Origin | None, letter: Letter | None = None, *, ends_at_mailboxes: bool = False) -> None:
        """*origin*: for whom doors open; None: for everybody, and it is noted that there was one.

        *letter*: what is led; None: any, and then both is true of conditions, that they are met and that they are not.
        """
        self.origin, self.letter, self.ends_at_mailboxes = origin, letter, ends_at_mailboxes
        self.seen: set[bytes] = set()
        self.mailboxes: set[bytes] = set()  # address keys, whether they keep anything or not
        self.asks_origin = False
        self.words = b""  # of the first door that stayed closed


_WORDS = {
    Obstacle.RELAYED: Word.ACCEPT,
    Obstacle.TOO_MANY: Word.TRY_LATER,
    Obstacle.SUSPENDED: Word.SUSPENDED,
    Obstacle.CLOSED: Word.DENIED,
    Obstacle.RING: Word.UNKNOWN,
    Obstacle.UNKNOWN: Word.UNKNOWN,
    # Of an alias whose targets all went away: it is ours, so nobody asked us to relay.
    Obstacle.FOREIGN: Word.UNKNOWN,
}


class Resolver:
    """Looks up with *get*; `forget` must be called when what *get* answers may have changed.

    Every method raises what *get* raises, and RecordError for a record that is none.
    """

    def __init__(
        self, get: Get, max_expansion: int = MAX_EXPANSION, *, has_way_out: bool = True, clock: Callable[[], float] = time.time
    ) -> None:  # fmt: skip
        """*has_way_out*: whether this house has the roles that carry mail to others. *clock* gives seconds since 1970."""
        self._clock = clock
        self._get = get
        self._max_expansion, self._has_way_out = max_expansion, has_way_out
        self._places: dict[bytes, Place | None] = {}
        self._judgements: dict[bytes, Judgement] = {}
        self._admissions: dict[tuple[bytes, bytes], Judgement] = {}
        self._doors = Doors(self._place_of, self._leads_to)
        self._host: Host | None = None
        self._host_scope: tuple[Scope, ...] | None = None

    def forget(self) -> None:
        """The snapshot changed."""
        self._places.clear()
        self._judgements.clear()
        self._admissions.clear()
        self._host = self._host_scope = None

    def judge(self, forward_path: bytes, origin: Origin | None = None) -> Judgement:
        """May *forward_path* have mail of *origin*; without one, of anybody?"""
        judgement = self._judgements.get(forward_path)
        if judgement is None:
            judgement = self._judge(forward_path, None)
            if judgement.until_changed:
                _remember(self._judgements, forward_path, judgement)
        if origin is None or not judgement.asks_origin:
            return judgement
        return self._judge_for(forward_path, origin)

    def _judge_for(self, forward_path: bytes, origin: Origin) -> Judgement:
        """The same where it matters who it is. Of a mailbox that logged in nothing counts but which one."""
        if not origin.identity or not origin.reverse_path:
            return self._judge(forward_path, origin)
        known = self._admissions.get((forward_path, origin.identity))
        if known is None:
            known = self._judge(forward_path, origin)
            if known.until_changed:
                _remember(self._admissions, (forward_path, origin.identity), known)
        return known

    def lets_out(self, origin: Origin, forward_path: bytes) -> bool:
        """May *origin* write to *forward_path*, as far as his own domain goes, whoever that is?"""
        if not origin.identity and not origin.is_relayer:
            return True
        return self._doors.lets_out(origin, self._place_of(forward_path))

    def expand(
        self, recipient: bytes, origin: Origin = OURS, letter: Letter | None = None
    ) -> list[Final | Beyond] | Obstacle:
        """Every mailbox, here or elsewhere, that mail of *origin* for *recipient* goes to now, each once; or why there is none.

        FOREIGN is about *recipient* itself: `outside` says where such mail goes, if it may. *letter* is what conditions are
        judged of.

        Raises:
            HeaderWanted: as `Letter.meets`.
        """
        start = self._start(recipient)
        if isinstance(start, Obstacle):
            return start
        finals: list[Final | Beyond] = []
        obstacles: set[Obstacle] = set()
        walk = _Walk(OURS if self._is_signed_bounce(recipient, start, origin) else origin, letter)
        for end in self._ends((start,), walk):
            if isinstance(end, Obstacle):
                obstacles.add(end)
            else:
                finals.append(end)
            if end is Obstacle.TOO_MANY or len(finals) > self._max_expansion:
                # Part of them would be some who get it and some who silently do not.
                return Obstacle.TOO_MANY
        if not self._has_way_out and any(isinstance(final, Beyond) for final in finals):
            return Obstacle.RELAYED  # As above: not some of them.
        if len(finals) == 1 and isinstance(finals[0], Beyond) and finals[0].recipient == start:
            return [replace(finals[0], recipient=_without_route(recipient))]  # as the sender wrote it
        return finals or _weightiest(obstacles)

    def outside(self, recipient: bytes) -> list[Final | Beyond] | Obstacle:
        """Where mail for *recipient*, who is not ours, goes."""
        split = split_path(recipient)
        end = beyond(recipient, split[1]) if split and self._has_way_out else None
        return [end] if end else Obstacle.FOREIGN

    def route_of(self, end: Beyond, sender: bytes) -> bytes:
        """The key of the route to *end* for mail of *sender*, a reverse-path; empty: by MX."""
        place = self._place_of(sender) if sender and not end.is_relayed else None
        return route_of(self._get, end, place.name if place else b"")

    def home_of(self, path: bytes, grace_days: int = GRACE_DAYS) -> bytes | srs.Kept | None:
        """Who sent what the return path *path* was made for here; None: it is none of ours, or too old."""
        local_part, host = self._return_path(path), self._the_host()
        return (
            srs.restore(local_part, host.srs_secrets, self._today(), srs.VALID_DAYS + grace_days)
            if local_part
            else None
        )

    def _return_path(self, path: bytes) -> bytes:
        """The local-part of *path* when that claims to be a return path which we rewrote; else empty."""
        local_part, _, domain = path.rpartition(b"@")
        return local_part if srs.is_ours(local_part) and domain.lower() == self._the_host().name else b""

    def reverse_path_of(self, end: Beyond, sender: bytes, *, is_own: bool) -> tuple[bytes, srs.Kept | None]:
        """With which reverse-path mail of *sender* goes to *end*, and what the ledger keeps for it. *is_own*: we let it in.

        Bounces of what a stranger sent must find their way through us, or the stranger's domain would have to vouch for us
        (RFC 7208 9.1.1). Whom we relay for, and who is at home here, needs no detour.
        """
        secrets, place = self._the_host().srs_secrets, self._place_of(sender) if sender else None
        if not sender or not secrets or self._return_path(sender):
            return sender, None
        if place is not None and is_own:
            local_part, _, domain = sender.rpartition(b"@")
            if place.record.batv:
                local_part = batv.sign(local_part, place.name, secrets[0], self._today())
            return local_part + b"@" + domain, None
        if not end.is_forwarded:
            return sender, None
        return srs.rewrite(sender, self._the_host().name, secrets[0], self._today())

    def language_of(self, *paths: bytes) -> bytes:
        """The language of the first of *paths* whose domain is ours; empty: none is."""
        places = (self._place_of(path) for path in paths if path)
        return next((place.record.language for place in places if place is not None), b"")

    def may_not_send(self, key: bytes) -> bool:
        """Is the mailbox with the address *key*, its domain or its tenant suspended from sending, or gone?"""
        local_part, _, domain = key.rpartition(b"@")
        place = self._place(domain)
        record = None if place is None else self._record(ADDRESS + local_part + b"@" + place.name)
        return place is None or place.is_silent or not isinstance(record, Mailbox) or stands_still(record, SENDING_OUT)

    def is_ours(self, path: bytes) -> bool:
        """Is *path* in a domain that we have mail of, or pass mail on for?"""
        return self._place_of(path) is not None

    def lets_in(self, path: bytes) -> bool:
        """Does the domain of *path* have everybody accepted, known or not (validation `off`)?"""
        place = self._place_of(path)
        return place is not None and place.record.validation == b"off"

    def _place_of(self, path: bytes) -> Place | None:
        split = split_path(path)
        return None if split is None else self._place(split[1] or self._postmaster().rpartition(b"@")[2])

    def _judge(self, forward_path: bytes, origin: Origin | None) -> Judgement:
        if self._return_path(forward_path):
            word = Word.UNKNOWN if self.home_of(forward_path, 0) is None else Word.ACCEPT
            return Judgement(
                word, key=forward_path.lower(), scopes=self._of_host(), is_return=True, until_changed=False
            )
        start = self._start(forward_path, 0)
        if isinstance(start, Obstacle):
            return Judgement(Word.FOREIGN if start is Obstacle.FOREIGN else Word.UNKNOWN)
        local_part, _, domain = start.rpartition(b"@")
        place = self._place(domain)
        if place is None:  # the host's own domain, where the snapshot has none
            return Judgement(Word.UNKNOWN)
        found = self._lead(start, OURS if origin and self._is_signed_bounce(forward_path, start, origin) else origin)
        if found.word is Word.UNKNOWN and place.record.validation == b"off":
            found = replace(found, word=Word.ACCEPT)
        # Whoever was refused by mistake must be able to say so: RFC 5321 4.5.1.
        is_role = _is_role(local_part, place)
        is_tagged = b"prvs=" in forward_path.lower()  # or something like it, and then nothing is remembered
        is_signed = is_tagged and not batv.is_tagged(local_part)
        return Judgement(
            found.word,
            found.counted,
            found.quota_bytes,
            key=local_part + b"@" + place.name,
            late=place.record.validation == b"data",
            scopes=self._scopes(local_part, place),
            checks_client=not is_role,
            dnsbl=place.record.dnsbl,
            greylist=place.record.greylist and not is_role,
            asks_source=not is_role and found.word is Word.ACCEPT and self._is_asked_elsewhere(local_part, place),
            wants_tag=place.record.batv and not is_role and not is_signed and batv.can_sign(local_part),
            until_changed=not is_tagged,
            asks_origin=found.asks_origin,
            detail=found.detail,
        )

    def _is_signed_bounce(self, path: bytes, start: bytes, origin: Origin) -> bool:
        """Is it a notification for what somebody here sent as *path*? The tag that was on it is our own word for that."""
        return not origin.reverse_path and b"prvs=" in path.lower() and not batv.is_tagged(start.rpartition(b"@")[0])

    def _lead(self, start: bytes, origin: Origin | None) -> Judgement:
        """Whether any way from *start* ends well."""
        walk = _Walk(origin)
        found = self._first_of(start, walk)
        words = walk.words if found.word is Word.DENIED else b""
        return replace(found, asks_origin=True, detail=words) if walk.asks_origin else found

    def _first_of(self, start: bytes, walk: _Walk) -> Judgement:
        first: Final | Beyond | None = None
        obstacles: set[Obstacle] = set()
        for end in self._ends((start,), walk):
            if isinstance(end, Obstacle):
                obstacles.add(end)
            elif first is None:
                first = end
            else:
                # A second one: it is never full, and who else is behind it does not matter now.
                return Judgement(Word.ACCEPT)
        if first is None or Obstacle.TOO_MANY in obstacles:
            return Judgement(_WORDS[_weightiest(obstacles)])
        return (
            Judgement(Word.ACCEPT, first.counted, first.quota_bytes)
            if isinstance(first, Final)
            else Judgement(Word.ACCEPT)
        )

    def _is_asked_elsewhere(self, local_part: bytes, place: Place) -> bool:
        record = place.record
        if not record.next_hop or record.source not in ASKED_SOURCES or record.validation == b"off":
            return False
        return not isinstance(self._find(local_part, place)[1], Mailbox | Alias)

    def _scopes(self, local_part: bytes, place: Place) -> tuple[Scope, ...]:
        """Those of the address, else of whom it belongs to by a tag or a pattern; of its domain; of the host."""
        own = self._scope(local_part + b"@" + place.name)
        if own is None and (untagged(local_part, place.record.tag_separator) or pattern_prefixes(local_part)):
            base = self._find(local_part, place)[0]
            own = self._scope(base + b"@" + place.name) if base != local_part else None
        return (*((own,) if own else ()), *((place.scope,) if place.scope else ()), *self._of_host())

    def _of_host(self) -> tuple[Scope, ...]:
        if self._host_scope is None:
            host = self._scope(b"")
            self._host_scope = (host,) if host else ()
        return self._host_scope

    def _scope(self, name: bytes) -> Scope | None:
        record = self._record(RULES + name)
        return Scope(record.entries) if isinstance(record, Rules) else None

    def _start(self, path: bytes, grace_days: int = GRACE_DAYS) -> bytes | Obstacle:
        """The address key that *path* stands for, when its domain is ours."""
        split = split_path(path)
        if split is None:
            return Obstacle.FOREIGN if b"@" in path else Obstacle.UNKNOWN
        local_part, domain = split
        if not domain:
            return self._postmaster()
        place = self._place(domain)
        if place is None:
            return Obstacle.FOREIGN
        if len(local_part) > MAX_LOCAL_PART or self._return_path(path):
            return Obstacle.UNKNOWN
        if batv.is_tagged(local_part):
            secrets = self._the_host().srs_secrets
            local_part = batv.read(local_part, place.name, secrets, self._today(), grace_days) or local_part
        return local_part + b"@" + domain

    def leads_to(self, paths: Iterable[bytes], mailbox: bytes) -> bool:
        """Is mail for any of *paths*, as somebody wrote them, mail for the mailbox with this address key?"""
        starts = (self._start(path) for path in paths)
        return self._leads_to(tuple(start for start in starts if not isinstance(start, Obstacle)), mailbox)

    def _leads_to(self, starts: tuple[bytes, ...], mailbox: bytes) -> bool:
        """Does any way from *starts*, address keys, come to the mailbox with this address key? Not by what mailboxes forward."""
        walk = _Walk(OURS, ends_at_mailboxes=True)
        return any(mailbox in walk.mailboxes for _ in self._ends(starts, walk)) or mailbox in walk.mailboxes

    def _ends(self, starts: tuple[bytes, ...], walk: _Walk) -> Iterator[Final | Beyond | Obstacle]:
        """Every end of the ways from *starts*, as they are found."""
        waiting = [(start, 0) for start in reversed(starts)]
        seen = walk.seen
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
            for end in self._look(local_part, place, walk):
                if isinstance(end, bytes):
                    waiting.append((end, depth + 1))
                else:
                    yield end

    def _look(self, local_part: bytes, place: Place, walk: _Walk) -> Iterator[bytes | Final | Beyond | Obstacle]:
        """One address: where it ends, and the address keys to which it goes on, last first."""
        if place.suspended:
            # Somebody must be reachable about a domain even, and above all, when it is switched off.
            host = self._postmaster()
            is_elsewhere = host.rpartition(b"@")[2] != place.name
            yield host if is_elsewhere and _is_role(local_part, place) else Obstacle.SUSPENDED
            return
        base, record = self._find(local_part, place)
        if not self._is_open(local_part, base, place, record, walk):
            yield Obstacle.CLOSED
        elif isinstance(record, Mailbox):
            yield from self._mailbox(base + b"@" + place.name, place, record, walk)
        elif isinstance(record, Alias):
            yield from self._onward(record.targets, place, walk.seen)
        elif place.record.next_hop:
            yield self._relayed(local_part, base, place, record)
        elif base in ROLE_ADDRESSES and base + b"@" + place.name != self._postmaster():
            yield self._postmaster()
        elif place.catch_all:
            # Never out: whoever invents addresses here would have us write to one elsewhere.
            yield place.catch_all if _stays_in(self._place_of(place.catch_all), place) else Obstacle.FOREIGN
        else:
            yield Obstacle.UNKNOWN

    def _is_open(self, local_part: bytes, base: bytes, place: Place, record: Record | None, walk: _Walk) -> bool:
        """May whoever brings it write to this address? Also where he named another one that leads here."""
        alias = record if isinstance(record, Alias) and record.open_to else None
        if (alias is None and not place.record.local_only) or _is_role(local_part, place):
            return True
        walk.asks_origin = True
        if walk.origin is None:
            return True
        words = self._doors.refusal(base + b"@" + place.name, place, alias, walk.origin)
        walk.words = walk.words or words
        return not words

    def _relayed(self, local_part: bytes, base: bytes, place: Place, record: Record | None) -> Beyond | Obstacle:
        is_listed = place.record.source != b"list" or isinstance(record, Relayed) or base in ROLE_ADDRESSES
        if not is_listed:
            return Obstacle.UNKNOWN
        return Beyond(local_part + b"@" + place.name, a_label(place.name) or place.name, is_relayed=True)

    def _find(self, local_part: bytes, place: Place) -> tuple[bytes, Record | None]:
        """The record of *local_part*, else of whom it belongs to by a tag or a pattern, and under which local-part it was found."""
        record = self._record(ADDRESS + local_part + b"@" + place.name)
        if record is not None:
            return local_part, record
        for base in untagged(local_part, place.record.tag_separator):
            record = self._record(ADDRESS + base + b"@" + place.name)
            if record is not None or base in ROLE_ADDRESSES:
                return base, record
        for prefix in () if place.record.next_hop else pattern_prefixes(local_part):
            pattern = self._record(PATTERN + prefix + b"@" + place.name)
            base = pattern.mailbox.rpartition(b"@")[0] if isinstance(pattern, Pattern) else b""
            record = self._record(ADDRESS + base + b"@" + place.name) if base else None
            if isinstance(record, Mailbox):
                return base, record
        return local_part, None

    def _onward(
        self, targets: tuple[bytes, ...], place: Place, seen: set[bytes]
    ) -> Iterator[bytes | Beyond | Obstacle]:
        """Where an alias or a forwarding of *place* leads, last first: on to addresses of ours, or out."""
        for target in reversed(targets):
            domain = target.rpartition(b"@")[2]
            end = None
            there = self._place(domain)
            if there is not None:
                yield target if _stays_in(there, place) else Obstacle.FOREIGN
            elif target not in seen:
                seen.add(target)
                if place.forwards_outside:
                    end = beyond(target, domain, is_forwarded=True)
                yield end or Obstacle.FOREIGN

    def _mailbox(
        self, key: bytes, place: Place, record: Mailbox, walk: _Walk
    ) -> Iterator[bytes | Final | Beyond | Obstacle]:
        seen = walk.seen
        walk.mailboxes.add(key)
        if walk.ends_at_mailboxes:
            return
        if stands_still(record, RECEIVING):
            yield Obstacle.SUSPENDED
            return
        goes_on, stays = bool(record.targets), record.keep_copy or not record.targets
        if record.conditions is not None and goes_on:
            goes_on = walk.letter is None or walk.letter.meets(record.conditions, key)
            stays = stays or walk.letter is None or not goes_on
        mark = b"\0" + key  # No address has a NUL: with and without a +tag it is one mailbox and one copy.
        if stays and mark not in seen:
            seen.add(mark)
            yield Final(record.address, place.name, record.store, key, record.quota_bytes)
        if goes_on:
            yield from self._onward(record.targets, place, seen)

    def _place(self, domain: bytes) -> Place | None:
        if domain in self._places:
            return self._places[domain]
        place = self._find_place(domain)
        _remember(self._places, domain, place)
        return place

    def _find_place(self, domain: bytes) -> Place | None:
        suspended = is_silent = False
        for _ in range(MAX_DEPTH):
            record = self._record(DOMAIN + domain)
            if not isinstance(record, Domain):
                return None
            above = list(self._tenants(record.tenant))
            asked: list[Domain | Tenant] = [record, *above]
            suspended = suspended or any(stands_still(one, RECEIVING) for one in asked)
            is_silent = is_silent or any(stands_still(one, SENDING_OUT) for one in asked)
            if not record.alias_of:
                forwards_outside = not record.local_only and all(tenant.forwards_outside for tenant in above)
                return Place(domain, suspended, record, self._scope(domain), forwards_outside, is_silent)
            domain = record.alias_of
        return None

    def _tenants(self, tenant: bytes) -> Iterator[Tenant]:
        """The tenant and those above it."""
        for _ in range(MAX_TENANTS):
            if not tenant:
                return
            record = self._record(TENANT + tenant)
            if not isinstance(record, Tenant):
                raise RecordError("a domain of a tenant that does not exist")
            yield record
            tenant = record.parent
        raise RecordError("a tree of tenants without a root")

    def _postmaster(self) -> bytes:
        return self._the_host().postmaster

    def _the_host(self) -> Host:
        if self._host is None:
            record = self._record(HOST_KEY)
            if not isinstance(record, Host):
                raise RecordError("a snapshot without its host")
            self._host = record
        return self._host

    def _today(self) -> int:
        return int(self._clock()) // 86_400

    def _record(self, key: bytes) -> Record | None:
        octets = self._get(key)
        return None if octets is None else unpack_record(octets)


def _stays_in(there: Place | None, place: Place) -> bool:
    """Is *there* a domain of ours, and inside where mail of *place* stays?"""
    scope = place.record.local_only
    return there is not None and (not scope or is_within(scope, there, place))


def _is_role(local_part: bytes, place: Place) -> bool:
    """Is it one of the addresses that must reach somebody, perhaps with a tag?"""
    return local_part in ROLE_ADDRESSES or any(
        base in ROLE_ADDRESSES for base in untagged(local_part, place.record.tag_separator)
    )


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
        # The snapshot holds a domain under both its forms, so nobody here needs to convert between them.
        return fold_local_part(local_part.decode()).encode(), fold_domain(domain.decode()).encode()
    except UnicodeDecodeError:
        return None


def _without_route(path: bytes) -> bytes:
    return path.partition(b":")[2] if path.startswith(b"@") else path


def _weightiest(obstacles: set[Obstacle]) -> Obstacle:
    return min(obstacles, key=lambda obstacle: obstacle.value, default=Obstacle.UNKNOWN)  # none: an alias for nobody


def _remember(memory: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    # All at once instead of the oldest: who fills it with rubbish fills it again anyway, and this costs nothing.
    if len(memory) >= MAX_REMEMBERED:
        memory.clear()
    memory[key] = value
