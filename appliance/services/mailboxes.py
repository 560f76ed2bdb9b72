"""Mailboxes: an address with a store, a quota and perhaps somebody who logs in."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid
from appliance.models import AccessRule, Domain, LoginSession, Mailbox
from appliance.services import addresses, audit, authorisation, changes, holders, limits, patterns, removals, senders
from appliance.services.actor import Actor
from appliance.services.authorisation import EVERYTHING
from appliance.services.common import check_name
from appliance.services.paging import Page
from appliance.services.removals import Removed
from mta.vocabulary import Address

__all__ = [
    "MAX_QUOTA",
    "Mailbox",
    "create",
    "find",
    "forwarded_by",
    "get",
    "list_mailboxes",
    "make",
    "remove",
    "report_usage",
    "restore_held",
    "resume",
    "set_password",
    "suspend",
    "tell_made",
    "update",
]

MAX_QUOTA = 1 << 50  # 1024 TiB


def create(
    session: Session,
    address: str,
    *,
    actor: Actor,
    sealed_hash: str | None = None,
    quota_bytes: int | None = None,
    default_quota: int = 0,
    display_name: str = "",
    discard: bool = False,
) -> Mailbox:
    """Give *address* a mailbox of its own; without a *sealed_hash* it receives, and nobody can log in.

    Without *quota_bytes* it gets what a tenant's plan says, or else *default_quota*. With *discard*, one that was removed there
    cannot be had back any more.

    Raises:
        Invalid: a malformed address, or a quota that makes no sense (0 is no limit).
        NotFound, Forbidden: the domain is not the actor's.
        Taken: a mailbox or alias already answers to the address.
        LimitReached: the tenant, or one above it, has no room.
    """
    parsed = addresses.parse_address(address)
    domain = holders.domain_for(session, actor, "mailbox.create", parsed)
    folded = addresses.require_free(session, domain, parsed)
    for refusal in removals.discard_mailboxes(session, domain, [folded], actor=actor, discard=discard).values():
        raise refusal
    limits.require_room(session, domain.tenant_id, "mailboxes", domain=domain)
    quota = limits.default_quota(session, domain, default_quota) if quota_bytes is None else quota_bytes
    mailbox = make(domain, parsed, folded, sealed_hash, quota, display_name)
    limits.require_storage(session, domain, quota)
    session.add(mailbox)
    session.flush()
    tell_made(session, actor, mailbox)
    return mailbox


def make(
    domain: Domain, parsed: Address, folded: str, sealed_hash: str | None, quota_bytes: int, display_name: str
) -> Mailbox:
    """The row, for whoever has asked already whether it may be there.

    Raises:
        Invalid: a quota or name that makes no sense.
    """
    return Mailbox(
        domain=domain,
        local_part=parsed.local_part,
        folded=folded,
        sealed_hash=sealed_hash,
        quota_bytes=_quota(quota_bytes),
        used_bytes=0,
        display_name=check_name(display_name, "display_name") if display_name else "",
        forwarding=None,
    )


def tell_made(session: Session, actor: Actor, mailbox: Mailbox) -> None:
    """Ask for the store of a new *mailbox*, and tell whoever has to know of it."""
    changes.make_store(session, mailbox.domain.name, mailbox.folded)
    _tell(session, actor, "mailbox.created", mailbox, after=_describe(mailbox))


def get(session: Session, address: str, *, actor: Actor) -> Mailbox:
    """The mailbox of exactly this address.

    Raises:
        Invalid: a malformed address.
        NotFound: there is none, or it is not in the actor's part.
    """
    return find(session, actor, "mailbox.see", address)


def find(session: Session, actor: Actor, action: str, address: str) -> Mailbox:
    """The mailbox of *address*, when the actor may do *action* to it.

    Raises:
        Invalid, NotFound, Forbidden: as `authorisation.require`.
    """
    return holders.find(session, actor, action, Mailbox, address)


def list_mailboxes(
    session: Session,
    *,
    actor: Actor,
    domain: str | None = None,
    search: str = "",
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Mailbox]:
    """Mailboxes in the actor's part, a domain after another; of one *domain*, or with *search* in the local-part.

    *sort*: as `holders.list_kind`.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: there is no such domain, or it is not the actor's.
    """
    return holders.list_kind(
        session, Mailbox, actor=actor, domain=domain, search=search, sort=sort, limit=limit, cursor=cursor
    )


def update(
    session: Session,
    address: str,
    *,
    actor: Actor,
    quota_bytes: int | None = None,
    display_name: str | None = None,
    sealed_hash: str | None = None,
) -> Mailbox:
    """Change what is given.

    Raises:
        Invalid: a quota or name that makes no sense.
        NotFound, Forbidden: the mailbox is not the actor's to change.
        LimitReached: there is not so much storage left.
    """
    mailbox = find(session, actor, "mailbox.update", address)
    before = _describe(mailbox)
    if quota_bytes is not None:
        limits.require_storage(session, mailbox.domain, _quota(quota_bytes), mailbox.quota_bytes)
        mailbox.quota_bytes = quota_bytes
    if display_name is not None:
        mailbox.display_name = check_name(display_name, "display_name") if display_name.strip() else ""
    before, after = audit.difference(before, _describe(mailbox))
    if after:
        mailbox.version += 1
        _tell(session, actor, "mailbox.changed", mailbox, before=before, after=after)
        if "display_name" in after:
            _announce_autoreply(session, mailbox)
    if sealed_hash is not None:
        set_password(session, address, sealed_hash, actor=actor)
    return mailbox


def set_password(
    session: Session, address: str, sealed_hash: str | None, *, actor: Actor, keep_session: int | None = None
) -> Mailbox:
    """Replace the sealed hash (None: nobody can log in any more) and end the owner's other sessions.

    Raises:
        NotFound, Forbidden: the mailbox is not the actor's to change.
    """
    mailbox = find(session, actor, "mailbox.password", address)
    mailbox.sealed_hash = sealed_hash
    mailbox.version += 1
    # Whoever stole the former password must not stay in by the session it opened.
    for login in session.scalars(select(LoginSession).where(LoginSession.mailbox_id == mailbox.id)).unique().all():
        if login.id != keep_session:
            session.delete(login)
    key = addresses.key_of(mailbox.address)
    audit.record(
        session, actor, "mailbox.password_set" if sealed_hash else "mailbox.password_cleared", key,
        tenant_id=mailbox.domain.tenant_id, domain_id=mailbox.domain_id,
    )  # fmt: skip
    changes.announce(session, changes.PASSWORD, key)
    return mailbox


def suspend(session: Session, address: str, *, actor: Actor, what: Collection[str] = EVERYTHING) -> Mailbox:
    """Refuse mail and log-ins for the mailbox until `resume`.

    Raises:
        NotFound, Forbidden: it is not the actor's to suspend.
        Conflict: it is the host's postmaster.
    """
    mailbox = find(session, actor, "mailbox.suspend", address)
    _refuse_postmaster(session, mailbox)
    if authorisation.suspend(mailbox, actor, what):
        _tell(session, actor, "mailbox.suspended", mailbox, after={"suspended_for": mailbox.suspended_for})
    return mailbox


def resume(session: Session, address: str, *, actor: Actor, what: Collection[str] = EVERYTHING) -> Mailbox:
    """Undo `suspend`.

    Raises:
        NotFound, Forbidden: it is not the actor's, or someone above suspended it.
    """
    mailbox = find(session, actor, "mailbox.suspend", address)
    if authorisation.resume(mailbox, actor, f"mailbox {mailbox.address}", what):
        _tell(session, actor, "mailbox.resumed", mailbox, after={"suspended_for": mailbox.suspended_for})
    return mailbox


def restore_held(session: Session, address: str, held: Mapping[str, int], *, actor: Actor) -> Mailbox:
    """Take `suspend` and `resume` back: what stood still before does again, and nothing else.

    Raises:
        NotFound, Forbidden: it is not the actor's, or someone above said so since.
    """
    mailbox = find(session, actor, "mailbox.suspend", address)
    _refuse_postmaster(session, mailbox)
    was_suspended = set(mailbox.suspended_for)
    authorisation.restore_held(mailbox, actor, f"mailbox {mailbox.address}", held)
    deed = "mailbox.suspended" if set(mailbox.suspended_for) - was_suspended else "mailbox.resumed"
    _tell(session, actor, deed, mailbox, after={"suspended_for": mailbox.suspended_for})
    return mailbox


def remove(session: Session, address: str, *, actor: Actor, days: int = removals.DAYS) -> Removed:
    """Remove the mailbox; for so many *days* `removals.undo` brings it back with its mail.

    Raises:
        NotFound, Forbidden: it is not the actor's to remove, or someone above suspended it.
        Conflict: it is the host's postmaster.
    """
    mailbox = find(session, actor, "mailbox.remove", address)
    _refuse_postmaster(session, mailbox)
    authorisation.require_not_held(mailbox, actor, f"mailbox {mailbox.address}")
    removal = removals.keep_mailbox(session, mailbox, actor=actor, days=days)
    removals.let_own_go(session, mailbox)
    left = forwarded_by(session, mailbox.domain, addresses.key_of(mailbox.address))
    _tell(session, actor, "mailbox.removed", mailbox, before=_describe(mailbox), after={"removal": removal.id})
    if session.scalar(select(AccessRule.id).where(AccessRule.mailbox_id == mailbox.id).limit(1)) is not None:
        changes.announce(session, changes.RULES, addresses.key_of(mailbox.address))  # They go with it.
    senders.forget(session, mailbox)
    _announce_autoreply(session, mailbox)
    patterns.forget(session, mailbox)
    session.delete(mailbox)
    session.flush()
    return Removed(removal, left)


def forwarded_by(session: Session, domain: Domain, key: str) -> list[str]:
    """Who names *key* as target: aliases, forwardings, and the domain's catch-all; at most a hundred of each."""
    senders = holders.senders_to(session, lambda target: target == key)
    found = {addresses.show(holder.address) for holder in senders}
    if domain.catch_all == key:
        found.add(f"catch-all of {domain.name}")
    return sorted(found)


def report_usage(session: Session, key: str, used_bytes: int) -> None:
    """The ledger's word on what the mailbox holds; applied as often as it comes. Neither deed nor change: nobody decided it."""
    folded, name = addresses.split_key(key)
    domain = addresses.domain_named(session, name)
    holder = addresses.holder_of(session, domain, folded) if domain is not None else None
    if isinstance(holder, Mailbox):  # It may have been removed since.
        holder.used_bytes = max(0, used_bytes)


def _announce_autoreply(session: Session, mailbox: Mailbox) -> None:
    if mailbox.autoreply is not None:
        changes.announce(session, changes.AUTOREPLY, addresses.key_of(mailbox.address))


def _refuse_postmaster(session: Session, mailbox: Mailbox) -> None:
    if mailbox.folded == "postmaster" and mailbox.domain.name == addresses.host_name(session):
        raise Conflict("this host's postmaster answers for all domains that have none", code="host_postmaster")


def _quota(octets: int) -> int:
    if not 0 <= octets <= MAX_QUOTA:
        raise Invalid(f"a quota is a number of octets from 0 (no limit) to {MAX_QUOTA}", field="quota_bytes")
    return octets


def _describe(mailbox: Mailbox) -> dict[str, Any]:
    return {"quota_bytes": mailbox.quota_bytes, "display_name": mailbox.display_name}


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    mailbox: Mailbox,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    holders.tell(session, actor, action, mailbox, before=before, after=after)
    if mailbox.sealed_hash is not None:
        changes.announce(session, changes.PASSWORD, addresses.key_of(mailbox.address))
