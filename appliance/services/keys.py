"""API keys: `pk_<public id>_<secret>`.

A reader would otherwise get wrong: whether a presented key is right is the authenticator's word, from its snapshot. Here is
only what a right key may do - and whether it was revoked a moment ago, before the snapshot knows.
"""

import hashlib
import re
import secrets
from dataclasses import dataclass

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import NotSignedIn
from appliance.models import ApiKey, Tenant
from appliance.models.base import now
from appliance.services import audit, authorisation, changes, tenants
from appliance.services.actor import Actor, ActorKind
from appliance.services.common import check_name
from appliance.services.paging import Page, page_along

__all__ = ["ApiKey", "NewKey", "actor_of", "create", "get", "list_keys", "revoke", "split"]

_KEY = re.compile(r"pk_([0-9a-f]{16})_([0-9a-f]{64})\Z")
_KINDS: dict[str, ActorKind] = {"operator": "operator", "reseller": "reseller", "customer": "customer"}


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `secret` is the whole key, shown this once."""

    key: ApiKey
    secret: str


def create(session: Session, *, actor: Actor, tenant_id: int | None = None, name: str = "") -> NewKey:
    """A key that acts for the tenant; without *tenant_id*, for the actor's own (the operator's on the command line).

    Raises:
        NotFound, Forbidden: the tenant is not the actor's.
    """
    chosen = session.get(Tenant, tenant_id) if tenant_id is not None else tenants.own(session, actor)
    tenant = authorisation.require(session, actor, "key.create", chosen, f"tenant {tenant_id}")
    public_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    key = ApiKey(
        public_id=public_id,
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        tenant=tenant,
        name=check_name(name) if name else "",
    )
    session.add(key)
    session.flush()
    _tell(session, actor, "key.created", key)
    return NewKey(key, f"pk_{public_id}_{secret}")


def list_keys(
    session: Session, *, actor: Actor, tenant_id: int | None = None, limit: int = 50, cursor: str | None = None
) -> Page[ApiKey]:
    """Keys in the actor's part, revoked ones too, oldest first.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(ApiKey), actor, ApiKey)
    if tenant_id is not None:
        wanted = wanted.where(ApiKey.tenant_id == tenant_id)
    return page_along(session, wanted, ApiKey.id, limit, cursor)


def get(session: Session, public_id: str, *, actor: Actor) -> ApiKey:
    """The key with this public id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return authorisation.require(session, actor, "key.see", _with_id(session, public_id), f"key {public_id}")


def revoke(session: Session, public_id: str, *, actor: Actor) -> ApiKey:
    """From now on the key opens nothing. A second time changes nothing.

    Raises:
        NotFound, Forbidden: there is no such key, or it is not the actor's.
    """
    key = authorisation.require(session, actor, "key.revoke", _with_id(session, public_id), f"key {public_id}")
    if key.revoked_at is None:
        key.revoked_at = now()
        _tell(session, actor, "key.revoked", key)
    return key


def split(presented: str) -> tuple[str, str]:
    """Public id and secret of a presented key, for the authenticator.

    Raises:
        NotSignedIn: it has not the form of a key.
    """
    match = _KEY.match(presented)
    if match is None:
        raise NotSignedIn("this is not a key of ours", code="bad_key")
    return match[1], match[2]


def actor_of(session: Session, public_id: str, source: str = "") -> Actor:
    """Whom a key stands for, once the authenticator said that its secret is right.

    Raises:
        NotSignedIn: it was revoked, or its tenant is suspended.
    """
    key = _with_id(session, public_id)
    if key is None or key.revoked_at is not None:
        raise NotSignedIn("this key is not good any more", code="bad_key")
    if not authorisation.is_in_force(session, key.tenant_id):
        raise NotSignedIn("the tenant of this key is suspended", code="suspended")
    kind = _KINDS[key.tenant.kind]
    return Actor(kind, f"key:{public_id}", tenant_id=None if kind == "operator" else key.tenant_id, source=source)


def _with_id(session: Session, public_id: str) -> ApiKey | None:
    return session.scalar(select(ApiKey).where(ApiKey.public_id == public_id))


def _tell(session: Session, actor: Actor, action: str, key: ApiKey) -> None:
    audit.record(session, actor, action, f"key {key.public_id}", tenant_id=key.tenant_id, after={"name": key.name})
    changes.announce(session, changes.KEY, key.public_id)
