"""What stands under a key of the snapshot: frozen records, each a list of netstrings beginning with its kind.

A reader would otherwise get wrong: suspension and limits stand at their own level only. A mailbox record says nothing of
its domain, a domain nothing of its tenant; who looks up goes up the chain, so suspending a tenant changes one record.

    folder        key                                 record
    recipients    h:                                  Host
                  a:<address key>                     Mailbox or Alias
                  d:<domain, A-label or U-label>      Domain
                  t:<tenant id>                       Tenant
    credentials   m:<address key>, u:<account name>   Login
                  k:<key id>                          ApiKey
                  d:…, t:…                            as above: who may log in follows the same chain
"""

from collections.abc import Callable
from dataclasses import dataclass

from mta.wire.netstring import WireError, pack, unpack

HOST_KEY = b"h:"
ADDRESS, DOMAIN, TENANT = b"a:", b"d:", b"t:"
MAILBOX_LOGIN, ACCOUNT_LOGIN, API_KEY = b"m:", b"u:", b"k:"
MAX_OCTETS = 1 << 20  # of one record: an alias with as many targets as a panel could ever take
MAX_TARGETS = 4096

_YES, _NO = b"1", b"0"


class RecordError(Exception):
    """Not a record of this kind. The compiler wrote something else than the role expects."""


@dataclass(frozen=True, slots=True)
class Host:
    """This installation: its name, and the address key of the mailbox that answers for all."""

    name: bytes
    postmaster: bytes


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A message store, perhaps with forwarding: then to *targets*, and into the store only with *keep_copy*."""

    address: bytes  # as its owner wrote it: what a delivered message shows
    store: bytes
    quota_bytes: int = 0  # 0: no limit
    suspended: bool = False
    keep_copy: bool = True
    targets: tuple[bytes, ...] = ()  # address keys


@dataclass(frozen=True, slots=True)
class Alias:
    """An address that stands for others."""

    targets: tuple[bytes, ...]  # address keys


@dataclass(frozen=True, slots=True)
class Domain:
    """A domain of ours; with *alias_of* only another name of that one."""

    tenant: bytes
    suspended: bool = False
    alias_of: bytes = b""
    catch_all: bytes = b""  # address key, or empty
    validation: bytes = b"rcpt"  # when smtpd tells what it refuses


@dataclass(frozen=True, slots=True)
class Tenant:
    """A node of the tree of who pays; its suspension reaches everything below."""

    parent: bytes  # empty: the root
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Login:
    """A mailbox owner or an account. *sealed* is the password's hash, sealed to the authenticator; empty: nobody can log in."""

    sealed: bytes
    suspended: bool
    domain: bytes  # whose suspension counts too; empty: that of *tenant*
    tenant: bytes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key's secret, hashed (256 random bits need no slow hash), and for whom it acts."""

    sha256: bytes
    revoked: bool
    tenant: bytes


Record = Host | Mailbox | Alias | Domain | Tenant | Login | ApiKey


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
        case Host(name, postmaster):
            return [b"host", name, postmaster]
        case Mailbox(address, store, quota_bytes, suspended, keep_copy, targets):
            return [b"mailbox", address, store, b"%d" % quota_bytes, _flag(suspended), _flag(keep_copy), *targets]
        case Alias(targets):
            return [b"alias", *targets]
        case Domain(tenant, suspended, alias_of, catch_all, validation):
            return [b"domain", tenant, _flag(suspended), alias_of, catch_all, validation]
        case Tenant(parent, suspended):
            return [b"tenant", parent, _flag(suspended)]
        case Login(sealed, suspended, domain, tenant):
            return [b"login", sealed, _flag(suspended), domain, tenant]
        case ApiKey(sha256, revoked, tenant):
            return [b"key", sha256, _flag(revoked), tenant]


def _flag(value: bool) -> bytes:
    return _YES if value else _NO


def _is_set(field: bytes) -> bool:
    if field not in (_YES, _NO):
        raise ValueError("neither yes nor no")
    return field == _YES


def _mailbox(fields: list[bytes]) -> Mailbox:
    address, store, quota_bytes, suspended, keep_copy, *targets = fields
    return Mailbox(address, store, int(quota_bytes), _is_set(suspended), _is_set(keep_copy), tuple(targets))


def _domain(fields: list[bytes]) -> Domain:
    tenant, suspended, alias_of, catch_all, validation = fields
    return Domain(tenant, _is_set(suspended), alias_of, catch_all, validation)


def _tenant(fields: list[bytes]) -> Tenant:
    parent, suspended = fields
    return Tenant(parent, _is_set(suspended))


def _login(fields: list[bytes]) -> Login:
    sealed, suspended, domain, tenant = fields
    return Login(sealed, _is_set(suspended), domain, tenant)


def _api_key(fields: list[bytes]) -> ApiKey:
    sha256, revoked, tenant = fields
    return ApiKey(sha256, _is_set(revoked), tenant)


_READERS: dict[bytes, Callable[[list[bytes]], Record]] = {
    b"host": lambda fields: Host(*fields),
    b"mailbox": _mailbox,
    b"alias": lambda fields: Alias(tuple(fields)),
    b"domain": _domain,
    b"tenant": _tenant,
    b"login": _login,
    b"key": _api_key,
}
