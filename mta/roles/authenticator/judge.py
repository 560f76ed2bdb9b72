"""Right or wrong, from the snapshot: which hash a name has, whether it may be used at all, and whether the secret fits.

A reader would otherwise get wrong: a name that does not exist, one without a password and one that is suspended cost exactly
as much time as a wrong password: each is checked, against a hash that no secret fits.
"""

import hashlib
import hmac
from collections.abc import Callable

from argon2.exceptions import Argon2Error, InvalidHashError
from argon2.low_level import Type, hash_secret, verify_secret

from mta.seal import NotOpened, Opener
from mta.snapshot.records import (
    ACCOUNT_LOGIN,
    API_KEY,
    DOMAIN,
    MAILBOX_LOGIN,
    TENANT,
    ApiKey,
    Domain,
    Login,
    Record,
    RecordError,
    Tenant,
    unpack_record,
)
from mta.vocabulary import fold_local_part

MAX_TENANTS = 16
# As the control plane hashes (19 MiB, two passes): else time would tell who exists.
_TIME, _MEMORY_KIB, _LANES = 2, 19 * 1024, 1

Get = Callable[[bytes], bytes | None]


def dummy_hash(random: bytes) -> bytes:
    """A hash that no secret fits, made from *random* octets."""
    return hash_secret(random, random[:16], _TIME, _MEMORY_KIB, _LANES, 32, Type.ID)


def phc_of(scope: bytes, name: bytes, get: Get, opener: Opener) -> bytes | None:
    """The hash to check against, in PHC string format; None: nobody of that name may log in.

    Raises:
        NotOpened: it is sealed to another key.
        RecordError: what stands in the snapshot is no login.
        SnapshotMissing: there is nothing to look in.
    """
    key = _key(scope, name)
    login = _record(get, key) if key else None
    if not isinstance(login, Login) or not login.sealed or login.suspended or _is_suspended(get, login):
        return None
    return opener.open(login.sealed)


def fits(phc: bytes, secret: bytes) -> bool:
    """Was *phc* made from *secret*? Takes milliseconds and megabytes, on purpose."""
    try:
        return verify_secret(phc, secret, Type.ID)
    except (Argon2Error, InvalidHashError):
        return False


def is_right_key(name: bytes, secret: bytes, get: Get) -> bool:
    """Is *secret* that of the API key *name*, and is the key good?

    Raises:
        RecordError, SnapshotMissing: as `phc_of`.
    """
    record = _record(get, API_KEY + name)
    digest = hashlib.sha256(secret).digest()
    if not isinstance(record, ApiKey):
        return False
    right = hmac.compare_digest(record.sha256, digest)
    return right and not record.revoked and not _is_tenant_suspended(get, record.tenant)


def _key(scope: bytes, name: bytes) -> bytes | None:
    if scope == b"account":
        return ACCOUNT_LOGIN + name
    if scope == b"mailbox":
        local_part, _, domain = name.rpartition(b"@")
        try:
            return MAILBOX_LOGIN + fold_local_part(local_part.decode()).encode() + b"@" + domain.lower()
        except UnicodeError:
            return None
    return None


def _is_suspended(get: Get, login: Login) -> bool:
    """By its domain, or by a tenant above."""
    tenant = login.tenant
    if login.domain:
        domain = _record(get, DOMAIN + login.domain)
        if not isinstance(domain, Domain) or domain.suspended:
            return True
        tenant = domain.tenant
    return _is_tenant_suspended(get, tenant)


def _is_tenant_suspended(get: Get, tenant: bytes) -> bool:
    for _ in range(MAX_TENANTS):
        if not tenant:
            return False
        record = _record(get, TENANT + tenant)
        if not isinstance(record, Tenant) or record.suspended:
            return True
        tenant = record.parent
    return True


def _record(get: Get, key: bytes) -> Record | None:
    octets = get(key)
    return None if octets is None else unpack_record(octets)


__all__ = ["NotOpened", "RecordError", "dummy_hash", "fits", "is_right_key", "phc_of"]
