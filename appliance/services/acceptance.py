"""Which addresses are accepted for, and what a change makes of that: what a dry run shows.

A reader would otherwise get wrong: this is the database's word, not the directory's. It asks whether somebody answers for the
address; rules, quotas and greylisting, which depend on the client and on the moment, are no part of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sqlalchemy import select

from appliance.database.session import Session
from appliance.models import Alias, Domain, Mailbox, Pattern, RelayRecipient
from appliance.services import addresses, authorisation, changes

MAX_SHOWN = 1000  # addresses on each side
_ANYTHING = "*"  # for the rest of an address that fits a pattern: no list of ours has it
MAX_EXAMINED = 20_000  # addresses of one domain, and single ones: beyond, what is shown is not complete


@dataclass(frozen=True, slots=True)
class Effect:
    """What a change does at the SMTP port. `*@domain` stands for every address that nobody holds, `name-*@domain` for a pattern."""

    starts: tuple[str, ...] = ()
    stops: tuple[str, ...] = ()
    complete: bool = True  # False: there are more than are shown


@dataclass(frozen=True, slots=True)
class Touched:
    """What a transaction has announced so far: whole domains, and single addresses by their keys."""

    domains: tuple[str, ...]
    keys: tuple[str, ...]
    complete: bool = True
    patterns: tuple[str, ...] = ()  # what stands before the star, and the domain


def touched_since(session: Session, number: int) -> Touched:
    """What the entries of the change feed after *number* are about."""
    domains: set[str] = set()
    keys: set[str] = set()
    patterns: set[str] = set()
    entries = changes.since(session, number, MAX_EXAMINED)
    for entry in entries:
        if entry.kind == changes.DOMAIN:
            domains.add(entry.key)
        elif entry.kind == changes.TENANT:
            below = select(Domain.name).where(Domain.tenant_id.in_(authorisation.subtree(int(entry.key))))
            domains.update(session.scalars(below))
        elif entry.kind == changes.ADDRESS:
            keys.add(entry.key)
        elif entry.kind == changes.PATTERN:
            patterns.add(entry.key)
    complete = len(entries) < MAX_EXAMINED
    return Touched(tuple(sorted(domains)), tuple(sorted(keys)), complete, tuple(sorted(patterns)))


def accepted(session: Session, touched: Touched) -> tuple[set[str], bool]:
    """Those of the *touched* addresses that are accepted for as *session* sees the house; were all of them looked at?"""
    found: set[str] = set()
    complete = touched.complete
    whole = {*touched.domains, *_other_names(session, touched.domains)}
    for name in sorted(whole):
        mine = set(_of_domain(session, name))
        complete = complete and len(mine) <= MAX_EXAMINED
        found |= mine
    for key in touched.keys:
        folded, name = addresses.split_key(key)
        for other in (name, *_other_names(session, [name])):
            if other not in whole and is_accepted(session, f"{folded}@{other}"):
                found.add(f"{folded}@{other}")
    for beginning, name in _patterns(session, touched):
        for other in (name, *_other_names(session, [name])):
            # What fits it and nobody holds: the directory's own answer to that.
            if other not in whole and is_accepted(session, f"{beginning}{_ANYTHING}@{other}"):
                found.add(f"{beginning}*@{other}")
    return found, complete


def _patterns(session: Session, touched: Touched) -> Iterator[tuple[str, str]]:
    """Those that were touched, themselves or by their mailboxes: what stands before the star, and the domain's name."""
    yield from (addresses.split_key(key) for key in touched.patterns)
    for key in touched.keys:
        folded, name = addresses.split_key(key)
        domain = addresses.domain_named(session, name)
        if domain is not None and addresses.has_patterns(session, domain):
            mine = select(Pattern.folded).join(Mailbox, Mailbox.id == Pattern.mailbox_id)
            mine = mine.where(Mailbox.domain_id == domain.id, Mailbox.folded == folded)
            yield from ((beginning, name) for beginning in session.scalars(mine))


def effect(before: set[str], after: set[str], *, complete: bool) -> Effect:
    """The difference, as it is shown."""
    starts, stops = sorted(after - before), sorted(before - after)
    complete = complete and max(len(starts), len(stops)) <= MAX_SHOWN
    return Effect(tuple(starts[:MAX_SHOWN]), tuple(stops[:MAX_SHOWN]), complete)


def is_accepted(session: Session, key: str) -> bool:
    """Does somebody answer for exactly this address, and may he have mail?"""
    folded, name = addresses.split_key(key)
    domain = addresses.domain_named(session, name)
    if domain is None or not _in_force(session, domain):
        return False
    if domain.alias_of is not None:
        return is_accepted(session, f"{folded}@{domain.alias_of.name}")
    holder = addresses.holder_of(session, domain, folded)
    pattern = addresses.pattern_of(session, domain, folded) if holder is None and domain.kind == "hosted" else None
    if isinstance(holder, Mailbox):
        return not holder.receiving_held
    if pattern is not None and addresses.next_of(session, key) == [addresses.key_of(pattern.mailbox.address)]:
        return not pattern.mailbox.receiving_held
    return addresses.next_of(session, key) is not None


def _of_domain(session: Session, name: str) -> Iterator[str]:
    """The addresses of a whole domain, one more than are examined at most."""
    domain = addresses.domain_named(session, name)
    if domain is None or not _in_force(session, domain):
        return
    real = domain.alias_of or domain
    if not _in_force(session, real):
        return
    wanted = (
        select(Mailbox.folded).where(Mailbox.domain_id == real.id, Mailbox.receiving_held == 0),
        select(Alias.folded).where(Alias.domain_id == real.id, Alias.enabled),
        select(Pattern.folded + "*")
        .join(Mailbox, Mailbox.id == Pattern.mailbox_id)
        .where(Pattern.domain_id == real.id, Mailbox.receiving_held == 0),
        select(RelayRecipient.folded).where(RelayRecipient.domain_id == real.id),
    )
    left = MAX_EXAMINED + 1
    for statement in wanted:
        for folded in session.scalars(statement.limit(left)):
            left -= 1
            yield f"{folded}@{name}"
        if left <= 0:
            return
    if real.catch_all is not None or (real.kind == "relay" and real.source != "list"):
        yield f"*@{name}"


def _other_names(session: Session, names: Iterable[str]) -> list[str]:
    """Alias domains that stand for one of *names*."""
    real = select(Domain.id).where(Domain.name.in_(list(names)))
    return list(session.scalars(select(Domain.name).where(Domain.alias_of_id.in_(real))))


def _in_force(session: Session, domain: Domain) -> bool:
    return (
        domain.proved_at is not None
        and not domain.receiving_held
        and authorisation.may_receive(session, domain.tenant_id)
    )
