"""What stands in the database, as records for each audience: all of it, or what is under changed keys.

A reader would otherwise get wrong: a change names a key and never says what happened there. What stands under it now is
looked up; where nothing does, the record is None.
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

from appliance.compile import collect, render, sending
from appliance.compile.collect import ChangeRow, DomainRow, RouteRow, State, TenantRow
from appliance.compile.render import Record
from appliance.compile.source import Query

# In the order in which they are written.
# In the order in which they are published. Recipients last: whom the SMTP port knows may log in, is signed for, has a route.
AUDIENCES = ("certificates", "sources", "routes", "signing", "credentials", "recipients")

Changed = dict[bytes, bytes | None]


def everything(
    query: Query, state: State, tenants: Sequence[TenantRow], domains: Sequence[DomainRow], fixed: Mapping[str, str]
) -> tuple[dict[str, Iterable[Record]], int]:
    """For each audience, all its records; and about how many that is. *fixed*: as for `routes`."""
    ways = routes(query, fixed)
    common = [render.tenant(row) for row in tenants]
    common += itertools.chain.from_iterable(render.domain(row) for row in domains)
    common += map(render.pattern, collect.patterns(query))
    records: dict[str, Iterable[Record]] = {
        "certificates": _certificates(query, state.host_name),
        "sources": _present_only(map(render.source, domains)),
        "routes": map(render.route, ways),
        "signing": itertools.chain.from_iterable(map(render.signing_keys, collect.signing_keys(query))),
        "recipients": itertools.chain(
            [render.host(state)],
            common,
            map(render.mailbox, collect.mailboxes(query)),
            map(render.alias, collect.aliases(query)),
            map(render.relayed, collect.relayed(query)),
            map(render.rules, collect.rules(query)),
            sending.of_mailboxes(query),
            map(render.autoreply, collect.autoreplies(query)),
            (render.routed(row.key) for row in ways),
        ),
        "credentials": itertools.chain(
            common,
            _present_only(map(render.mailbox_login, collect.logins(query))),
            _present_only(map(render.account, collect.accounts(query))),
            map(render.api_key, collect.keys(query)),
            sending.app_passwords(query),
            sending.senders(query),
        ),
    }
    return records, collect.amount(query) + 2 * len(common)


def routes(query: Query, fixed: Mapping[str, str], keys: Sequence[str] | None = None) -> list[RouteRow]:
    """All routes, or those with *keys*. *fixed* next hops by key stand in the settings file, and count before the others."""
    found = {row.key: row for row in collect.routes(query, keys)}
    found |= {key: RouteRow(key, hop) for key, hop in fixed.items() if keys is None or key in keys}
    return list(found.values())


def changed_routes(query: Query, fixed: Mapping[str, str], keys: Sequence[str]) -> tuple[Changed, Changed]:
    """What stands now under *keys*, for remotespawn and for the directory."""
    found = routes(query, fixed, keys)
    ways: Changed = dict.fromkeys(map(render.route_key, keys)) | dict(map(render.route, found))
    marks: Changed = dict.fromkeys(map(render.routed_key, keys)) | dict(render.routed(row.key) for row in found)
    return ways, marks


def changed(
    query: Query, changes: Iterable[ChangeRow], host_name: str, fixed: Mapping[str, str], *, is_same_host: bool
) -> dict[str, Changed]:
    """What stands now under each changed key, for each audience; None where nothing stands any more."""
    wanted: dict[str, dict[str, None]] = {}
    for change in changes:
        wanted.setdefault(change.kind, {})[change.key] = None
    found: dict[str, Changed] = {audience: {} for audience in AUDIENCES}
    recipients, credentials = found["recipients"], found["credentials"]
    names = list(wanted.get("domain", ()))
    common = _changed_tenants(query, list(wanted.get("tenant", ()))) | _changed_domains(query, names, found)
    common |= _changed_patterns(query, wanted.get("pattern", ()))
    recipients |= common
    credentials |= common
    # A mailbox's suspension and its removal are told as a changed address; its login follows.
    addresses = wanted.get("address", {})
    standing, logins = _changed_addresses(query, addresses, addresses | wanted.get("password", {}))
    recipients |= standing | _changed_autoreplies(query, wanted.get("autoreply", {}))
    credentials |= logins
    sendings, secrets = sending.changed(query, wanted.get("senders", {}))
    recipients |= sendings
    credentials |= secrets
    scopes = wanted.get("rules", {})
    recipients |= dict.fromkeys(map(render.rules_key, scopes))
    recipients |= dict(map(render.rules, collect.rules(query, scopes)))
    accounts = list(wanted.get("account", ()))
    credentials |= dict.fromkeys(map(render.account_key, accounts))
    credentials |= dict(_present_only(map(render.account, collect.accounts(query, accounts))))
    keys = list(wanted.get("key", ()))
    credentials |= dict.fromkeys(map(render.api_key_key, keys))
    credentials |= dict(map(render.api_key, collect.keys(query, keys)))
    found["signing"] |= _changed_signing_keys(query, list(wanted.get("signing", ())))
    # A domain that came may be relayed, or be another's whose mail had a route; one that went takes its routes along.
    asked = list(wanted.get("route", ()))
    ways, marks = changed_routes(query, fixed, [*asked, *names, *(f"@{name}" for name in names)])
    gone = found["routes"].keys() | set(map(render.route_key, asked))
    # Of a domain that is there and never had a route nothing needs to be said.
    found["routes"] |= {key: way for key, way in ways.items() if way is not None or key in gone}
    gone = {render.routed_key(render.key_of_route(key)) for key in gone}
    recipients |= {key: mark for key, mark in marks.items() if mark is not None or key in gone}
    found["certificates"] |= _changed_certificates(query, list(wanted.get("name", ())), host_name, is_same_host)
    return found


def _changed_signing_keys(query: Query, names: list[str]) -> Changed:
    found: Changed = dict.fromkeys(key for name in names for key in render.signing_keys_of(name))
    return found | dict(itertools.chain.from_iterable(map(render.signing_keys, collect.signing_keys(query, names))))


def _changed_certificates(query: Query, names: list[str], host_name: str, is_same_host: bool) -> Changed:
    found: Changed = dict.fromkeys(map(render.certificate_key, names))
    found |= dict(render.certificate(row, row.name) for row in collect.certificates(query, names))
    if not is_same_host or not set(names).isdisjoint(render.names_of_host(host_name)):
        found[render.certificate_key("")] = None
        found |= dict(_default_certificate(query, host_name))
    return found


def _certificates(query: Query, host_name: str) -> Iterator[Record]:
    yield from (render.certificate(row, row.name) for row in collect.certificates(query))
    yield from _default_certificate(query, host_name)


def _default_certificate(query: Query, host_name: str) -> Iterator[Record]:
    """The host's own, for whoever names no other."""
    names = render.names_of_host(host_name)
    of_host = {row.name: row for row in collect.certificates(query, names)}
    for name in names:
        if name in of_host:
            yield render.certificate(of_host[name], "")
            return


def _changed_tenants(query: Query, ids: list[str]) -> Changed:
    found: Changed = dict.fromkeys(map(render.tenant_key, ids))
    numbers = [int(id_) for id_ in ids if id_.isdigit()]
    return found | dict(render.tenant(row) for row in collect.tenants(query, numbers))


def _changed_domains(query: Query, names: list[str], audiences: dict[str, Changed]) -> Changed:
    """The records of domains with these *names*; those of relayed ones that only some *audiences* have are put there."""
    sources = audiences["sources"]
    found: Changed = dict.fromkeys(key for name in names for key in render.domain_keys(name))
    gone = dict.fromkeys(names)
    for row in collect.domains(query, names):
        found |= dict(render.domain(row))
        if row.kind == "relay":
            sources[render.source_key(row.name)] = None
            sources |= dict(_present_only([render.source(row)]))
        del gone[row.name]
    # What it was is not known any more; removing a source that never stood costs a few octets.
    sources |= dict.fromkeys(map(render.source_key, gone))
    audiences["routes"] |= dict.fromkeys(render.route_key(key) for name in gone for key in (name, f"@{name}"))
    return found


def _changed_patterns(query: Query, keys: Iterable[str]) -> Changed:
    found: Changed = dict.fromkeys(map(render.pattern_key, keys))
    for domain, parts in _by_domain(keys).items():
        found |= map(render.pattern, collect.patterns(query, domain, parts))
    return found


def _by_domain(keys: Iterable[str]) -> dict[str, list[str]]:
    """Local-parts of address keys, by their domains."""
    found: dict[str, list[str]] = {}
    for key in keys:
        folded, _, domain = key.rpartition("@")
        found.setdefault(domain, []).append(folded)
    return found


def _changed_addresses(query: Query, addresses: Iterable[str], logins: Iterable[str]) -> tuple[Changed, Changed]:
    found: Changed = dict.fromkeys(map(render.address_key, addresses))
    found_logins: Changed = dict.fromkeys(map(render.mailbox_login_key, logins))
    for domain, parts in _by_domain(logins).items():
        for alias in collect.aliases(query, domain, parts):
            _put(found, render.alias(alias))
        for key in collect.relayed(query, domain, parts):
            _put(found, render.relayed(key))
        for mailbox in collect.mailboxes(query, domain, parts):
            _put(found, render.mailbox(mailbox))
            login = render.mailbox_login(mailbox)
            if login is not None:
                found_logins |= [login]
    return found, found_logins


def _changed_autoreplies(query: Query, addresses: Iterable[str]) -> Changed:
    found: Changed = {}
    for key in addresses:
        folded, _, domain = key.rpartition("@")
        found[render.autoreply_key(key)] = None
        found |= map(render.autoreply, collect.autoreplies(query, domain, [folded]))
    return found


def _put(found: Changed, record: Record) -> None:
    # Only what was asked for: an address of which the password alone changed is as it was.
    if record[0] in found:
        found[record[0]] = record[1]


def _present_only(records: Iterable[Record | None]) -> Iterator[Record]:
    return (record for record in records if record is not None)
