"""API keys: `pk_<public id>_<secret>`.

A reader would otherwise get wrong: whether a presented key is right is the authenticator's word, from its snapshot. Here is
only what a right key may do - and whether it was revoked a moment ago, before the snapshot knows.
"""

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import bindparam, func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, NotSignedIn
from appliance.models import ApiKey, Tenant
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, changes, tenants
from appliance.services.actor import Actor, ActorKind
from appliance.services.common import check_name
from appliance.services.paging import Orders, Page, as_read, page_in_order

__all__ = ["ApiKey", "NewKey", "Scope", "actor_of", "create", "get", "list_keys", "revoke", "split"]

_KEY = re.compile(r"pk_([0-9a-f]{16})_([0-9a-f]{64})\Z")
_KINDS: dict[str, ActorKind] = {"operator": "operator", "reseller": "reseller", "customer": "customer"}


# Asked with each request: made once, and of plain columns, since nobody changes what it finds.
_ASKED_FOR = (
    select(
        ApiKey.revoked_at, ApiKey.expires_at, ApiKey.networks, ApiKey.actions, ApiKey.addresses, ApiKey.tenant_id, Tenant.kind
    )
    .join(Tenant, Tenant.id == ApiKey.tenant_id)
    .where(ApiKey.public_id == bindparam("public_id"))
)  # fmt: skip
_NEVER = (1 << 63) - 1
_TENANT = select(as_read(Tenant.name)).where(Tenant.id == ApiKey.tenant_id).scalar_subquery()
_ORDERS = Orders(
    ApiKey.id, "created", {"created": ApiKey.id},
    {"name": as_read(ApiKey.name), "tenant": _TENANT, "until": func.coalesce(ApiKey.expires_at, _NEVER)},
)  # fmt: skip
MAX_ACTIONS = 200
MAX_ADDRESSES = 1000
MAX_NETWORKS = 100


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `secret` is the whole key, shown this once."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class Scope:
    """What a key is limited to, within what its tenant may; None is no limit.

    *actions*: such as `mailbox.create`, `mailbox.*` or `*.see`; *addresses*: mailboxes, aliases and domains that it may touch;
    *networks*: from where it may be used; *expires_at*: seconds since 1970.
    """

    actions: Sequence[str] | None = None
    addresses: Sequence[str] | None = None
    networks: Sequence[str] | None = None
    expires_at: int | None = None


def create(
    session: Session, *, actor: Actor, tenant_id: int | None = None, name: str = "", scope: Scope | None = None
) -> NewKey:
    """A key that acts for the tenant; without *tenant_id*, for the actor's own (the operator's on the command line).

    Raises:
        Invalid, Conflict: a scope that makes no sense, or is over already.
        NotFound, Forbidden: the tenant is not the actor's; or the asking key has a scope itself, which the new one might not have.
    """
    chosen = session.get(Tenant, tenant_id) if tenant_id is not None else tenants.own(session, actor)
    tenant = authorisation.require(session, actor, "key.create", chosen, f"tenant {tenant_id}")
    public_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    scope = scope or Scope()
    key = ApiKey(
        public_id=public_id,
        sha256=hashlib.sha256(secret.encode()).hexdigest(),
        tenant=tenant,
        name=check_name(name) if name else "",
        actions=_actions(scope.actions),
        addresses=_addresses(scope.addresses),
        networks=_networks(scope.networks),
        expires_at=_future(scope.expires_at),
    )
    session.add(key)
    session.flush()
    _tell(session, actor, "key.created", key)
    return NewKey(key, f"pk_{public_id}_{secret}")


def _actions(wanted: Sequence[str] | None) -> list[str] | None:
    if wanted is None:
        return None
    _bounded(wanted, MAX_ACTIONS, "actions")
    for pattern in wanted:
        allowed = _meant_by(pattern)
        if not allowed:
            raise Invalid(f"there is no action {pattern[:80]!r}", code="bad_action", field="actions")
        if pattern in authorisation.UNLIMITED:
            raise Invalid(f"{pattern} is not for a key with limits: what it made would have none", field="actions")
    return sorted(set(wanted))


def _meant_by(pattern: str) -> frozenset[str]:
    """The actions that *pattern* stands for."""
    noun, _, deed = pattern.partition(".")
    return frozenset(
        action
        for action in authorisation.ACTIONS
        if noun in ("*", action.partition(".")[0]) and deed in ("*", action.partition(".")[2])
    )


def _addresses(wanted: Sequence[str] | None) -> list[str] | None:
    if wanted is None:
        return None
    _bounded(wanted, MAX_ADDRESSES, "addresses")
    return sorted(
        {
            addresses.key_of(addresses.parse_address(text, "addresses"))
            if "@" in text
            else addresses.parse_domain(text, "addresses")
            for text in wanted
        }
    )


def _networks(wanted: Sequence[str] | None) -> list[str] | None:
    if wanted is None:
        return None
    _bounded(wanted, MAX_NETWORKS, "networks")
    try:
        return sorted({str(ipaddress.ip_network(text, strict=False)) for text in wanted})
    except ValueError as error:
        raise Invalid(f"not a network: {str(error)[:200]}", code="bad_network", field="networks") from error


def _bounded(wanted: Sequence[str], most: int, field: str) -> None:
    if not 1 <= len(wanted) <= most:
        raise Invalid(f"{field}: 1 to {most} of them, or null for no limit", field=field)


def _future(moment: int | None) -> int | None:
    if moment is not None and moment <= now():
        raise Conflict("this moment is over", code="bad_moment", field="expires_at")
    return moment


def list_keys(
    session: Session, *, actor: Actor, tenant_id: int | None = None, sort: str | None = None, limit: int = 50,
    cursor: str | None = None,
) -> Page[ApiKey]:  # fmt: skip
    """Keys in the actor's part, revoked ones too, oldest first.

    *sort*: created, name, tenant, until.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(ApiKey), actor, ApiKey)
    if tenant_id is not None:
        wanted = wanted.where(ApiKey.tenant_id == tenant_id)
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


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
        NotSignedIn: it was revoked, has expired, is not good from *source*, or its tenant is suspended.
    """
    key = session.execute(_ASKED_FOR, {"public_id": public_id}).first()
    if key is None or key.revoked_at is not None:
        raise NotSignedIn("this key is not good any more", code="bad_key")
    if key.expires_at is not None and key.expires_at <= now():
        raise NotSignedIn("this key has expired", code="key_expired")
    if key.networks is not None and not _is_within(source, key.networks):
        raise NotSignedIn("this key is not good from here", code="bad_source")
    if not authorisation.is_in_force(session, key.tenant_id):
        raise NotSignedIn("the tenant of this key is suspended", code="suspended")
    kind = _KINDS[key.kind]
    return Actor(
        kind, f"key:{public_id}", tenant_id=None if kind == "operator" else key.tenant_id, source=source,
        actions=None if key.actions is None else frozenset().union(*map(_meant_by, key.actions)),
        addresses=None if key.addresses is None else frozenset(key.addresses),
        limited=any(limit is not None for limit in (key.actions, key.addresses, key.networks, key.expires_at)),
    )  # fmt: skip


def _is_within(source: str, networks: Sequence[str]) -> bool:
    try:
        client = ipaddress.ip_address(source)
    except ValueError:
        return False
    mapped = client.ipv4_mapped if isinstance(client, ipaddress.IPv6Address) else None
    return any((mapped or client) in ipaddress.ip_network(network) for network in networks)


def _with_id(session: Session, public_id: str) -> ApiKey | None:
    return session.scalar(select(ApiKey).where(ApiKey.public_id == public_id))


def _tell(session: Session, actor: Actor, action: str, key: ApiKey) -> None:
    limits = {
        "actions": key.actions,
        "addresses": key.addresses,
        "networks": key.networks,
        "expires_at": key.expires_at,
    }
    after = {"name": key.name, **{name: value for name, value in limits.items() if value is not None}}
    audit.record(session, actor, action, f"key {key.public_id}", tenant_id=key.tenant_id, after=after)
    changes.announce(session, changes.KEY, key.public_id)
