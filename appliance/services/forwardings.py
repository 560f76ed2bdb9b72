"""Forwarding: where a mailbox's mail goes besides its store, or instead of it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import NotFound
from appliance.models import Domain, Forwarding, ForwardingTarget, Mailbox
from appliance.models.base import now
from appliance.services import addresses, authorisation, conditions, consents, holders, limits, mailboxes
from appliance.services.actor import Actor
from appliance.services.common import UNCHANGED, Unchanged
from appliance.services.paging import Orders, Page, page_in_order
from mta.vocabulary import fold_local_part

_ORDERS = Orders(Mailbox.id, "name", {"name": Mailbox.folded})

__all__ = ["Forwarding", "ask_again", "clear", "describe", "get", "is_any_failing", "list_forwarding", "put"]


def put(
    session: Session,
    address: str,
    targets: Sequence[str],
    *,
    actor: Actor,
    keep_copy: bool = True,
    enabled: bool = True,
    only: Mapping[str, Any] | Unchanged | None = UNCHANGED,
) -> Forwarding:
    """Forward the mailbox's mail to *targets*; with *only*, what meets these conditions (`conditions.parse`), None: all.

    Raises:
        Invalid: a malformed address or condition; a target that nobody answers for, or at another host without the right
            to that.
        Conflict: mail would run in a ring.
        NotFound, Forbidden: the mailbox is not the actor's.
    """
    mailbox = mailboxes.find(session, actor, "forwarding.set", address)
    keys = addresses.parse_targets(session, targets)
    asked = UNCHANGED if isinstance(only, Unchanged) else conditions.parse(only)
    before = describe(mailbox.forwarding)
    forwarding = mailbox.forwarding
    if forwarding is None:
        limits.require_room(session, mailbox.domain.tenant_id, "forwards", domain=mailbox.domain)
        forwarding = mailbox.forwarding = Forwarding(mailbox_id=mailbox.id)
    standing = consents.standing(forwarding.rows)
    forwarding.targets = keys
    forwarding.keep_copy, forwarding.enabled, forwarding.changed_at = keep_copy, enabled, now()
    if not isinstance(asked, Unchanged):
        forwarding.conditions = asked
    addresses.require_targets(session, keys, owner=mailbox.domain)
    consents.settle(session, mailbox, standing, actor=actor)
    # Also when it is not enabled: whoever enables it later should not be the one to find out.
    _require_no_ring(session, mailbox, forwarding)
    if describe(forwarding) != before:
        _tell(session, actor, "forwarding.set", mailbox, before=before, after=describe(forwarding))
    return forwarding


def get(session: Session, address: str, *, actor: Actor) -> Forwarding:
    """The forwarding of a mailbox.

    Raises:
        NotFound: the mailbox is not the actor's, or has none.
    """
    mailbox = mailboxes.find(session, actor, "forwarding.see", address)
    if mailbox.forwarding is None:
        raise NotFound(f"there is no forwarding of {addresses.show(mailbox.address)}")
    return mailbox.forwarding


def ask_again(session: Session, address: str, target: str, *, actor: Actor) -> None:
    """Have the owner of *target*, at another host, asked once more whether mail may go on to him.

    Raises:
        NotFound, Conflict: as `consents.ask_again`.
        NotFound, Forbidden: the mailbox is not the actor's.
    """
    consents.ask_again(session, mailboxes.find(session, actor, "forwarding.set", address), target, actor=actor)


def list_forwarding(
    session: Session, *, actor: Actor, domain: str, search: str = "", sort: str | None = None, limit: int = 50,
    cursor: str | None = None,
) -> Page[Mailbox]:  # fmt: skip
    """Mailboxes of *domain* that forward their mail, by address (*sort*: name); with *search* in the local-part.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: there is no such domain, or it is not the actor's.
    """
    label = addresses.parse_domain(domain)
    found = authorisation.require(
        session, actor, "domain.see", addresses.domain_named(session, label), f"domain {label}"
    )
    wanted = authorisation.restrict(select(Mailbox), actor, Mailbox)
    wanted = wanted.join(Forwarding, Forwarding.mailbox_id == Mailbox.id)
    wanted = wanted.where(Mailbox.domain_id == found.id, Forwarding.enabled.is_(True))
    if search:
        wanted = wanted.where(Mailbox.folded.contains(fold_local_part(search.strip()), autoescape=True))
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def is_any_failing(session: Session, domain: Domain) -> bool:
    """Does mail that is sent on from mailboxes of *domain* come back from some target?"""
    wanted = select(ForwardingTarget.id).join(Mailbox, Mailbox.id == ForwardingTarget.forwarding_id)
    wanted = wanted.where(Mailbox.domain_id == domain.id, ForwardingTarget.failed_at.is_not(None))
    return session.scalar(wanted.limit(1)) is not None


def clear(session: Session, address: str, *, actor: Actor) -> None:
    """Forward no more; without a forwarding, nothing happens.

    Raises:
        NotFound, Forbidden: the mailbox is not the actor's.
    """
    mailbox = mailboxes.find(session, actor, "forwarding.set", address)
    if mailbox.forwarding is None:
        return
    before = describe(mailbox.forwarding)
    mailbox.forwarding = None
    session.flush()
    _tell(session, actor, "forwarding.cleared", mailbox, before=before)


def describe(forwarding: Forwarding | None) -> dict[str, Any] | None:
    """What a forwarding says, as plain values."""
    if forwarding is None:
        return None
    return {
        "targets": list(forwarding.targets),
        "keep_copy": forwarding.keep_copy,
        "enabled": forwarding.enabled,
        **({"conditions": forwarding.conditions} if forwarding.conditions else {}),
        **({"waiting": forwarding.waiting} if forwarding.waiting else {}),
    }


def _require_no_ring(session: Session, mailbox: Mailbox, forwarding: Forwarding) -> None:
    enabled, forwarding.enabled = forwarding.enabled, True
    addresses.require_no_ring(session, addresses.key_of(mailbox.address))
    forwarding.enabled = enabled
    session.flush()


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    mailbox: Mailbox,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    mailbox.version += 1
    holders.tell(session, actor, action, mailbox, before=before, after=after)
