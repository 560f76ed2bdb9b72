"""Rows to plain frozen records: everything there is, or what stands now under keys that changed.

A reader would otherwise get wrong: a key that changed may be gone. Then there is no row, and the key itself is what is told
on; so every function here yields what it *found*, and who asked compares with what he asked for.
"""

import itertools
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from appliance.compile.source import Query, Row
from mta.snapshot.records import LOGGING_IN, RECEIVING, SENDING_OUT

KEYS_AT_ONCE = 500  # in one statement; SQLite takes 32,766 parameters at most


@dataclass(frozen=True, slots=True)
class State:
    """Which database this is, and how old."""

    instance_id: str
    host_name: str
    newest: int  # number of the newest change, 0: there never was one
    oldest: int  # of the oldest that is still kept
    srs_secrets: tuple[str, ...] = ()  # hexadecimal digits, the newest first


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """Something of this kind and key is different."""

    number: int
    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class TenantRow:
    """A node of the tree."""

    id: int
    parent_id: int | None
    suspended: bool
    forwards_outside: bool = True
    sends_per_hour: int = 0
    sends_per_day: int = 0
    stops: int = 0  # as `records.RECEIVING` and the others, where not all stands still


@dataclass(frozen=True, slots=True)
class DomainRow:
    """A domain, another name of one, or one that is only relayed."""

    name: str
    kind: str
    tenant_id: int
    suspended: bool
    alias_of: str
    catch_all: str
    validation: str
    greylist: bool = False
    dnsbl: bool = True
    next_hop: str = ""
    source: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    sealed_secret: str = ""
    batv: bool = False
    language: str = "en"
    send_as_any: bool = False
    sends_per_hour: int = 0
    sends_per_day: int = 0
    stops: int = 0
    tag_separator: str = "+"
    local_only: str = ""


@dataclass(frozen=True, slots=True)
class MailboxRow:
    """A mailbox with what it forwards."""

    folded: str
    local_part: str
    domain: str
    quota_bytes: int
    suspended: bool
    sealed_hash: str
    keep_copy: bool
    targets: tuple[str, ...]
    stops: int = 0
    conditions: Mapping[str, Any] | None = None
    has_second_factor: bool = False

    @property
    def key(self) -> str:
        """The address as compared."""
        return f"{self.folded}@{self.domain}"


@dataclass(frozen=True, slots=True)
class AutoreplyRow:
    """What a mailbox answers by itself."""

    key: str
    display_name: str
    subject: str
    text: str
    starts_at: int
    ends_at: int


@dataclass(frozen=True, slots=True)
class AliasRow:
    """An alias, its targets, and whom it is open to."""

    key: str
    targets: tuple[str, ...]
    open_to: str = "everybody"
    listed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PatternRow:
    """Whose addresses are that begin so."""

    key: str  # what stands before the star, and the domain
    mailbox: str  # address key


@dataclass(frozen=True, slots=True)
class RulesRow:
    """The access rules of the host, a domain or a mailbox."""

    scope: str  # empty, domain, address key
    entries: tuple[tuple[str, str], ...]  # allow or deny, pattern


@dataclass(frozen=True, slots=True)
class CertificateRow:
    """A certificate under one of its names."""

    name: str
    chain: str
    sealed_key: str
    not_after: int


@dataclass(frozen=True, slots=True)
class SigningRow:
    """What mail of a domain is signed with now."""

    domain: str
    keys: tuple[tuple[str, str, str], ...]  # selector, algorithm, sealed key


@dataclass(frozen=True, slots=True)
class RouteRow:
    """How mail goes on to another server; see `records.Routed` for which it is taken for."""

    key: str
    next_hop: str
    tls: str = "may"
    lmtp: bool = False
    login: str = ""
    sealed_password: str = ""
    source_address: str = ""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """Who may log in without being a mailbox owner."""

    name: str
    sealed_hash: str
    tenant_id: int
    domain: str


@dataclass(frozen=True, slots=True)
class KeyRow:
    """An API key."""

    public_id: str
    sha256: str
    revoked: bool
    tenant_id: int


def _stops(held: Sequence[object]) -> tuple[bool, int]:
    """From `receiving_held`, `sending_held`, `log_in_held`: does all stand still, and what does where not all does?"""
    stops = sum(bit for bit, by in zip((RECEIVING, SENDING_OUT, LOGGING_IN), held, strict=True) if by)
    return (True, 0) if all(held) else (False, stops)


def state(query: Query) -> State | None:
    """Which database this is; None: it was never founded, or somebody emptied it."""
    instance = next(query.rows("SELECT instance_id, host_name FROM instance ORDER BY id LIMIT 1"), None)
    if instance is None:
        return None
    # Each on its own: together they would be counted out by reading the whole table.
    newest, oldest = next(query.rows("SELECT (SELECT max(id) FROM change), (SELECT min(id) FROM change)"))
    secrets = tuple(secret for (secret,) in query.rows("SELECT secret FROM srs_secret ORDER BY id DESC"))
    return State(instance[0], instance[1], newest or 0, oldest or 0, secrets)


def change(query: Query, number: int) -> ChangeRow | None:
    """The change with this number, if it is still kept."""
    row = next(query.rows("SELECT id, kind, key FROM change WHERE id = ?", (number,)), None)
    return ChangeRow(*row) if row else None


def changes(query: Query, after: int, limit: int) -> list[ChangeRow]:
    """Changes above *after*, oldest first."""
    rows = query.rows("SELECT id, kind, key FROM change WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
    return [ChangeRow(*row) for row in rows]


def tenants(query: Query, ids: Sequence[int] | None = None) -> Iterator[TenantRow]:
    """All tenants, or those with *ids*."""
    statement = (
        "SELECT t.id, t.parent_id, t.receiving_held, t.sending_held, t.log_in_held, t.forwards_outside, "
        "coalesce(s.per_hour, p.sends_per_hour), coalesce(s.per_day, p.sends_per_day) "
        "FROM tenant t LEFT JOIN sending s ON s.tenant_id = t.id LEFT JOIN plan p ON p.id = t.plan_id"
    )
    for id_, parent_id, *held, forwards_outside, per_hour, per_day in _select(statement, "t.id", query, ids):
        suspended, stops = _stops(held)
        yield TenantRow(id_, parent_id, suspended, bool(forwards_outside), per_hour or 0, per_day or 0, stops)


def domains(query: Query, names: Sequence[str] | None = None) -> Iterator[DomainRow]:
    """All domains, or those with *names*."""
    statement = (
        "SELECT d.name, d.kind, d.tenant_id, d.receiving_held, d.sending_held, d.log_in_held, o.name, "
        "d.catch_all, d.validation, d.greylist, d.dnsbl, d.next_hop, d.source, d.source_settings, "
        "d.sealed_secret, d.batv, d.language, d.tag_separator, d.local_only, s.any_address, s.per_hour, s.per_day "
        "FROM domain d LEFT JOIN domain o ON o.id = d.alias_of_id LEFT JOIN sending s ON s.domain_id = d.id "
        "WHERE d.proved_at IS NOT NULL"
    )
    for row in _select(statement, "d.name", query, names):
        (
            name,
            kind,
            tenant_id,
            receiving,
            sending_out,
            log_in,
            alias_of,
            catch_all,
            validation,
            greylist,
            dnsbl,
            next_hop,
            source,
            told,
            secret,
            batv,
            language,
            tag_separator,
            local_only,
            *sending,
        ) = row
        suspended, stops = _stops((receiving, sending_out, log_in))
        settings = _read_json(told)
        yield DomainRow(
            name, kind, tenant_id, suspended, alias_of or "", catch_all or "", validation, bool(greylist), bool(dnsbl),
            next_hop or "", source, settings, secret or "", bool(batv), language, bool(sending[0]), sending[1] or 0,
            sending[2] or 0, stops, tag_separator, local_only,
        )  # fmt: skip


def _read_json(told: object) -> Any:  # noqa: ANN401 - what it is
    """What stands in a column of JSON; PostgreSQL's driver has read it already."""
    return json.loads(told) if isinstance(told, str) else told


def mailboxes(query: Query, domain: str | None = None, folded: Sequence[str] | None = None) -> Iterator[MailboxRow]:
    """All mailboxes, or those of *domain* with these *folded* local-parts."""
    statement = (
        "SELECT m.id, m.folded, m.local_part, d.name, m.quota_bytes, "
        "m.receiving_held, m.sending_held, m.log_in_held, m.sealed_hash, f.conditions, f.enabled, f.keep_copy "
        "FROM mailbox m JOIN domain d ON d.id = m.domain_id LEFT JOIN forwarding f ON f.mailbox_id = m.id"
    )
    for rows in _pieces(_select(statement, "m.folded", query, folded, domain)):
        targets = _targets(query, [row[0] for row in rows if row[-2]])
        careful = _with_second_factor(query, [row[0] for row in rows if row[-4]])
        for id_, part, given, name, quota_bytes, *held, sealed_hash, conditions, enabled, keep_copy in rows:
            found = targets.get(id_, ())
            kept = bool(keep_copy) or not enabled or not found
            suspended, stops = _stops(held)
            yield MailboxRow(
                part, given, name, quota_bytes, suspended, sealed_hash or "", keep_copy=kept, targets=found, stops=stops,
                conditions=_read_json(conditions) if found else None, has_second_factor=id_ in careful,
            )  # fmt: skip


def autoreplies(query: Query, domain: str | None = None, folded: Sequence[str] | None = None) -> Iterator[AutoreplyRow]:
    """All autoreplies that are not switched off, or those of *domain* with these *folded* local-parts."""
    statement = (
        "SELECT m.folded, d.name, m.display_name, r.subject, r.text, r.starts_at, r.ends_at FROM autoreply r "
        "JOIN mailbox m ON m.id = r.mailbox_id JOIN domain d ON d.id = m.domain_id WHERE r.enabled"
    )
    for part, name, display_name, subject, text, starts, ends in _select(statement, "m.folded", query, folded, domain):
        yield AutoreplyRow(f"{part}@{name}", display_name, subject, text, starts or 0, ends or 0)


def logins(query: Query) -> Iterator[MailboxRow]:
    """All mailboxes that somebody can log in to, without what they forward."""
    statement = (
        "SELECT m.id, m.folded, d.name, m.receiving_held, m.sending_held, m.log_in_held, m.sealed_hash "
        "FROM mailbox m JOIN domain d ON d.id = m.domain_id WHERE m.sealed_hash IS NOT NULL"
    )
    careful = _with_second_factor(query)
    for id_, folded, name, *held, sealed_hash in query.rows(statement):
        suspended, stops = _stops(held)
        yield MailboxRow(
            folded, "", name, 0, suspended, sealed_hash, keep_copy=True, targets=(), stops=stops,
            has_second_factor=id_ in careful,
        )  # fmt: skip


def _with_second_factor(query: Query, mailbox_ids: Sequence[int] | None = None) -> set[int]:
    """Whose owners show more than a password at the panel; of all, or of these."""
    statements = (
        "SELECT mailbox_id FROM own_settings WHERE sealed_secret IS NOT NULL AND mailbox_id IS NOT NULL",
        "SELECT mailbox_id FROM passkey WHERE mailbox_id IS NOT NULL",
    )
    return {id_ for statement in statements for (id_,) in _select(statement, "mailbox_id", query, mailbox_ids)}


def amount(query: Query) -> int:
    """About how many records there are, for whoever waits."""
    counted = ("mailbox", "alias", "pattern", "relay_recipient", "mailbox WHERE sealed_hash IS NOT NULL")
    return sum(next(query.rows(f"SELECT count(*) FROM {of}"))[0] for of in counted)  # noqa: S608 - our own words


def _targets(query: Query, mailbox_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    statement = "SELECT forwarding_id, address FROM forwarding_target WHERE confirmed_at IS NOT NULL"
    rows = _select(statement, "forwarding_id", query, mailbox_ids, order="id")
    found: dict[int, tuple[str, ...]] = {}
    for mailbox_id, address in rows:
        found[mailbox_id] = (*found.get(mailbox_id, ()), address)
    return found


def aliases(query: Query, domain: str | None = None, folded: Sequence[str] | None = None) -> Iterator[AliasRow]:
    """All aliases, or those of *domain* with these *folded* local-parts."""
    statement = (
        "SELECT a.id, a.folded, d.name, t.address, a.open_to, a.listed FROM alias a "
        "JOIN domain d ON d.id = a.domain_id "
        # Switched off, it leads nowhere: then its mail is refused, and no pattern or catch-all takes it.
        "LEFT JOIN alias_target t ON t.alias_id = a.id AND t.confirmed_at IS NOT NULL AND a.enabled"
    )
    rows = _select(statement, "a.folded", query, folded, domain, order="a.id, t.id")
    for (_, part, name), group in itertools.groupby(rows, itemgetter(0, 1, 2)):
        some = list(group)
        *_, open_to, told = some[0]
        listed = json.loads(told) if isinstance(told, str) else told  # PostgreSQL's driver has read the JSON already.
        yield AliasRow(f"{part}@{name}", tuple(row[3] for row in some if row[3] is not None), open_to, tuple(listed))


def patterns(query: Query, domain: str | None = None, folded: Sequence[str] | None = None) -> Iterator[PatternRow]:
    """All patterns, or those of *domain* that begin with one of *folded*."""
    statement = (
        "SELECT p.folded, d.name, m.folded FROM pattern p JOIN mailbox m ON m.id = p.mailbox_id "
        "JOIN domain d ON d.id = p.domain_id"
    )
    for beginning, name, holder in _select(statement, "p.folded", query, folded, domain):
        yield PatternRow(f"{beginning}@{name}", f"{holder}@{name}")


def relayed(query: Query, domain: str | None = None, folded: Sequence[str] | None = None) -> Iterator[str]:
    """Address keys of all uploaded recipients, or of those of *domain* with these *folded* local-parts."""
    statement = "SELECT r.folded, d.name FROM relay_recipient r JOIN domain d ON d.id = r.domain_id"
    for part, name in _select(statement, "r.folded", query, folded, domain):
        yield f"{part}@{name}"


_RULES = (
    "SELECT r.verb, r.pattern, m.folded, d.name FROM access_rule r LEFT JOIN domain d ON d.id = r.domain_id "
    "LEFT JOIN mailbox m ON m.id = r.mailbox_id WHERE (r.expires_at IS NULL OR r.expires_at > ?)"
)


def rules(query: Query, scopes: Iterable[str] | None = None) -> Iterator[RulesRow]:
    """All lists of access rules, or those of *scopes*, without what has expired."""
    if scopes is None:
        order = " ORDER BY r.domain_id, r.mailbox_id, r.position, r.id"
        rows = query.rows(_RULES + order, (int(time.time()),))
        for (folded, name), some in itertools.groupby(rows, itemgetter(2, 3)):
            yield RulesRow(_scope(folded, name), tuple((row[0], row[1]) for row in some))
        return
    for scope in scopes:
        folded, at, name = scope.rpartition("@")
        where, values = "r.domain_id IS NULL", []
        if scope:
            where, values = "d.name = ? AND r.mailbox_id IS NULL", [name]
        if at:
            where, values = "d.name = ? AND m.folded = ?", [name, folded]
        statement = f"{_RULES} AND {where} ORDER BY r.position, r.id"
        entries = tuple((row[0], row[1]) for row in query.rows(statement, (int(time.time()), *values)))
        if entries:
            yield RulesRow(scope, entries)


def expired(query: Query, now: int) -> list[tuple[int, str]]:
    """Id and scope of each rule whose time is over."""
    statement = (
        "SELECT r.id, m.folded, d.name FROM access_rule r LEFT JOIN domain d ON d.id = r.domain_id "
        "LEFT JOIN mailbox m ON m.id = r.mailbox_id WHERE r.expires_at <= ?"
    )
    return [(number, _scope(folded, name)) for number, folded, name in query.rows(statement, (now,))]


def expired_aliases(query: Query, now: int) -> list[tuple[int, str, int, int]]:
    """Id, address key, domain's and tenant's id of each alias whose time is over."""
    statement = (
        "SELECT a.id, a.folded, d.name, d.id, d.tenant_id FROM alias a JOIN domain d ON d.id = a.domain_id "
        "WHERE a.expires_at <= ? ORDER BY a.id LIMIT ?"
    )
    rows = query.rows(statement, (now, KEYS_AT_ONCE))
    return [(number, f"{folded}@{name}", domain_id, tenant_id) for number, folded, name, domain_id, tenant_id in rows]


def _scope(folded: str | None, name: str | None) -> str:
    return (name or "") if folded is None else f"{folded}@{name}"


def certificates(query: Query, names: Sequence[str] | None = None) -> Iterator[CertificateRow]:
    """For each name that has one, or each of *names*, the certificate to show: the newest that is still good."""
    statement = (
        "SELECT n.name, c.chain, c.sealed_key, c.not_after FROM certificate_name n "
        "JOIN certificate c ON c.id = n.certificate_id"
    )
    now, best = int(time.time()), dict[str, CertificateRow]()
    for values in _select(statement, "n.name", query, names, order="c.id"):
        row = CertificateRow(*values)
        # One that has expired is better than none: the connection is at least not readable by everybody.
        if row.name not in best or row.not_after > now or best[row.name].not_after <= now:
            best[row.name] = row
    yield from best.values()


def signing_keys(query: Query, names: Sequence[str] | None = None) -> Iterator[SigningRow]:
    """The keys of all domains that have some in use, or of those with *names*."""
    statement = (
        "SELECT d.name, k.state, k.selector, k.algorithm, k.sealed_key FROM dkim_key k "
        "JOIN domain d ON d.id = k.domain_id WHERE d.proved_at IS NOT NULL"
    )
    rows = _select(statement, "d.name", query, names, order="k.domain_id, k.id")
    for name, some in itertools.groupby(rows, itemgetter(0)):
        in_use = tuple((selector, algorithm, key) for _, state, selector, algorithm, key in some if state == "signing")
        if in_use:
            yield SigningRow(name, in_use)


def routes(query: Query, keys: Sequence[str] | None = None) -> Iterator[RouteRow]:
    """All routes, or those with *keys*: relayed domains' next hops, and what was said of the way there and elsewhere."""
    # A domain that nobody has proved to be his must not draw mail that others send there, either.
    statement = "SELECT name, next_hop FROM domain WHERE proved_at IS NOT NULL"
    hops = {name: hop for name, hop in _select(statement, "name", query, keys) if hop}
    statement = (
        'SELECT "key", next_hop, tls, lmtp, login, sealed_password, source_address FROM route '
        "WHERE (domain_id IS NULL OR domain_id IN (SELECT id FROM domain WHERE proved_at IS NOT NULL))"
    )
    for key, next_hop, tls, lmtp, login, password, source_address in _select(statement, '"key"', query, keys):
        hop = next_hop or hops.pop(key, "")
        hops.pop(key, None)
        yield RouteRow(key, hop, tls, bool(lmtp), login or "", password or "", source_address or "")
    yield from (RouteRow(name, hop) for name, hop in hops.items())


def accounts(query: Query, names: Sequence[str] | None = None) -> Iterator[AccountRow]:
    """All accounts, or those with *names*."""
    statement = (
        "SELECT a.name, a.sealed_hash, a.tenant_id, d.name FROM account a LEFT JOIN domain d ON d.id = a.domain_id"
    )
    for name, sealed_hash, tenant_id, domain in _select(statement, "a.name", query, names):
        yield AccountRow(name, sealed_hash or "", tenant_id, domain or "")


def keys(query: Query, public_ids: Sequence[str] | None = None) -> Iterator[KeyRow]:
    """All API keys, or those with *public_ids*."""
    statement = "SELECT public_id, sha256, revoked_at, tenant_id FROM api_key"
    for public_id, sha256, revoked_at, tenant_id in _select(statement, "public_id", query, public_ids):
        yield KeyRow(public_id, sha256, revoked_at is not None, tenant_id)


def _select(
    statement: str, column: str, query: Query, wanted: Sequence[object] | None, domain: str | None = None, order: str = ""
) -> Iterator[Row]:  # fmt: skip
    """*statement* for all rows, or for those whose *column* is one of *wanted*, some at a time."""
    tail = f" ORDER BY {order}" if order else ""
    if wanted is None:
        yield from query.rows(statement + tail)
        return
    for start in range(0, len(wanted), KEYS_AT_ONCE):
        some = list(wanted[start : start + KEYS_AT_ONCE])
        # Only numbers of question marks and our own column names go into the statement; values travel beside it.
        joint = " AND" if " WHERE " in statement else " WHERE"
        where = f"{joint} {column} IN ({', '.join('?' * len(some))})"
        if domain is not None:
            where += " AND d.name = ?"
            some.append(domain)
        yield from query.rows(statement + where + tail, some)


def _pieces(rows: Iterable[Row]) -> Iterator[list[Row]]:
    iterator = iter(rows)
    while piece := list(itertools.islice(iterator, KEYS_AT_ONCE)):
        yield piece
