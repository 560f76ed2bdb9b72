"""Addresses that the owner of a mailbox makes for himself: each for one shop or one person, with a note, an end, and a switch.

A reader would otherwise get wrong: they are aliases like any other, counted and seen among them; who may make aliases may change
and remove them there. What an owner makes ends in signs that nobody chose, or begins with his own name: no `admin@` or
`invoices@` comes about in this way.
"""

import secrets

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Forbidden, Invalid, LimitReached, NotFound
from appliance.models import Alias, Mailbox
from appliance.services import addresses, aliases, authorisation, consents, holders, limits, removals
from appliance.services.actor import Actor
from appliance.services.common import UNCHANGED, Unchanged
from appliance.services.removals import Removed
from mta.vocabulary import Address, pattern_prefixes

__all__ = ["MAX_DISPOSABLES", "Alias", "add", "find", "get", "of", "remove", "update"]

MAX_DISPOSABLES = 100  # of one mailbox
_SIGNS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that is taken for another when it is read aloud or copied by hand
_LENGTH = 6  # behind a word; 31 ** 6 are 900 million
_ALONE = 10
_LONGEST_WORD = 24


def get(session: Session, address: str, *, actor: Actor) -> list[Alias]:
    """The mailbox's own, the newest first.

    Raises:
        Invalid: a malformed address.
        NotFound: there is no such mailbox in the actor's part.
    """
    return of(session, holders.find(session, actor, "disposable.see", Mailbox, address))


def of(session: Session, mailbox: Mailbox) -> list[Alias]:
    """The same, for whoever may see it."""
    wanted = select(Alias).where(Alias.owner_id == mailbox.id).order_by(Alias.id.desc()).limit(MAX_DISPOSABLES)
    return list(session.scalars(wanted).unique())


def add(
    session: Session,
    address: str,
    *,
    actor: Actor,
    word: str = "",
    name: str = "",
    note: str = "",
    expires_at: int | None = None,
) -> Alias:
    """One more address that leads to the mailbox, until *expires_at* (seconds since 1970) if given.

    *name*, a local-part, is used as it is and begins with the owner's own; else one is made up, which begins with *word*.

    Raises:
        Invalid: a malformed address, word, name or note.
        Taken: a mailbox or alias already answers to the name.
        LimitReached: the mailbox has as many as one may have; or domain or tenant have no room for another alias.
        Conflict: it would be over before it began.
        NotFound, Forbidden: the mailbox is not the actor's, or the name begins with another's.
    """
    mailbox = holders.find(session, actor, "disposable.set", Mailbox, address)
    domain = mailbox.domain
    count = select(func.count()).select_from(Alias).where(Alias.owner_id == mailbox.id)
    if (session.scalar(count) or 0) >= MAX_DISPOSABLES:
        raise LimitReached(f"a mailbox has at most {MAX_DISPOSABLES} such addresses", code="limit_disposables")
    parsed = _named(session, actor, mailbox, name) if name.strip() else _made_up(session, mailbox, word)
    folded = addresses.require_free(session, domain, parsed)
    limits.require_room(session, domain.tenant_id, "aliases", domain=domain)
    key = addresses.key_of(mailbox.address)
    alias = Alias(
        domain=domain, local_part=parsed.local_part, folded=folded, targets=[key], owner_id=mailbox.id,
        expires_at=aliases.moment_of(expires_at), note=aliases.note_of(note), enabled=True,
    )  # fmt: skip
    session.add(alias)
    session.flush()
    addresses.require_no_ring(session, addresses.key_of(alias.address))
    consents.settle(session, alias, {}, actor=actor)
    holders.tell(session, actor, "alias.created", alias, after=aliases.describe(alias) | {"owner": key})
    return alias


def update(
    session: Session,
    address: str,
    disposable: str,
    *,
    actor: Actor,
    enabled: bool | None = None,
    note: str | None = None,
    expires_at: int | Unchanged | None = UNCHANGED,
) -> Alias:
    """Switch it on or off, write something else down about it, let it end at another time; what is not given stays.

    Raises:
        Invalid, Conflict: as `add`.
        NotFound, Forbidden: mailbox or address is not the actor's.
    """
    alias = find(session, address, disposable, actor=actor)
    before = aliases.describe(alias)
    aliases.change_note(alias, expires_at=expires_at, enabled=enabled, note=note)
    if aliases.describe(alias) != before:
        alias.version += 1
        session.flush()
        holders.tell(session, actor, "alias.changed", alias, before=before, after=aliases.describe(alias))
    return alias


def remove(session: Session, address: str, disposable: str, *, actor: Actor, days: int = removals.DAYS) -> Removed:
    """Remove it. Whoever makes aliases in the domain can bring it back for so many *days*.

    Raises:
        NotFound, Forbidden: as `update`.
    """
    return aliases.take_out(session, find(session, address, disposable, actor=actor), actor=actor, days=days)


def find(session: Session, address: str, disposable: str, *, actor: Actor) -> Alias:
    """One of them, to be changed.

    Raises:
        Invalid: a malformed address.
        NotFound, Forbidden: mailbox or address is not the actor's.
    """
    mailbox = holders.find(session, actor, "disposable.set", Mailbox, address)
    parsed = addresses.parse_address(disposable, "disposable")
    folded, name = addresses.split_key(addresses.key_of(parsed))
    wanted = select(Alias).where(
        Alias.owner_id == mailbox.id, Alias.folded == folded, Alias.domain_id == mailbox.domain_id
    )
    alias = session.scalar(wanted) if name == mailbox.domain.name else None
    if alias is None:
        raise NotFound(f"{addresses.show(mailbox.address)} has no address {addresses.show(parsed)} of its own making")
    return alias


def _named(session: Session, actor: Actor, mailbox: Mailbox, name: str) -> Address:
    """Whoever may make aliases gives him any; an owner takes what begins with his own name, as of patterns."""
    parsed = addresses.parse_address(f"{name.strip().partition('@')[0]}@{mailbox.domain.name}", "name")
    folded = addresses.split_key(addresses.key_of(parsed))[0]
    if authorisation.allows(session, actor, "alias.create", mailbox.domain):
        return parsed
    names = [prefix[:-1].decode() for prefix in pattern_prefixes(folded.encode())]
    holders_of = (addresses.holder_of(session, mailbox.domain, each) for each in names)
    if next(filter(None, holders_of), None) is not mailbox:
        raise Forbidden(
            "a name that you choose begins with your own, then a sign such as . or -",
            code="not_your_name",
            field="name",
        )
    return parsed


def _made_up(session: Session, mailbox: Mailbox, word: str) -> Address:
    word = word.strip().lower()
    if word and not (word.isascii() and word.isalnum() and len(word) <= _LONGEST_WORD):
        raise Invalid(f"a word is at most {_LONGEST_WORD} plain letters and digits", field="word")
    signs = "".join(secrets.choice(_SIGNS) for _ in range(_LENGTH if word else _ALONE))
    return Address(f"{word}.{signs}" if word else signs, mailbox.domain.name)
