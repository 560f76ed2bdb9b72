"""Aliases: an address that stands for others, without a store; a disposable one only until some moment.

A reader would otherwise get wrong: when that moment has come, the compiler removes the row (`appliance.compile.process`), since
nobody else does anything then.
"""

from collections.abc import Sequence
from typing import Any

from appliance.database.session import Session
from appliance.errors import Conflict
from appliance.models import Alias
from appliance.models.base import now
from appliance.services import addresses, consents, holders, limits, mailboxes, removals
from appliance.services.actor import Actor
from appliance.services.common import UNCHANGED, Unchanged
from appliance.services.paging import Page
from appliance.services.removals import Removed

__all__ = ["Alias", "create", "get", "list_aliases", "remove", "update"]


def create(
    session: Session, address: str, targets: Sequence[str], *, actor: Actor, expires_at: int | None = None
) -> Alias:
    """Let *address* stand for *targets*; with *expires_at* (seconds since 1970), until then.

    Raises:
        Invalid: a malformed address; a target that nobody answers for, or at another host without the right to that.
        Conflict: mail would run in a ring; or it would be over before it began.
        Taken: a mailbox or alias already answers to the address.
        LimitReached: the tenant, or one above it, has no room.
        NotFound, Forbidden: the domain is not the actor's.
    """
    parsed = addresses.parse_address(address)
    domain = holders.domain_for(session, actor, "alias.create", parsed)
    keys = addresses.parse_targets(session, targets)
    folded = addresses.require_free(session, domain, parsed)
    limits.require_room(session, domain.tenant_id, "aliases", domain=domain)
    alias = Alias(
        domain=domain, local_part=parsed.local_part, folded=folded, targets=keys, expires_at=_moment(expires_at)
    )
    session.add(alias)
    _require_sound(session, alias, keys)
    consents.settle(session, alias, {}, actor=actor)
    holders.tell(session, actor, "alias.created", alias, after=_describe(alias))
    return alias


def get(session: Session, address: str, *, actor: Actor) -> Alias:
    """The alias of exactly this address.

    Raises:
        Invalid: a malformed address.
        NotFound: there is none, or it is not in the actor's part.
    """
    return holders.find(session, actor, "alias.see", Alias, address)


def list_aliases(
    session: Session,
    *,
    actor: Actor,
    domain: str | None = None,
    search: str = "",
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Alias]:
    """Aliases in the actor's part, a domain after another; of one *domain*, or with *search* in the local-part.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: there is no such domain, or it is not the actor's.
    """
    return holders.list_kind(session, Alias, actor=actor, domain=domain, search=search, limit=limit, cursor=cursor)


def update(
    session: Session,
    address: str,
    targets: Sequence[str],
    *,
    actor: Actor,
    expires_at: int | Unchanged | None = UNCHANGED,
) -> Alias:
    """Replace the targets, and with *expires_at* the moment until which it is there; None: for ever.

    Raises:
        Invalid, Conflict, NotFound, Forbidden: as for `create`.
    """
    alias = holders.find(session, actor, "alias.update", Alias, address)
    keys = addresses.parse_targets(session, targets)
    before, standing = _describe(alias), consents.standing(alias.rows)
    if not isinstance(expires_at, Unchanged) and expires_at != alias.expires_at:
        alias.expires_at = _moment(expires_at)
    if keys != before["targets"] or alias.waiting:
        alias.targets = keys
        _require_sound(session, alias, keys)
        consents.settle(session, alias, standing, actor=actor)
    elif _describe(alias) == before:
        return alias
    alias.version += 1
    holders.tell(session, actor, "alias.changed", alias, before=before, after=_describe(alias))
    return alias


def remove(session: Session, address: str, *, actor: Actor, days: int = removals.DAYS) -> Removed:
    """Remove the alias; for so many *days* `removals.undo` brings it back, unless its address is somebody else's by then.

    Raises:
        Invalid, NotFound, Forbidden: there is no such alias, or it is not the actor's.
    """
    alias = holders.find(session, actor, "alias.remove", Alias, address)
    left = mailboxes.forwarded_by(session, alias.domain, addresses.key_of(alias.address))
    removal = removals.keep_alias(session, alias, actor=actor, days=days)
    holders.tell(session, actor, "alias.removed", alias, before=_describe(alias), after={"removal": removal.id})
    session.delete(alias)
    session.flush()
    return Removed(removal, left)


def _require_sound(session: Session, alias: Alias, keys: list[str]) -> None:
    addresses.require_targets(session, keys, owner=alias.domain)
    addresses.require_no_ring(session, addresses.key_of(alias.address))


def _moment(seconds: int | None) -> int | None:
    if seconds is not None and not now() < seconds < 1 << 40:
        raise Conflict("an alias can only expire in the future", code="bad_moment", field="expires_at")
    return seconds


def _describe(alias: Alias) -> dict[str, Any]:
    return {
        "targets": list(alias.targets),
        **({"expires_at": alias.expires_at} if alias.expires_at is not None else {}),
    }
