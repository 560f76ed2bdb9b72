"""What the snapshot says of a name: which secrets it has, whether it may be used at all, and as whom it may write.

A reader would otherwise get wrong: a name that does not exist, one without a password and one that is suspended look the same
from here on: no content of a seal. Whoever asked is answered after a check against a hash that no secret fits.
"""

import hashlib
import hmac
from collections.abc import Callable

from mta.record import dataclass
from mta.scram import Keys, split
from mta.seal import NotOpened, Opener
from mta.snapshot.records import (
    ACCOUNT_LOGIN,
    API_KEY,
    APP_PASSWORDS,
    DOMAIN,
    LOGGING_IN,
    MAILBOX_LOGIN,
    OWN_PASSWORD,
    PATTERN,
    SENDERS,
    TENANT,
    ApiKey,
    AppPasswords,
    Domain,
    Login,
    Pattern,
    Record,
    RecordError,
    Senders,
    Tenant,
    stands_still,
    unpack_record,
)
from mta.vocabulary import fold_domain, fold_local_part, pattern_prefixes, untagged
from mta.wire.tickets import CREDENTIAL_OCTETS

MAX_TENANTS = 16
APP_PREFIX = b"sha256:"  # what stands before the digest of an app password, which is random and needs no slow hash

Get = Callable[[bytes], bytes | None]


def identity_of(name: bytes, get: Get) -> bytes:
    """The address key that *name*, as a client gave it, stands for, whether there is such a mailbox or not; empty: none.

    Raises:
        RecordError, SnapshotMissing: as `password_of`.
    """
    local_part, at, domain = name.rpartition(b"@")
    if not at or not local_part or not domain:
        return b""
    try:
        folded = fold_local_part(local_part.decode()).encode()
        domain = fold_domain(domain.decode()).encode()
    except UnicodeError:
        return b""
    record = _record(get, DOMAIN + domain)
    real = record.alias_of if isinstance(record, Domain) else b""
    return folded + b"@" + (real or domain)


def login_of(scope: bytes, name: bytes, get: Get) -> Login | None:
    """Who may log in as *name* (of a mailbox: its address key); None: nobody.

    Raises:
        RecordError: what stands in the snapshot is no login.
        SnapshotMissing: there is nothing to look in.
    """
    key = {b"account": ACCOUNT_LOGIN, b"mailbox": MAILBOX_LOGIN}.get(scope)
    login = _record(get, key + name) if key else None
    if not isinstance(login, Login) or stands_still(login, LOGGING_IN) or _is_suspended(get, login):
        return None
    return login


@dataclass(frozen=True, slots=True)
class Credential:
    """What lies in a seal (`mta.scram`), and by which name a log-in ticket knows it."""

    content: bytes
    name: bytes


def name_of(sealed: bytes) -> bytes:
    """The name of the credential in this seal: another as soon as another password is sealed, or the same one anew."""
    return hashlib.sha256(sealed).digest()[:CREDENTIAL_OCTETS]


def password_of(scope: bytes, name: bytes, get: Get, opener: Opener) -> Credential | None:
    """Hash and keys of the password of *name*; None: nobody logs in by that.

    Raises:
        NotOpened: they are sealed to another key.
        RecordError, SnapshotMissing: as `login_of`.
    """
    login = login_of(scope, name, get)
    if login is None or not login.sealed:
        return None
    return Credential(opener.open(login.sealed), name_of(login.sealed))


def sending_password_of(identity: bytes, get: Get, opener: Opener) -> Credential | None:
    """The same of a mailbox's own password, where it is good for sending mail; None: nobody sends by that.

    Raises:
        NotOpened, RecordError, SnapshotMissing: as `password_of`.
    """
    login = login_of(b"mailbox", identity, get)
    if login is None or login.stops & OWN_PASSWORD:
        return None
    return password_of(b"mailbox", identity, get, opener)


def app_passwords_of(identity: bytes, get: Get, opener: Opener) -> list[Credential]:
    """The same of its app passwords.

    Raises:
        NotOpened, RecordError, SnapshotMissing: as `password_of`.
    """
    if login_of(b"mailbox", identity, get) is None:
        return []
    return [Credential(opener.open(sealed), name_of(sealed)) for sealed in _app_seals(identity, get)]


def credential_names(identity: bytes, get: Get) -> list[bytes]:
    """By which names log-ins of *identity* are known that still hold; its own password's first.

    Raises:
        RecordError, SnapshotMissing: as `login_of`.
    """
    login = login_of(b"mailbox", identity, get)
    if login is None:
        return []
    own = () if login.stops & OWN_PASSWORD else (login.sealed,)
    return [name_of(sealed) for sealed in (*own, *_app_seals(identity, get))]


def _app_seals(identity: bytes, get: Get) -> tuple[bytes, ...]:
    record = _record(get, APP_PASSWORDS + identity)
    return record.sealed if isinstance(record, AppPasswords) else ()


def shown_app_password(secret: bytes, known: list[Credential]) -> Credential | None:
    """Which of *known* is *secret*? All are looked at, so that time does not tell."""
    digest = APP_PREFIX + hashlib.sha256(secret).hexdigest().encode()
    found = [each for each in known if hmac.compare_digest(split(each.content)[0], digest)]
    return found[0] if found else None


def keys_of(known: list[Credential]) -> list[tuple[Keys, Credential]]:
    """What can be proved by SCRAM."""
    return [(keys, each) for each in known if (keys := split(each.content)[1]) is not None]


def is_right_key(name: bytes, secret: bytes, get: Get) -> bool:
    """Is *secret* that of the API key *name*, and is the key good?

    Raises:
        RecordError, SnapshotMissing: as `login_of`.
    """
    record = _record(get, API_KEY + name)
    digest = hashlib.sha256(secret).digest()
    if not isinstance(record, ApiKey):
        return False
    right = hmac.compare_digest(record.sha256, digest)
    return right and not record.revoked and not _is_tenant_suspended(get, record.tenant)


def may_use(identity: bytes, address: bytes, get: Get) -> tuple[bool, bytes]:
    """May the mailbox *identity* (address key) write as *address*, and by which rule, in words for its user?

    Raises:
        RecordError, SnapshotMissing: as `login_of`.
    """
    if login_of(b"mailbox", identity, get) is None:
        return False, b"%b may not send at the moment" % identity
    if not address:
        return True, b"a notification has no sender"  # RFC 5321 4.5.5, RFC 8098 3
    rule = _rule_for(identity, identity_of(address, get), get)
    if rule:
        return True, rule
    return False, b"%b is neither an address or alias of %b nor given to it" % (address[:400], identity[:400])


def _rule_for(identity: bytes, key: bytes, get: Get) -> bytes:
    """By which rule *identity* may use the address of *key*; empty: by none."""
    if key == identity:
        return b"it is your own address"
    record = _record(get, SENDERS + key) if key else None
    if isinstance(record, Senders) and identity in record.members:
        return b"it is an alias of yours, or was given to you"
    domain = identity.rpartition(b"@")[2]
    ours = _record(get, DOMAIN + domain)
    if not isinstance(record, Senders) and isinstance(ours, Domain):
        rule = _rule_of_names(identity, key, ours, get)
        if rule:
            return rule
    if isinstance(ours, Domain) and ours.send_as_any and key.rpartition(b"@")[2] == domain:
        return b"your domain allows any address of it"
    return b""


def _rule_of_names(identity: bytes, key: bytes, ours: Domain, get: Get) -> bytes:
    """By which rule an address of his domain that nobody holds is his, as the directory has it; empty: by none."""
    local_part, _, domain = key.rpartition(b"@")
    if domain != identity.rpartition(b"@")[2] or get(MAILBOX_LOGIN + key) is not None:
        return b""
    for base in untagged(local_part, ours.tag_separator):
        holder = base + b"@" + domain
        if holder == identity:
            return b"it is your own address with a tag"
        if get(MAILBOX_LOGIN + holder) is not None or get(SENDERS + holder) is not None:
            return b""
    for prefix in pattern_prefixes(local_part):
        pattern = _record(get, PATTERN + prefix + b"@" + domain)
        if isinstance(pattern, Pattern):
            return b"it fits a pattern of yours" if pattern.mailbox == identity else b""
    return b""


def _is_suspended(get: Get, login: Login) -> bool:
    """By its domain, or by a tenant above."""
    tenant = login.tenant
    if login.domain:
        domain = _record(get, DOMAIN + login.domain)
        if not isinstance(domain, Domain) or stands_still(domain, LOGGING_IN):
            return True
        tenant = domain.tenant
    return _is_tenant_suspended(get, tenant)


def _is_tenant_suspended(get: Get, tenant: bytes) -> bool:
    for _ in range(MAX_TENANTS):
        if not tenant:
            return False
        record = _record(get, TENANT + tenant)
        if not isinstance(record, Tenant) or stands_still(record, LOGGING_IN):
            return True
        tenant = record.parent
    return True


def _record(get: Get, key: bytes) -> Record | None:
    octets = get(key)
    return None if octets is None else unpack_record(octets)


__all__ = [
    "Credential", "NotOpened", "RecordError", "app_passwords_of", "credential_names", "identity_of", "is_right_key", "keys_of",
    "login_of", "may_use", "name_of", "password_of", "sending_password_of", "shown_app_password",
]  # fmt: skip
