"""Aliases: an address that stands for others, without a store; a disposable one only until some moment.

A reader would otherwise get wrong: when that moment has come, the compiler removes the row (`appliance.compile.process`), since
nobody else does anything then. Who may write to one is judged by the directory (`mta.roles.directory.doors`): members, people of
the domain and of the tenant are those who logged in as such, whatever a reverse-path says.
"""

from collections.abc import Sequence
from typing import Any

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid
from appliance.models import Alias, Mailbox
from appliance.models.base import now
from appliance.services import addresses, consents, holders, limits, mailboxes, removals
from appliance.services.actor import Actor
from appliance.services.common import UNCHANGED, Unchanged, check_name
from appliance.services.paging import Page
from appliance.services.removals import Removed

__all__ = [
    "MAX_LISTED",
    "OPEN_TO",
    "Alias",
    "ask_again",
    "change_note",
    "create",
    "describe",
    "folded",
    "get",
    "list_aliases",
    "moment_of",
    "note_of",
    "remove",
    "take_out",
    "update",
]

OPEN_TO = ("everybody", "tenant", "domain", "members", "listed")
MAX_LISTED = 200
LONGEST_NOTE = 200  # characters


def create(
    session: Session,
    address: str,
    targets: Sequence[str],
    *,
    actor: Actor,
    expires_at: int | None = None,
    open_to: str = "everybody",
    listed: Sequence[str] = (),
    enabled: bool = True,
    note: str = "",
) -> Alias:
    """Let *address* stand for *targets*; with *expires_at* (seconds since 1970), until then.

    *open_to*, one of OPEN_TO, says who may write to it; with `listed`, whom *listed* names: addresses and domains. Not
    *enabled*, it refuses its mail and keeps its name.

    Raises:
        Invalid: a malformed address; a target that nobody answers for, or at another host without the right to that; a list
            without anybody in it, or one that does not count.
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
        domain=domain, local_part=parsed.local_part, folded=folded, targets=keys, expires_at=moment_of(expires_at),
        enabled=enabled, note=note_of(note),
    )  # fmt: skip
    _open(session, alias, open_to, listed)
    session.add(alias)
    _require_sound(session, alias, keys)
    consents.settle(session, alias, {}, actor=actor)
    holders.tell(session, actor, "alias.created", alias, after=describe(alias))
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
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Alias]:
    """Aliases in the actor's part, a domain after another; of one *domain*, or with *search* in the local-part.

    *sort*: as `holders.list_kind`.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: there is no such domain, or it is not the actor's.
    """
    return holders.list_kind(
        session, Alias, actor=actor, domain=domain, search=search, sort=sort, limit=limit, cursor=cursor
    )


def update(
    session: Session,
    address: str,
    targets: Sequence[str] | None = None,
    *,
    actor: Actor,
    expires_at: int | Unchanged | None = UNCHANGED,
    open_to: str | None = None,
    listed: Sequence[str] | None = None,
    enabled: bool | None = None,
    note: str | None = None,
) -> Alias:
    """Replace the targets and who may write to it, and with *expires_at* the moment until which it is there; None: for ever.

    What is not given stays; a list goes when it counts no more.

    Raises:
        Invalid, Conflict, NotFound, Forbidden: as for `create`.
    """
    alias = holders.find(session, actor, "alias.update", Alias, address)
    keys = list(alias.targets) if targets is None else addresses.parse_targets(session, targets)
    before, standing = describe(alias), consents.standing(alias.rows)
    if open_to is not None or listed is not None:
        wanted = open_to or alias.open_to
        kept = alias.listed if wanted == "listed" else ()
        _open(session, alias, wanted, kept if listed is None else listed)
    change_note(alias, expires_at=expires_at, enabled=enabled, note=note)
    if keys != before["targets"] or (targets is not None and alias.waiting):
        alias.targets = keys
        _require_sound(session, alias, keys)
        _settle_owner(session, alias)
        consents.settle(session, alias, standing, actor=actor)
    elif describe(alias) == before:
        return alias
    alias.version += 1
    holders.tell(session, actor, "alias.changed", alias, before=before, after=describe(alias))
    return alias


def remove(session: Session, address: str, *, actor: Actor, days: int = removals.DAYS) -> Removed:
    """Remove the alias; for so many *days* `removals.undo` brings it back, unless its address is somebody else's by then.

    Raises:
        Invalid, NotFound, Forbidden: there is no such alias, or it is not the actor's.
    """
    return take_out(session, holders.find(session, actor, "alias.remove", Alias, address), actor=actor, days=days)


def ask_again(session: Session, address: str, target: str, *, actor: Actor) -> None:
    """Have the owner of *target*, at another host, asked once more whether mail may go on to him.

    Raises:
        NotFound, Conflict: as `consents.ask_again`.
        NotFound, Forbidden: the alias is not the actor's.
    """
    consents.ask_again(session, holders.find(session, actor, "alias.update", Alias, address), target, actor=actor)


def take_out(session: Session, alias: Alias, *, actor: Actor, days: int = removals.DAYS) -> Removed:
    """Remove *alias*, which the actor may."""
    left = mailboxes.forwarded_by(session, alias.domain, addresses.key_of(alias.address))
    removal = removals.keep_alias(session, alias, actor=actor, days=days)
    holders.tell(session, actor, "alias.removed", alias, before=describe(alias), after={"removal": removal.id})
    session.delete(alias)
    session.flush()
    return Removed(removal, left)


def _require_sound(session: Session, alias: Alias, keys: list[str]) -> None:
    addresses.require_targets(session, keys, owner=alias.domain)
    addresses.require_no_ring(session, addresses.key_of(alias.address))


def _open(session: Session, alias: Alias, open_to: str, listed: Sequence[str]) -> None:
    if open_to not in OPEN_TO:
        raise Invalid(f"open_to is one of {', '.join(OPEN_TO)}", field="open_to")
    if open_to != "everybody" and alias.folded in addresses.ROLE_ADDRESSES:
        raise Invalid(f"{alias.folded} has to be open to everybody", code="role_address", field="open_to")
    entries = list(dict.fromkeys(_listed(session, entry) for entry in listed))
    if len(entries) > MAX_LISTED:
        raise Invalid(f"at most {MAX_LISTED} are listed", code="too_many_listed", field="listed")
    if bool(entries) != (open_to == "listed"):
        raise Invalid(
            "with open_to listed somebody is listed, and otherwise nobody", code="listed_does_not_fit", field="listed"
        )
    alias.open_to, alias.listed = open_to, entries


def folded(listed: Sequence[str]) -> set[str]:
    """Who is *listed*, as compared.

    Raises:
        Invalid: neither an address nor a domain.
    """
    return {
        addresses.key_of(addresses.parse_address(each, "listed"))
        if "@" in each
        else addresses.parse_domain(each, "listed")
        for each in listed
    }


def _listed(session: Session, entry: str) -> str:
    """An address or a domain as the directory compares it: of ours by the domain's first name."""
    part, at, name = entry.strip().rpartition("@")
    if at:
        address = addresses.parse_address(entry, "listed")
        part, name = addresses.split_key(addresses.key_of(address))
    else:
        name = addresses.parse_domain(name, "listed")
    domain = addresses.domain_named(session, name)
    real = domain.alias_of if domain is not None and domain.alias_of is not None else None
    return f"{part}{at}{real.name if real is not None else name}"


def change_note(
    alias: Alias,
    *,
    expires_at: int | Unchanged | None = UNCHANGED,
    enabled: bool | None = None,
    note: str | None = None,
) -> None:
    """What does not say where it leads. The caller tells of it.

    Raises:
        Conflict: it would be over before it began.
        Invalid: a note that is none.
    """
    if not isinstance(expires_at, Unchanged) and expires_at != alias.expires_at:
        alias.expires_at = moment_of(expires_at)
    alias.enabled = alias.enabled if enabled is None else enabled
    alias.note = alias.note if note is None else note_of(note)


def _settle_owner(session: Session, alias: Alias) -> None:
    """Whom it leads to no more has it no more."""
    owner = session.get(Mailbox, alias.owner_id) if alias.owner_id is not None else None
    if owner is not None and addresses.key_of(owner.address) not in alias.targets:
        alias.owner_id = None


def note_of(text: str) -> str:
    """What is written down about an alias, for people.

    Raises:
        Invalid: too long, or with characters that cannot be seen.
    """
    return check_name(text, "note", LONGEST_NOTE) if text.strip() else ""


def moment_of(seconds: int | None) -> int | None:
    """The end of an alias, seconds since 1970; None: never.

    Raises:
        Conflict: it has passed.
    """
    if seconds is not None and not now() < seconds < 1 << 40:
        raise Conflict("an alias can only expire in the future", code="bad_moment", field="expires_at")
    return seconds


def describe(alias: Alias) -> dict[str, Any]:
    """What an alias says, as plain values."""
    return {
        "targets": list(alias.targets),
        **({"expires_at": alias.expires_at} if alias.expires_at is not None else {}),
        **({"open_to": alias.open_to} if alias.open_to != "everybody" else {}),
        **({"listed": list(alias.listed)} if alias.listed else {}),
        **({"enabled": False} if not alias.enabled else {}),
        **({"note": alias.note} if alias.note else {}),
    }
