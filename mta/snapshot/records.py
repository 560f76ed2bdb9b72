"""What stands under a key of the snapshot: frozen records, each a list of netstrings beginning with its kind.

A reader would otherwise get wrong: suspension and limits stand at their own level only. A mailbox record says nothing of
its domain, a domain nothing of its tenant; who looks up goes up the chain, so suspending a tenant changes one record.

    folder        key                                 record
    recipients    h:                                  Host
                  a:<address key>                     Mailbox, Alias or Relayed
                  x:<what precedes the star>@<domain> Pattern
                  d:<domain, A-label or U-label>      Domain
                  t:<tenant id>                       Tenant
                  r:, r:<domain>, r:<address key>     Rules: of the host, of a domain, of a mailbox
                  o:<domain>, o:@<domain>, o:*        Routed: the same key has a Route
                  w:<address key>                     Sending, of a mailbox for which it is not as for most
                  v:<address key>                     Autoreply, of a mailbox that has one
    credentials   m:<address key>, u:<account name>   Login
                  p:<address key>                     AppPasswords
                  f:<address key>                     Senders
                  k:<key id>                          ApiKey
                  d:…, t:…, x:…                       as above: who may log in follows the same chain
    certificates  c:<A-label name, or *.domain>       Certificate; c: alone is the one for all other names
    sources       s:<domain>                          Source
    signing       g:<domain, A-label or U-label>      SigningKeys
    routes        n:<domain>                          Route of mail to that domain
                  n:@<domain>                         Route of mail that a domain of ours sends
                  n:*                                 Route of all other mail
"""

from collections.abc import Callable
from typing import Any

from mta.record import dataclass, replace
from mta.wire.netstring import WireError, pack, unpack

HOST_KEY = b"h:"
ADDRESS, DOMAIN, TENANT = b"a:", b"d:", b"t:"
PATTERN = b"x:"
RULES, CERTIFICATE, SOURCE = b"r:", b"c:", b"s:"
ROUTED, ROUTE = b"o:", b"n:"  # with a route's key behind: a domain, `@domain` of a sender, or `*`
SMARTHOST = b"*"
SIGNING = b"g:"
MAILBOX_LOGIN, ACCOUNT_LOGIN, API_KEY = b"m:", b"u:", b"k:"
APP_PASSWORDS, SENDERS, SENDING = b"p:", b"f:", b"w:"
AUTOREPLY = b"v:"
ROUTE_TLS = (b"none", b"may", b"verify", b"dane")
MAX_OCTETS = 1 << 20  # of one record: an alias with as many targets as a panel could ever take
MAX_TARGETS = 4096
# How near somebody of ours is: anybody, of the same tenant, of the same domain.
SCOPES = (b"host", b"tenant", b"domain")
OPEN_TO = (b"tenant", b"domain", b"members", b"listed")  # whom an alias may be kept for

_YES, _NO = b"1", b"0"
# What may stand still on its own where not all does.
RECEIVING, SENDING_OUT, LOGGING_IN = 1, 2, 4
# Of a login: its own password is no good for sending mail, only app passwords are. Where all is suspended it is not said.
OWN_PASSWORD = 8
_LETTERS = ((RECEIVING, b"r"), (SENDING_OUT, b"s"), (LOGGING_IN, b"l"), (OWN_PASSWORD, b"p"))


class RecordError(Exception):
    """Not a record of this kind. The compiler wrote something else than the role expects."""


@dataclass(frozen=True, slots=True)
class Host:
    """This installation: its name, and the address key of the mailbox that answers for all."""

    name: bytes
    postmaster: bytes
    srs_secrets: tuple[bytes, ...] = ()  # what return paths are made with; the newest first, which alone makes new ones


@dataclass(frozen=True, slots=True)
class Conditions:
    """Which messages a forwarding sends on: those of which all that is asked is so. The others stay in the mailbox."""

    senders: tuple[bytes, ...] = ()  # the reverse-path is one of these: an address key, `domain`, `.domain` and below
    subjects: tuple[bytes, ...] = ()  # the subject contains one of these, capitals or not
    larger_than: int = -1  # octets; -1: not asked
    smaller_than: int = -1
    spam: bytes = b""  # `yes`: only what is marked as spam, `no`: only what is not


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A message store, perhaps with forwarding: then to *targets*, and into the store only with *keep_copy*.

    With *conditions* that holds for messages which meet them; all others go into the store, and nowhere else.
    """

    address: bytes  # as its owner wrote it: what a delivered message shows
    store: bytes
    quota_bytes: int = 0  # 0: no limit
    suspended: bool = False
    keep_copy: bool = True
    targets: tuple[bytes, ...] = ()  # address keys
    stops: int = 0  # of RECEIVING, SENDING_OUT, LOGGING_IN those that stand still where not all does
    conditions: Conditions | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """An address that stands for others. *open_to*: who may write to it, one of OPEN_TO; empty: everybody."""

    targets: tuple[bytes, ...]  # address keys
    open_to: bytes = b""
    listed: tuple[bytes, ...] = ()  # address keys and domains, for `listed`


@dataclass(frozen=True, slots=True)
class Pattern:
    """Addresses that begin so, and that nobody holds, are a mailbox's."""

    mailbox: bytes  # address key


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of ours; with *alias_of* only another name of that one."""

    tenant: bytes
    suspended: bool = False
    alias_of: bytes = b""
    catch_all: bytes = b""  # address key, or empty
    validation: bytes = b"rcpt"  # when smtpd tells what it refuses: `rcpt`, `data`, `off`
    greylist: bool = False
    dnsbl: bool = True  # refuses whom the host's DNS lists name; a host that asks no list refuses nobody
    next_hop: bytes = b""  # host:port that gets this domain's mail; empty: the mailboxes are here
    source: bytes = b""  # who knows a relayed domain's recipients: `list`, `ldap`, `call-ahead`, `hook`; empty: nobody
    batv: bool = False  # return paths of its addresses are signed, and no bounce to an unsigned one is taken
    language: bytes = b"en"  # of what people here can read (RFC 5646)
    send_as_any: bool = False  # a mailbox of it may write as any address of it
    sends_per_hour: int = 0  # recipients that its mailboxes may write to together; 0: no limit
    sends_per_day: int = 0
    stops: int = 0  # as a mailbox's
    tag_separator: bytes = b"+"  # what a tag stands behind; empty: there are none
    local_only: bytes = b""  # one of SCOPES within which its mail stays, both ways; empty: it goes anywhere


@dataclass(frozen=True, slots=True)
class Relayed:
    """An address of a domain that we only pass on, where the source is `list`: it exists at the next hop."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Whom a host, a domain or a mailbox takes mail from: `allow` or `deny`, pattern, and again; the first that fits decides.

    A pattern is a network (CIDR), a reverse-path, `domain`, or `.domain` (it and what is below it).
    """

    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where role `source` asks for a relayed domain's recipients: *kind* as `Domain.source`; name, value, name, value …

    ldap         url (ldap://, ldaps://), base, filter (with %s for the escaped address), bind_dn, sealed_password: octets
                 that only this role opens (`mta.seal`, keys/source)
    call-ahead   next_hop (host:port)
    hook         address (host:port, or the path of a UNIX socket)
    """

    kind: bytes
    pairs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Routed:
    """There is a route under this key, for whoever decides and may not see where it leads.

    Mail to a domain takes its `o:<domain>`; else, when it comes from a domain of ours, that one's `o:@<domain>`; else `o:*`;
    else it goes by MX. A relayed domain has a `Routed` too. The key without `o:` names the route to role remotespawn.
    """


@dataclass(frozen=True, slots=True)
class Route:
    """How mail goes on to another server. *tls*: `none`; `may`, when it can; `verify`, by a certificate that holds; `dane`."""

    next_hop: bytes = b""  # host:port; empty: by MX, for the sake of the rest
    tls: bytes = b"may"
    lmtp: bool = False
    login: bytes = b""  # name for AUTH; empty: without
    sealed_password: bytes = b""  # octets that only remotespawn opens (`mta.seal`, keys/remotespawn)
    source_address: bytes = b""  # an IP address of this machine; empty: whichever the kernel takes


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a name shows of itself in TLS. *sealed_key* is its private key in PEM, sealed to the role tls."""

    chain: bytes  # PEM, the name's own certificate first
    sealed_key: bytes


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """What mail of a domain is signed with: selector, algorithm, key sealed to the role signer, and again."""

    domain: bytes  # A-label, whatever key this stands under
    triples: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Tenant:
    """A node of the tree of who pays; its suspension reaches everything below."""

    parent: bytes  # empty: the root
    suspended: bool = False
    forwards_outside: bool = True  # else mail for its addresses ends here, and so for everybody below
    sends_per_hour: int = 0  # recipients that all mailboxes below may write to together; 0: no limit
    sends_per_day: int = 0
    stops: int = 0  # as a mailbox's


@dataclass(frozen=True, slots=True)
class Login:
    """A mailbox owner or an account. *sealed* is the password's hash, sealed to the authenticator; empty: nobody can log in."""

    sealed: bytes
    suspended: bool
    domain: bytes  # whose suspension counts too; empty: that of *tenant*
    tenant: bytes
    stops: int = 0  # as a mailbox's; only LOGGING_IN counts, and OWN_PASSWORD


@dataclass(frozen=True, slots=True)
class AppPasswords:
    """Further secrets of a mailbox, each for one program: hashes, each sealed to the authenticator."""

    sealed: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Senders:
    """Who may write as this address besides its owner: address keys of mailboxes. An address without one has its owner alone."""

    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Sending:
    """How much a mailbox may send, and whether it may. Most have none, and what the host's settings say."""

    per_hour: int = -1  # recipients; 0: no limit; -1: the host's
    per_day: int = -1
    brake: bool = True  # stopped when it does what it never did
    braked: bool = False  # it was
    released: int = 0  # when somebody last looked and let it go, in seconds since 1970


@dataclass(frozen=True, slots=True)
class Autoreply:
    """What a mailbox answers by itself, from one moment until another (seconds since 1970; 0: open)."""

    starts: int
    ends: int
    name: bytes  # whose it is, for people; may be empty
    subject: bytes  # empty: `Auto: ` and the subject that is answered
    text: bytes  # UTF-8, lines end in LF

    def holds(self, now: float) -> bool:
        """Is it the time for it?"""
        return self.starts <= now and (not self.ends or now < self.ends)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's secret, hashed (256 random bits need no slow hash), and for whom it acts."""

    sha256: bytes
    revoked: bool
    tenant: bytes


Record = (
    Host | Mailbox | Alias | Pattern | Relayed | Domain | Tenant | Rules | Sending | Source | Routed | Route | Certificate
    | SigningKeys | Login | AppPasswords | Senders | ApiKey | Autoreply
)  # fmt: skip


def stands_still(record: Mailbox | Domain | Tenant | Login, what: int) -> bool:
    """Is it suspended: altogether, or as far as *what* goes, one of RECEIVING, SENDING_OUT, LOGGING_IN?"""
    return record.suspended or bool(record.stops & what)


def pack_record(record: Record) -> bytes:
    """The octets of *record*.

    Raises:
        RecordError: it is larger than any record may be.
    """
    fields = _fields(record)
    if len(fields) > MAX_TARGETS:
        raise RecordError(f"a record with {len(fields)} fields")
    try:
        return pack(fields, MAX_OCTETS)
    except WireError as error:
        raise RecordError(str(error)) from error


def unpack_record(octets: bytes) -> Record:
    """Read what `pack_record` made.

    Raises:
        RecordError: nobody made it so.
    """
    try:
        kind, *fields = unpack(octets, MAX_TARGETS)
        return _READERS[kind](fields)
    except (WireError, ValueError, KeyError, TypeError) as error:
        raise RecordError("not a record of the snapshot") from error


def _fields(record: Record) -> list[bytes]:  # noqa: PLR0911 - one for each kind
    match record:
        case Host(name, postmaster, srs_secrets):
            return [b"host", name, postmaster, pack(srs_secrets)]
        case Mailbox(address, store, quota_bytes, _, keep_copy, targets):
            copy = _flag(keep_copy) + _conditions_field(record.conditions)
            return [b"mailbox", address, store, b"%d" % quota_bytes, _state(record), copy, *targets]
        case Alias() | Pattern() | Autoreply():
            return _address_fields(record)
        case Relayed():
            return [b"relayed"]
        case Domain():
            return _domain_fields(record)
        case Rules(entries):
            return [b"rules", *entries]
        case Tenant(parent, _, forwards_outside, per_hour, per_day):
            return [b"tenant", parent, _state(record), _flag(forwards_outside), b"%d" % per_hour, b"%d" % per_day]
        case Login() | AppPasswords() | Senders() | ApiKey():
            return _credential_fields(record)
        case _:
            return _other_fields(record)


def _address_fields(record: Alias | Pattern | Autoreply) -> list[bytes]:
    match record:
        case Autoreply(starts, ends, name, subject, text):
            return [b"autoreply", b"%d" % starts, b"%d" % ends, name, subject, text]
        case Pattern(mailbox):
            return [b"pattern", mailbox]
        case Alias(targets, open_to, listed) if open_to:
            return [b"group", open_to, pack(listed), *targets]
        case Alias(targets):
            return [b"alias", *targets]


def _credential_fields(record: Login | AppPasswords | Senders | ApiKey) -> list[bytes]:
    match record:
        case Login(sealed, _, domain, tenant):
            return [b"login", sealed, _state(record), domain, tenant]
        case AppPasswords(several):
            return [b"app-passwords", *several]
        case Senders(members):
            return [b"senders", *members]
        case ApiKey(sha256, revoked, tenant):
            return [b"key", sha256, _flag(revoked), tenant]


def _other_fields(record: Sending | Source | Routed | Route | Certificate | SigningKeys) -> list[bytes]:
    match record:
        case Sending(per_hour, per_day, brake, braked, released):
            numbers = [b"%d" % per_hour, b"%d" % per_day]
            return [b"sending", *numbers, _flag(brake), _flag(braked), b"%d" % released]
        case Source(kind, pairs):
            return [b"source", kind, *pairs]
        case Routed():
            return [b"routed"]
        case Route(next_hop, tls, lmtp, login, sealed_password, source_address):
            return [b"route", next_hop, tls, _flag(lmtp), login, sealed_password, source_address]
        case Certificate(chain, sealed_key):
            return [b"certificate", chain, sealed_key]
        case SigningKeys(domain, triples):
            return [b"signing-keys", domain, *triples]


def _domain_fields(record: Domain) -> list[bytes]:
    first = [record.tenant, _state(record), record.alias_of, record.catch_all, record.validation]
    protections = [_flag(record.greylist), _flag(record.dnsbl), record.next_hop, record.source]
    outbound = [_flag(record.send_as_any), b"%d" % record.sends_per_hour, b"%d" % record.sends_per_day]
    inside = [record.tag_separator, record.local_only]
    return [b"domain", *first, *protections, _flag(record.batv), record.language, *outbound, *inside]


def _conditions_field(conditions: Conditions | None) -> bytes:
    """Behind the flag, in the same field: no reader may see the targets of a forwarding without its conditions."""
    if conditions is None:
        return b""
    senders, subjects = pack(conditions.senders), pack(conditions.subjects)
    return pack([senders, subjects, b"%d" % conditions.larger_than, b"%d" % conditions.smaller_than, conditions.spam])


def _flag(value: bool) -> bytes:
    return _YES if value else _NO


def _state(record: Mailbox | Domain | Tenant | Login) -> bytes:
    """One field, as it always was; letters for what stands still where not all does."""
    return b"".join(letter for bit, letter in _LETTERS if record.stops & bit) or _flag(record.suspended)


def _stops(field: bytes) -> dict[str, Any]:
    """What `_state` wrote.

    Raises:
        ValueError: nobody wrote it so.
    """
    stops = sum(bit for bit, letter in _LETTERS if letter in field)
    if stops and field == b"".join(letter for bit, letter in _LETTERS if stops & bit):
        return {"suspended": False, "stops": stops}
    return {"suspended": _is_set(field)}


def _is_set(field: bytes) -> bool:
    if field not in (_YES, _NO):
        raise ValueError("neither yes nor no")
    return field == _YES


def _mailbox(fields: list[bytes]) -> Mailbox:
    address, store, quota_bytes, suspended, copy, *targets = fields
    return Mailbox(
        address, store, int(quota_bytes), keep_copy=_is_set(copy[:1]), targets=tuple(targets),
        conditions=_conditions(copy[1:]), **_stops(suspended),
    )  # fmt: skip


def _conditions(field: bytes) -> Conditions | None:
    if not field:
        return None
    senders, subjects, larger_than, smaller_than, spam = unpack(field)
    if spam not in (b"", b"yes", b"no"):
        raise ValueError("neither asked nor not asked")
    return Conditions(tuple(unpack(senders)), tuple(unpack(subjects)), int(larger_than), int(smaller_than), spam)


def _autoreply(fields: list[bytes]) -> Autoreply:
    starts, ends, name, subject, text = fields
    return Autoreply(int(starts), int(ends), name, subject, text)


def _domain(fields: list[bytes]) -> Domain:
    tenant, suspended, alias_of, catch_all, validation, *later = fields
    domain = Domain(tenant, alias_of=alias_of, catch_all=catch_all, validation=validation, **_stops(suspended))
    return replace(domain, **_later(later, _LATER_OF_DOMAIN))


def _group(fields: list[bytes]) -> Alias:
    open_to, listed, *targets = fields
    if open_to not in OPEN_TO:
        raise ValueError("kept for nobody that we know")
    return Alias(tuple(targets), open_to, tuple(unpack(listed)))


def _pattern(fields: list[bytes]) -> Pattern:
    (mailbox,) = fields
    return Pattern(mailbox)


def _scope(field: bytes) -> bytes:
    if field and field not in SCOPES:
        raise ValueError("no such scope")
    return field


_Later = tuple[tuple[tuple[str, Callable[[bytes], Any]], ...], ...]


def _later(fields: list[bytes], known: _Later) -> dict[str, Any]:
    """Fields by name. What an earlier version wrote ends where that version's did, and the rest has its defaults."""
    found: dict[str, Any] = {}
    for version in known:
        if len(found) == len(fields):
            return found
        given = fields[len(found) : len(found) + len(version)]
        found |= {name: read(field) for (name, read), field in zip(version, given, strict=True)}
    if len(found) != len(fields):
        raise ValueError("more fields than there are")
    return found


# In the order in which they came, those of one version together; new ones go to the end.
_LATER_OF_DOMAIN: _Later = (
    (("greylist", _is_set), ("dnsbl", _is_set), ("next_hop", bytes), ("source", bytes)),
    (("batv", _is_set), ("language", bytes)),
    (("send_as_any", _is_set), ("sends_per_hour", int), ("sends_per_day", int)),
    (("tag_separator", bytes), ("local_only", _scope)),
)
_LATER_OF_TENANT: _Later = ((("forwards_outside", _is_set),), (("sends_per_hour", int), ("sends_per_day", int)))
_LATER_OF_HOST: _Later = ((("srs_secrets", lambda field: tuple(unpack(field))),),)


def _host(fields: list[bytes]) -> Host:
    name, postmaster, *later = fields
    return Host(name, postmaster, **_later(later, _LATER_OF_HOST))


def _relayed(fields: list[bytes]) -> Relayed:
    () = fields
    return Relayed()


def _rules(fields: list[bytes]) -> Rules:
    if len(fields) % 2 or any(verb not in (b"allow", b"deny") for verb in fields[::2]):
        raise ValueError("not rules")
    return Rules(tuple(fields))


def _source(fields: list[bytes]) -> Source:
    kind, *pairs = fields
    if len(pairs) % 2:
        raise ValueError("a name without a value")
    return Source(kind, tuple(pairs))


def _routed(fields: list[bytes]) -> Routed:
    () = fields
    return Routed()


def _route(fields: list[bytes]) -> Route:
    next_hop, tls, lmtp, login, sealed_password, source_address = fields
    if tls not in ROUTE_TLS:
        raise ValueError("no such demand on TLS")
    return Route(next_hop, tls, _is_set(lmtp), login, sealed_password, source_address)


def _signing_keys(fields: list[bytes]) -> SigningKeys:
    domain, *triples = fields
    if len(triples) % 3:
        raise ValueError("not three of each")
    return SigningKeys(domain, tuple(triples))


def _tenant(fields: list[bytes]) -> Tenant:
    parent, suspended, *later = fields
    return Tenant(parent, **_stops(suspended), **_later(later, _LATER_OF_TENANT))


def _login(fields: list[bytes]) -> Login:
    sealed, suspended, domain, tenant = fields
    return Login(sealed, domain=domain, tenant=tenant, **_stops(suspended))


def _sending(fields: list[bytes]) -> Sending:
    per_hour, per_day, brake, braked, released = fields
    return Sending(int(per_hour), int(per_day), _is_set(brake), _is_set(braked), int(released))


def _api_key(fields: list[bytes]) -> ApiKey:
    sha256, revoked, tenant = fields
    return ApiKey(sha256, _is_set(revoked), tenant)


_READERS: dict[bytes, Callable[[list[bytes]], Record]] = {
    b"host": _host,
    b"mailbox": _mailbox,
    b"alias": lambda fields: Alias(tuple(fields)),
    b"group": _group,
    b"pattern": _pattern,
    b"relayed": _relayed,
    b"domain": _domain,
    b"rules": _rules,
    b"certificate": lambda fields: Certificate(*fields),
    b"source": _source,
    b"routed": _routed,
    b"route": _route,
    b"signing-keys": _signing_keys,
    b"tenant": _tenant,
    b"login": _login,
    b"app-passwords": lambda fields: AppPasswords(tuple(fields)),
    b"senders": lambda fields: Senders(tuple(fields)),
    b"sending": _sending,
    b"key": _api_key,
    b"autoreply": _autoreply,
}
