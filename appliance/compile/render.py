"""Plain rows to records of the snapshot. Pure: the same rows always make the same octets.

A reader would otherwise get wrong: a domain with letters beyond ASCII stands in the snapshot twice, the second time as
another name of itself, so that the transfer agent never converts between the two forms.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

from appliance.compile.collect import (
    AccountRow,
    AliasRow,
    AutoreplyRow,
    CertificateRow,
    DomainRow,
    KeyRow,
    MailboxRow,
    PatternRow,
    RouteRow,
    RulesRow,
    SigningRow,
    State,
    TenantRow,
)
from mta.snapshot import records
from mta.snapshot.records import pack_record
from mta.vocabulary import fold_domain, store_name

Record = tuple[bytes, bytes]


def host(state: State) -> Record:
    """The host and who answers for it."""
    name = state.host_name.encode()
    secrets = tuple(bytes.fromhex(secret) for secret in state.srs_secrets)
    return records.HOST_KEY, pack_record(records.Host(name, b"postmaster@" + name, secrets))


def tenant_key(id_: int | str) -> bytes:
    """Where a tenant stands."""
    return records.TENANT + str(id_).encode()


def tenant(row: TenantRow) -> Record:
    """A tenant."""
    parent = b"" if row.parent_id is None else str(row.parent_id).encode()
    record = records.Tenant(
        parent, row.suspended, row.forwards_outside, row.sends_per_hour, row.sends_per_day, row.stops
    )
    return tenant_key(row.id), pack_record(record)


def domain_keys(name: str) -> list[bytes]:
    """Where a domain stands: under its A-labels, and under its U-labels when those are different."""
    unicode_name = _unicode(name)
    return [records.DOMAIN + name.encode(), *([records.DOMAIN + unicode_name] if unicode_name else [])]


def domain(row: DomainRow) -> Iterator[Record]:
    """A domain, under each of its names."""
    first, *others = domain_keys(row.name)
    own = str(row.tenant_id).encode()
    record = records.Domain(
        own, row.suspended, row.alias_of.encode(), row.catch_all.encode(), row.validation.encode(), row.greylist,
        row.dnsbl, row.next_hop.encode(), row.source.encode(), row.batv, row.language.encode(),
        row.send_as_any, row.sends_per_hour, row.sends_per_day, row.stops, row.tag_separator.encode(),
        row.local_only.encode(),
    )  # fmt: skip
    yield first, pack_record(record)
    for key in others:
        yield key, pack_record(records.Domain(own, alias_of=row.name.encode()))


def address_key(key: str) -> bytes:
    """Where a mailbox or alias stands."""
    return records.ADDRESS + key.encode()


def mailbox(row: MailboxRow) -> Record:
    """A mailbox, for the directory."""
    given = f"{row.local_part}@{row.domain}".encode()
    targets = tuple(target.encode() for target in row.targets)
    store = store_name(row.folded).encode()
    record = records.Mailbox(
        given, store, max(0, row.quota_bytes), row.suspended, row.keep_copy, targets, row.stops,
        _conditions(row.conditions),
    )  # fmt: skip
    return address_key(row.key), pack_record(record)


def _conditions(told: Mapping[str, Any] | None) -> records.Conditions | None:
    if not told:
        return None
    senders, subjects = (tuple(text.encode() for text in told.get(name, ())) for name in ("senders", "subjects"))
    spam = b"" if told.get("spam") is None else (b"yes" if told["spam"] else b"no")
    return records.Conditions(senders, subjects, told.get("larger_than", -1), told.get("smaller_than", -1), spam)


def autoreply_key(key: str) -> bytes:
    """Where it stands what a mailbox answers by itself."""
    return records.AUTOREPLY + key.encode()


def autoreply(row: AutoreplyRow) -> Record:
    """What a mailbox answers by itself. When that begins and ends the directory sees: nothing is published at midnight."""
    record = records.Autoreply(
        row.starts_at, row.ends_at, row.display_name.encode(), row.subject.encode(), row.text.encode()
    )
    return autoreply_key(row.key), pack_record(record)


def alias(row: AliasRow) -> Record:
    """An alias, for the directory."""
    targets = tuple(target.encode() for target in row.targets)
    if row.open_to == "everybody":
        return address_key(row.key), pack_record(records.Alias(targets))
    listed = tuple(entry.encode() for entry in row.listed)
    return address_key(row.key), pack_record(records.Alias(targets, row.open_to.encode(), listed))


def pattern_key(key: str) -> bytes:
    """Where a pattern stands."""
    return records.PATTERN + key.encode()


def pattern(row: PatternRow) -> Record:
    """Whose addresses are that begin so: for the directory, and for the authenticator, as which he may write."""
    return pattern_key(row.key), pack_record(records.Pattern(row.mailbox.encode()))


def relayed(key: str) -> Record:
    """A recipient of a relayed domain, for the directory."""
    return address_key(key), _RELAYED


_RELAYED = pack_record(records.Relayed())


def rules_key(scope: str) -> bytes:
    """Where access rules stand."""
    return records.RULES + scope.encode()


def rules(row: RulesRow) -> Record:
    """A list of access rules, for the directory."""
    entries = tuple(part.encode() for entry in row.entries for part in entry)
    return rules_key(row.scope), pack_record(records.Rules(entries))


def certificate_key(name: str) -> bytes:
    """Where a name's certificate stands; for the empty name, the one that is shown to whoever names none."""
    return records.CERTIFICATE + name.encode()


def certificate(row: CertificateRow, name: str) -> Record:
    """A certificate under *name*, for the role tls."""
    return certificate_key(name), pack_record(records.Certificate(row.chain.encode(), _sealed(row.sealed_key)))


def names_of_host(host_name: str) -> list[str]:
    """Under which names a certificate is the host's own, the best first."""
    return [host_name, f"*.{host_name.partition('.')[2]}"]


def source_key(domain: str) -> bytes:
    """Where a relayed domain's source stands."""
    return records.SOURCE + domain.encode()


def source(row: DomainRow) -> Record | None:
    """Where a relayed domain's recipients are asked for, for the role source; None: nowhere, or in our own list."""
    if row.source in ("", "list"):
        return None
    pairs: list[bytes] = []
    if row.source == "call-ahead":
        pairs += (b"next_hop", row.next_hop.encode())
    for name, value in sorted(row.settings.items()):
        pairs += (name.encode(), value.encode())
    if row.sealed_secret:
        pairs += (b"sealed_password", _sealed(row.sealed_secret))
    return source_key(row.name), pack_record(records.Source(row.source.encode(), tuple(pairs)))


def route_key(key: str) -> bytes:
    """Where a route stands."""
    return records.ROUTE + key.encode()


def route(row: RouteRow) -> Record:
    """A route, for remotespawn."""
    record = records.Route(
        row.next_hop.encode(), row.tls.encode(), row.lmtp, row.login.encode(), _sealed(row.sealed_password),
        row.source_address.encode(),
    )  # fmt: skip
    return route_key(row.key), pack_record(record)


def key_of_route(key: bytes) -> str:
    """What stands behind `n:`."""
    return key.removeprefix(records.ROUTE).decode()


def routed_key(key: str) -> bytes:
    """Where it stands that there is a route."""
    return records.ROUTED + key.encode()


def routed(key: str) -> Record:
    """There is a route, for the directory."""
    return routed_key(key), _ROUTED


_ROUTED = pack_record(records.Routed())


def signing_keys_of(domain: str) -> list[bytes]:
    """Where the keys that a domain's mail is signed with stand: under both its names."""
    return [records.SIGNING + key.removeprefix(records.DOMAIN) for key in domain_keys(domain)]


def signing_keys(row: SigningRow) -> Iterator[Record]:
    """The keys that a domain's mail is signed with, for the role signer."""
    triples = tuple(
        part
        for selector, algorithm, sealed in row.keys
        for part in (selector.encode(), algorithm.encode(), _sealed(sealed))
    )
    record = pack_record(records.SigningKeys(row.domain.encode(), triples))
    for key in signing_keys_of(row.domain):
        yield key, record


def mailbox_login_key(key: str) -> bytes:
    """Where a mailbox owner's password stands."""
    return records.MAILBOX_LOGIN + key.encode()


def mailbox_login(row: MailboxRow) -> Record | None:
    """A mailbox owner, for the authenticator; None: nobody can log in."""
    sealed = _sealed(row.sealed_hash)
    if not sealed:
        return None
    # Whoever shows two things at the panel would show but one to send mail: there it takes app passwords.
    stops = row.stops | (records.OWN_PASSWORD if row.has_second_factor and not row.suspended else 0)
    return mailbox_login_key(row.key), pack_record(
        records.Login(sealed, row.suspended, row.domain.encode(), b"", stops)
    )


def account_key(name: str) -> bytes:
    """Where an account's password stands."""
    return records.ACCOUNT_LOGIN + name.encode()


def account(row: AccountRow) -> Record | None:
    """An account, for the authenticator; None: nobody can log in."""
    sealed = _sealed(row.sealed_hash)
    if not sealed:
        return None
    login = records.Login(sealed, suspended=False, domain=row.domain.encode(), tenant=str(row.tenant_id).encode())
    return account_key(row.name), pack_record(login)


def api_key_key(public_id: str) -> bytes:
    """Where an API key stands."""
    return records.API_KEY + public_id.encode()


def api_key(row: KeyRow) -> Record:
    """An API key, for the authenticator."""
    try:
        sha256 = bytes.fromhex(row.sha256)
    except ValueError:
        sha256 = b""  # equals no secret's
    record = records.ApiKey(sha256, row.revoked, str(row.tenant_id).encode())
    return api_key_key(row.public_id), pack_record(record)


def _sealed(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _unicode(name: str) -> bytes:
    """The name as people write it, folded as the directory folds; empty when it is the same or cannot be shown."""
    if "xn--" not in name:
        return b""
    import idna  # noqa: PLC0415 - its tables cost time and memory, and most names are plain

    try:
        shown = idna.decode(name)
    except idna.IDNAError:
        return b""
    folded = fold_domain(shown).encode()
    return b"" if folded == name.encode() else folded
