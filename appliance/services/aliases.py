"""Aliases: an address that stands for others, without a store."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select, tuple_

from appliance.database.session import Session
from appliance.models import Alias
from appliance.services import addresses, audit, authorisation, changes, limits, mailboxes
from appliance.services.actor import Actor
from appliance.services.paging import Page, check_limit, decode_cursor, page_of
from mta.vocabulary import fold_local_part

__all__ = ["Alias", "create", "get", "list_aliases", "remove", "update"]


def create(session: Session, address: str, targets: Sequence[str], *, actor: Actor) -> Alias:
    """Let *address* stand for *targets*.

    Raises:
        Invalid: a malformed address; a target that is not hosted here or that nobody answers for.
        Conflict: mail would run in a ring.
        Taken: a mailbox or alias already answers to the address.
        LimitReached: the tenant, or one above it, has no room.
        NotFound, Forbidden: the domain is not the actor's.
    """
    parsed = addresses.parse_address(address)
    domain = authorisation.require(
        session, actor, "alias.create", addresses.domain_named(session, parsed.domain), f"domain {parsed.domain}"
    )
    keys = addresses.parse_targets(targets)
    folded = addresses.require_free(session, domain, parsed)
    limits.require_room(session, domain.tenant_id, "aliases")
    alias = Alias(domain=domain, local_part=parsed.local_part, folded=folded, targets=keys)
    session.add(alias)
    _require_sound(session, alias, keys)
    _tell(session, actor, "alias.created", alias, after={"targets": keys})
    return alias


def get(session: Session, address: str, *, actor: Actor) -> Alias:
    """The alias of exactly this address.

    Raises:
        Invalid: a malformed address.
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, actor, "alias.see", address)


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
    wanted = authorisation.restrict(select(Alias), actor, Alias)
    if domain is not None:
        label = addresses.parse_domain(domain)
        found = authorisation.require(
            session, actor, "domain.see", addresses.domain_named(session, label), f"domain {label}"
        )
        wanted = wanted.where(Alias.domain_id == found.id)
    if search:
        folded = fold_local_part(search.strip().partition("@")[0])
        wanted = wanted.where(Alias.folded.contains(folded, autoescape=True))
    if cursor:
        place = decode_cursor(cursor, int, str)
        wanted = wanted.where(tuple_(Alias.domain_id, Alias.folded) > tuple_(*place))
    ordered = wanted.order_by(Alias.domain_id, Alias.folded).limit(check_limit(limit) + 1)
    return page_of(session.scalars(ordered).unique().all(), limit, "domain_id", "folded")


def update(session: Session, address: str, targets: Sequence[str], *, actor: Actor) -> Alias:
    """Replace the targets.

    Raises:
        Invalid, Conflict, NotFound, Forbidden: as for `create`.
    """
    alias = _for(session, actor, "alias.update", address)
    keys = addresses.parse_targets(targets)
    before = list(alias.targets)
    if keys != before:
        alias.targets = keys
        alias.version += 1
        _require_sound(session, alias, keys)
        _tell(session, actor, "alias.changed", alias, before={"targets": before}, after={"targets": keys})
    return alias


def remove(session: Session, address: str, *, actor: Actor) -> list[str]:
    """Remove the alias. Returns the addresses that still forward to it.

    Raises:
        Invalid, NotFound, Forbidden: there is no such alias, or it is not the actor's.
    """
    alias = _for(session, actor, "alias.remove", address)
    left = mailboxes.forwarded_by(session, alias.domain, addresses.key_of(alias.address))
    _tell(session, actor, "alias.removed", alias, before={"targets": list(alias.targets)})
    session.delete(alias)
    session.flush()
    return left


def _require_sound(session: Session, alias: Alias, keys: list[str]) -> None:
    addresses.require_targets(session, keys)
    addresses.require_no_ring(session, addresses.key_of(alias.address))


def _for(session: Session, actor: Actor, action: str, address: str) -> Alias:
    parsed = addresses.parse_address(address)
    domain = addresses.domain_named(session, parsed.domain)
    folded = addresses.split_key(addresses.key_of(parsed))[0]
    holder = addresses.holder_of(session, domain, folded) if domain is not None else None
    alias = holder if isinstance(holder, Alias) else None
    return authorisation.require(session, actor, action, alias, f"alias {addresses.show(parsed)}")


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    alias: Alias,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    key = addresses.key_of(alias.address)
    audit.record(
        session, actor, action, key,
        tenant_id=alias.domain.tenant_id, domain_id=alias.domain_id, before=before, after=after,
    )  # fmt: skip
    changes.announce(session, changes.ADDRESS, key)
