"""Removals: what was removed, for how long it can be had back, and undoing it.

A reader would otherwise get wrong: the name of a removed domain, and a removed mailbox's address, stay its owner's until then.
Who makes a mailbox or domain anew under it has to say that what was there may go (`discard`): its mail would come back into
the place where the new one has its own. Nobody else gets the name before storekeeper has put away the mail of it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import String, cast, delete, func, select, update

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden, Taken
from appliance.models import (
    AccessRule,
    Account,
    Alias,
    AliasTarget,
    AppPassword,
    Domain,
    ForwardingTarget,
    Mailbox,
    Removal,
    RemovedRows,
    SenderGrant,
)
from appliance.models.base import now
from appliance.services import addresses, audit, authorisation, changes, consents, contents, limits, patterns, remains
from appliance.services.actor import Actor
from appliance.services.paging import Orders, Page, page_in_order
from appliance.services.remains import Conditions

__all__ = [
    "DAYS",
    "Removal",
    "Removed",
    "discard_domain",
    "discard_mailboxes",
    "end",
    "find",
    "get",
    "keep_alias",
    "keep_domain",
    "keep_mailbox",
    "let_own_go",
    "list_removals",
    "move",
    "undo",
    "withdraw",
]

DAYS = 30  # what is kept when nobody says for how long
_DAY = 24 * 3600
_ORDERS = Orders(
    Removal.id, "-removed", {"-removed": Removal.id},
    {"name": Removal.key, "-used": Removal.used_bytes, "until": Removal.until},
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed, and who elsewhere still sends mail there."""

    removal: Removal
    forwarded_by: list[str]


# --- what is removed ------------------------------------------------------------------------------------------------


def keep_mailbox(session: Session, mailbox: Mailbox, *, actor: Actor, days: int = DAYS) -> Removal:
    """Write down all of *mailbox*, which is about to be removed, and have its mail put aside."""
    rows = remains.of("mailbox", mailbox.id)
    key = addresses.key_of(mailbox.address)
    removal = _note(session, rows, "mailbox", key, addresses.show(mailbox.address), mailbox, actor, days)
    changes.keep_store(session, mailbox.domain.name, removal.id, removal.until, mailbox.folded)
    return removal


def let_own_go(session: Session, mailbox: Mailbox) -> None:
    """What its owner made for himself leaves its table before the mailbox does."""
    for alias in _announce_own(session, mailbox):
        session.delete(alias)
    session.flush()


def _announce_own(session: Session, mailbox: Mailbox) -> list[Alias]:
    """The aliases that the owner of *mailbox* made for himself go and come with it."""
    own = list(session.scalars(select(Alias).where(Alias.owner_id == mailbox.id)).unique())
    for alias in own:
        for kind in (changes.ADDRESS, changes.SENDERS):
            changes.announce(session, kind, addresses.key_of(alias.address))
    return own


def keep_alias(session: Session, alias: Alias, *, actor: Actor, days: int = DAYS) -> Removal:
    """As `keep_mailbox`. An alias has no mail, so its address is free at once: it can be had back while nobody else has it."""
    key = addresses.key_of(alias.address)
    rows = remains.of("alias", alias.id)
    return _note(session, rows, "alias", key, addresses.show(alias.address), alias, actor, days, holds_name=False)


def keep_domain(session: Session, domain: Domain, *, actor: Actor, days: int = DAYS) -> Removal:
    """As `keep_mailbox`, for *domain* with all that is in it. Its name is held if it was proved whose it is."""
    rows = remains.of_domain(domain.id, domain.name)
    holds_name = domain.proved_at is not None
    removal = _note(session, rows, "domain", domain.name, domain.name, domain, actor, days, holds_name=holds_name)
    if domain.kind == "hosted":
        changes.keep_store(session, domain.name, removal.id, removal.until)
    return removal


def _note(
    session: Session,
    rows: Conditions,
    kind: str,
    key: str,
    name: str,
    what: Domain | Mailbox | Alias,
    actor: Actor,
    days: int,
    *,
    holds_name: bool = True,
) -> Removal:
    session.flush()
    mailboxes = remains.count(
        session, rows, "mailbox",
        func.sum(Mailbox.quota_bytes), func.sum(Mailbox.used_bytes), func.min(Mailbox.quota_bytes),
    )  # fmt: skip
    domain = what if isinstance(what, Domain) else what.domain
    aliases = sum(remains.count(session, rows, name)[0] for name in ("alias", "pattern"))  # as limits count them
    removal = Removal(
        kind=kind, key=key, name=name, tenant_id=domain.tenant_id, domain_id=domain.id, removed_by=actor.name,
        rank=authorisation.rank_over(what, actor), until=now() + days * _DAY, holds_name=holds_name and days > 0,
        domains=remains.count(session, rows, "domain")[0], mailboxes=mailboxes[0],
        aliases=aliases, forwards=remains.count(session, rows, "forwarding")[0],
        storage_bytes=int(mailboxes[1] or 0), used_bytes=int(mailboxes[2] or 0), has_unlimited=mailboxes[3] == 0,
    )  # fmt: skip
    session.add(removal)
    session.flush()
    if days > 0:
        remains.keep(session, rows, removal.id)
    return removal


# --- looking ---------------------------------------------------------------------------------------------------------


def get(session: Session, number: int, *, actor: Actor) -> Removal:
    """The removal with this number, while it can be undone.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, number, actor, "removal.see")


def find(session: Session, kind: str, name: str, *, actor: Actor) -> Removal:
    """The newest removal of the domain, mailbox or alias called *name*.

    Raises:
        Invalid: it is no name of that kind.
        NotFound: there is none, or it is not in the actor's part.
    """
    key = addresses.parse_domain(name) if kind == "domain" else addresses.key_of(addresses.parse_address(name))
    wanted = select(Removal).where(
        Removal.kind == kind, Removal.key == key, Removal.is_ending.is_(False), Removal.until > now()
    )
    found = session.scalar(wanted.order_by(Removal.id.desc()).limit(1))
    return authorisation.require(session, actor, "removal.see", found, f"removal of the {kind} {name}")


def _for(session: Session, number: int, actor: Actor, action: str) -> Removal:
    found = session.get(Removal, number)
    if found is not None and not _is_open(found):
        found = None
    return authorisation.require(session, actor, action, found, f"removal {number}")


def _is_open(removal: Removal) -> bool:
    return not removal.is_ending and removal.until > now()


def list_removals(
    session: Session,
    *,
    actor: Actor,
    kind: str | None = None,
    search: str = "",
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Removal]:
    """What can be undone in the actor's part, the newest first; of one *kind*, or with *search* in the name.

    *sort*: removed, name, used, until.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Removal), actor, Removal)
    wanted = wanted.where(Removal.is_ending.is_(False), Removal.until > now())
    if kind is not None:
        wanted = wanted.where(Removal.kind == kind)
    if search:
        wanted = wanted.where(Removal.key.contains(search.strip().lower(), autoescape=True))
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


# --- undoing ---------------------------------------------------------------------------------------------------------


def undo(session: Session, number: int, *, actor: Actor) -> Removal:
    """Bring it back as it was, with its mail. Returns what there was to undo.

    Raises:
        NotFound, Forbidden: it is not the actor's, or somebody above him removed it.
        Conflict: its domain is gone, or something stands in its place; or mail would run in a ring.
        Taken: somebody else has the address.
        LimitReached: there is no room for it any more.
    """
    removal = _to_decide(session, number, actor)
    _require_place(session, removal)
    _require_room(session, removal)
    remains.put_back(session, removal.id, {"domain": {"tenant_id": removal.tenant_id}})
    session.flush()
    session.expire_all()
    if removal.kind == "domain":
        _revive_domain(session, removal)
    elif removal.kind == "mailbox":
        _revive_mailbox(session, removal, actor)
    else:
        _revive_alias(session, removal)
    _tell(session, actor, "restored", removal)
    _forget(session, removal)
    return removal


def _to_decide(session: Session, number: int, actor: Actor) -> Removal:
    seen = _for(session, number, actor, "removal.see")
    removal = _for(session, number, actor, f"{seen.kind}.remove")
    _require_rank(removal, actor)
    return removal


def _require_rank(removal: Removal, actor: Actor) -> None:
    if authorisation.rank_over(removal, actor) < removal.rank:
        raise Forbidden(f"{removal.name} was removed by someone above you", code="removed_above")


def _require_place(session: Session, removal: Removal) -> None:
    if removal.kind == "domain":
        if addresses.domain_named(session, removal.key) is not None:
            raise Taken(f"{removal.name} is served again already", code="domain_taken")
        return
    domain = session.get(Domain, removal.domain_id)
    if domain is None:
        raise Conflict(f"the domain of {removal.name} is not there: have that back first", code="domain_removed")
    holder = addresses.holder_of(session, domain, addresses.split_key(removal.key)[0])
    if holder is not None:
        raise addresses.taken_by(type(holder), holder.address)


def _require_room(session: Session, removal: Removal) -> None:
    domain = session.get(Domain, removal.domain_id)
    for noun in ("domains", "mailboxes", "aliases", "forwards"):
        if getattr(removal, noun):
            inside = domain if noun != "domains" else None
            limits.require_room(session, removal.tenant_id, noun, getattr(removal, noun), domain=inside)
    if removal.mailboxes:
        room = limits.room_for(session, removal.tenant_id, limits.STORAGE, domain=domain)
        if removal.has_unlimited:
            room.take_quota(0)
        if removal.storage_bytes:
            room.take_quota(removal.storage_bytes)


def _revive_mailbox(session: Session, removal: Removal, actor: Actor) -> None:
    mailbox = authorisation.require(
        # Whoever held more than a mailbox holds it again: only somebody who might have given him that brings him back.
        session, actor, "mailbox.remove", addresses.mailbox_at(session, removal.key), f"mailbox {removal.name}",
    )  # fmt: skip
    for kind in (changes.ADDRESS, changes.PASSWORD, changes.SENDERS, changes.RULES, changes.AUTOREPLY):
        changes.announce(session, kind, removal.key)
    patterns.announce(session, mailbox)
    for alias in _announce_own(session, mailbox):
        holds = select(Mailbox.id).where(Mailbox.domain_id == alias.domain_id, Mailbox.folded == alias.folded)
        if session.scalar(holds) is not None:
            raise Conflict(f"something that was made since stands in the place of {alias.address}", code="place_taken")
    granted = select(SenderGrant.address).where(SenderGrant.mailbox_id == mailbox.id)
    changes.announce_each(session, changes.SENDERS, granted)
    changes.restore_store(session, mailbox.domain.name, removal.id)
    consents.give_for_ours(session, mailbox)
    addresses.require_no_ring(session, removal.key)


def _revive_alias(session: Session, removal: Removal) -> None:
    folded, name = addresses.split_key(removal.key)
    domain = addresses.domain_named(session, name)
    alias = addresses.holder_of(session, domain, folded) if domain is not None else None
    if isinstance(alias, Alias):
        consents.give_for_ours(session, alias)
    for kind in (changes.ADDRESS, changes.SENDERS):
        changes.announce(session, kind, removal.key)
    addresses.require_no_ring(session, removal.key)


def _revive_domain(session: Session, removal: Removal) -> None:
    domain = session.get_one(Domain, removal.domain_id)
    suffix, own = f"@{domain.name}", Mailbox.domain_id == domain.id
    contents.announce(session, domain)
    for kind, wanted in (
        (changes.PASSWORD, select(Mailbox.folded + suffix).where(own, Mailbox.sealed_hash.is_not(None))),
        (changes.ACCOUNT, select(Account.name).where(Account.domain_id == domain.id)),
        (
            changes.RULES,
            select(Mailbox.folded + suffix).join(AccessRule, AccessRule.mailbox_id == Mailbox.id).where(own),
        ),
        (
            changes.SENDERS,
            select(Mailbox.folded + suffix).join(AppPassword, AppPassword.mailbox_id == Mailbox.id).where(own),
        ),
        (changes.SENDERS, select(SenderGrant.address).join(Mailbox, SenderGrant.mailbox_id == Mailbox.id).where(own)),
        (changes.SENDERS, select(SenderGrant.address).where(SenderGrant.address.endswith(suffix, autoescape=True))),
    ):
        changes.announce_each(session, kind, wanted.distinct())
    if domain.kind == "hosted":
        changes.restore_store(session, domain.name, removal.id)
    if domain.proved_at is not None:
        addresses.take_over_targets(session, domain.name)
        addresses.refuse_revived_rings(session, domain.name)


# --- what will not be undone -----------------------------------------------------------------------------------------


def end(session: Session, number: int, *, actor: Actor) -> None:
    """Let it not be undone any more: what was kept goes now.

    Raises:
        NotFound, Forbidden: it is not the actor's, or somebody above him removed it.
    """
    removal = _to_decide(session, number, actor)
    _tell(session, actor, "purged", removal)
    _let_go(session, removal)


def discard_mailboxes(
    session: Session, domain: Domain, folded: Collection[str], *, actor: Actor, discard: bool
) -> dict[str, Taken | Forbidden]:
    """Why a mailbox may not be made under some of *folded*, since one was removed there; with *discard* that one goes now."""
    wanted = select(Removal).where(
        Removal.kind == "mailbox",
        Removal.key.in_([f"{each}@{domain.name}" for each in folded]),
        Removal.domain_id == domain.id,
    )
    refused: dict[str, Taken | Forbidden] = {}
    for removal in [row for row in session.scalars(wanted) if row.holds_name and _is_open(row)]:
        local_part = addresses.split_key(removal.key)[0]
        try:
            _discard(session, removal, actor, discard)
        except (Taken, Forbidden) as refusal:
            refused[local_part] = refusal
    return refused


def discard_domain(session: Session, name: str, tenant_id: int, *, actor: Actor, discard: bool) -> None:
    """Go on when a domain called *name* may be made for the tenant; with *discard*, one of his that was removed goes now.

    Raises:
        Taken: somebody's was removed under that name, and can be had back.
        Forbidden: somebody above the actor removed it.
        Conflict: its mail is just being put away.
    """
    held = session.scalar(select(Removal).where(Removal.kind == "domain", Removal.key == name, Removal.holds_name))
    if held is None:
        return
    if held.tenant_id != tenant_id:
        path = f"removals/{held.id}" if authorisation.allows(session, actor, "removal.see", held) else ""
        raise Taken(f"{name} is already served here", code="domain_taken", field="name", holder=path)
    if held.is_ending or not _is_open(held):
        raise Conflict(f"{name} is just being put away: try again in a moment", code="domain_ending", field="name")
    _discard(session, held, actor, discard)


def _discard(session: Session, removal: Removal, actor: Actor, discard: bool) -> None:
    if not discard:
        field = "name" if removal.kind == "domain" else "address"
        raise Taken(
            f"{removal.name} was removed and can be had back: undo that, or say that it may be discarded",
            code=f"{removal.kind}_removed", field=field, holder=f"removals/{removal.id}",
        )  # fmt: skip
    _require_rank(removal, actor)
    _tell(session, actor, "purged", removal)
    # For the same owner: the tasks of a domain are done in their order, so what comes after them finds the place empty.
    if removal.kind == "domain":
        _drop_inside(session, removal)
    _drop(session, removal)


def _drop_inside(session: Session, removal: Removal) -> None:
    """What was removed in a domain goes with it."""
    inside = select(Removal).where(Removal.domain_id == removal.domain_id, Removal.id != removal.id)
    for each in session.scalars(inside).all():
        _drop(session, each)


def _let_go(session: Session, removal: Removal) -> None:
    """A domain's name is free when its mail is put away (`appliance.compile.removals`), anything else at once."""
    if removal.kind != "domain":
        _drop(session, removal)
        return
    _drop_inside(session, removal)
    changes.keep_store(session, removal.key, removal.id, 0)  # what a delivery on its way left there meanwhile
    changes.drop_store(session, removal.key, removal.id)
    removal.is_ending = True
    removal.version += 1


def _drop(session: Session, removal: Removal) -> None:
    if removal.kind != "alias":
        name = removal.key if removal.kind == "domain" else addresses.split_key(removal.key)[1]
        changes.drop_store(session, name, removal.id)
    _forget(session, removal)


def _forget(session: Session, removal: Removal) -> None:
    session.execute(delete(RemovedRows).where(RemovedRows.removal_id == removal.id))
    session.delete(removal)
    session.flush()


def move(session: Session, from_tenant: int, to_tenant: int, *, domain_id: int | None = None) -> None:
    """What was removed of a tenant, or of one domain, is another's from now on."""
    wanted = update(Removal).where(Removal.tenant_id == from_tenant).values(tenant_id=to_tenant)
    session.execute(wanted if domain_id is None else wanted.where(Removal.domain_id == domain_id))


def withdraw(session: Session, name: str, *, spared: Removal) -> None:
    """As `consents.withdraw`, of what was removed: brought back, it must not write to who never agreed.

    *spared*: the removal of the domain called *name* itself, whose own are ours again when it is undone.
    """
    ending = f"@{name}"
    pieces = select(RemovedRows).where(
        RemovedRows.table.in_((AliasTarget.__tablename__, ForwardingTarget.__tablename__)),
        RemovedRows.removal_id != spared.id,
        cast(RemovedRows.rows, String).contains(f'{ending}"', autoescape=True),
    )
    for piece in session.scalars(pieces):
        piece.rows = [{**row, "confirmed_at": None} if row["address"].endswith(ending) else row for row in piece.rows]


def _tell(session: Session, actor: Actor, deed: str, removal: Removal) -> None:
    counted: dict[str, Any] = {noun: getattr(removal, noun) for noun in ("mailboxes", "aliases")}
    audit.record(
        session, actor, f"{removal.kind}.{deed}", removal.key, tenant_id=removal.tenant_id, domain_id=removal.domain_id,
        after={"removal": removal.id, **(counted if removal.kind == "domain" else {})},
    )  # fmt: skip
