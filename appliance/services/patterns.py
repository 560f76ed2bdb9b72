"""Patterns: addresses of one beginning that are a mailbox's, as far as nobody holds them by their whole name.

A reader would otherwise get wrong: a pattern is no expression. It is a beginning that ends in one of a few signs, and a star; so
the directory finds it with a few look-ups, however many there are. Each counts as an alias does in what a domain or a tenant may
have. An owner gives himself only what begins with his own name: `sales-*` is for those to give who make addresses there.
"""

from collections.abc import Sequence

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden, Invalid, LimitReached, Taken
from appliance.models import Domain, Mailbox, Pattern
from appliance.services import addresses, audit, authorisation, changes, holders, limits
from appliance.services.actor import Actor
from mta.vocabulary import CUTTING, MAX_CUTS, fold_local_part, pattern_prefixes

__all__ = [
    "MAX_PATTERNS",
    "Pattern",
    "add",
    "announce",
    "folded",
    "forget",
    "get",
    "of_domain",
    "put",
    "remove",
    "texts",
]

MAX_PATTERNS = 20  # of one mailbox
SIGNS = CUTTING.decode()


def get(session: Session, address: str, *, actor: Actor) -> list[Pattern]:
    """The mailbox's patterns, in their order.

    Raises:
        Invalid: a malformed address.
        NotFound: there is no such mailbox in the actor's part.
    """
    return _of(session, holders.find(session, actor, "pattern.see", Mailbox, address))


def put(session: Session, address: str, wanted: Sequence[str], *, actor: Actor) -> list[Pattern]:
    """Make the mailbox's patterns these, such as `anna-*@example.com`, and no others.

    Raises:
        Invalid: one is no pattern.
        Taken: one is another mailbox's.
        LimitReached: there are too many of them.
        Conflict: one is not of the mailbox's domain; mail would run in a ring.
        NotFound, Forbidden: the mailbox is not the actor's, or one begins with another's name.
    """
    mailbox = holders.find(session, actor, "pattern.set", Mailbox, address)
    before = _of(session, mailbox)
    asked = dict(_parsed(text, mailbox.domain) for text in wanted)
    gone = [row for row in before if row.folded not in asked]
    new = {folded: prefix for folded, prefix in asked.items() if folded not in {row.folded for row in before}}
    if len(asked) > MAX_PATTERNS:
        raise LimitReached(f"a mailbox has at most {MAX_PATTERNS} patterns", code="limit_patterns")
    for row in gone:
        session.delete(row)
    session.flush()  # First what goes, for the room it leaves.
    for folded, prefix in new.items():
        _require_may(session, actor, mailbox, folded)
        _require_free(session, actor, mailbox, folded)
        limits.require_room(session, mailbox.domain.tenant_id, "aliases", domain=mailbox.domain)
        session.add(Pattern(mailbox=mailbox, domain_id=mailbox.domain_id, prefix=prefix, folded=folded))
        session.flush()
    after = _of(session, mailbox)
    if gone or new:
        session.info.pop(addresses.WITH_PATTERNS, None)
        addresses.require_no_ring(session, addresses.key_of(mailbox.address))
        mailbox.version += 1
        for folded in (*(row.folded for row in gone), *new):
            _announce(session, mailbox.domain, folded)
        texts = [row.text for row in before], [row.text for row in after]
        audit.record(
            session, actor, "patterns.set", addresses.key_of(mailbox.address), tenant_id=mailbox.domain.tenant_id,
            domain_id=mailbox.domain_id, before={"patterns": texts[0]}, after={"patterns": texts[1]},
        )  # fmt: skip
    return after


def add(session: Session, address: str, patterns: Sequence[str], *, actor: Actor) -> list[Pattern]:
    """These too. As `put`."""
    present = [row.text for row in get(session, address, actor=actor)]
    return put(session, address, [*present, *patterns], actor=actor)


def remove(session: Session, address: str, patterns: Sequence[str], *, actor: Actor) -> list[Pattern]:
    """These no more; those that it does not have are no mistake. As `put`."""
    mailbox = holders.find(session, actor, "pattern.set", Mailbox, address)
    named = {_parsed(text, mailbox.domain)[0] for text in patterns}
    return put(session, address, [row.text for row in _of(session, mailbox) if row.folded not in named], actor=actor)


def forget(session: Session, mailbox: Mailbox) -> None:
    """The mailbox is about to be removed, and its patterns go with it."""
    for row in _of(session, mailbox):
        session.delete(row)
        _announce(session, mailbox.domain, row.folded)
    session.flush()


def announce(session: Session, mailbox: Mailbox) -> None:
    """The mailbox is back, and its patterns with it."""
    session.info.pop(addresses.WITH_PATTERNS, None)
    for row in _of(session, mailbox):
        _announce(session, mailbox.domain, row.folded)


def of_domain(session: Session, domain: Domain) -> dict[int, list[str]]:
    """The patterns of each mailbox of *domain* that has some, by its id, as they are typed."""
    found: dict[int, list[str]] = {}
    for row in session.scalars(select(Pattern).where(Pattern.domain_id == domain.id).order_by(Pattern.folded)):
        found.setdefault(row.mailbox_id, []).append(row.text)
    return found


def texts(session: Session, mailbox: Mailbox) -> list[str]:
    """The mailbox's patterns as they are typed, for whoever may see it."""
    return [row.text for row in _of(session, mailbox)]


def folded(patterns: Sequence[str]) -> set[str]:
    """*patterns* as they are compared; what is none stays as it is."""
    return {
        fold_local_part(start) + star + rest.lower() for start, star, rest in (each.partition("*") for each in patterns)
    }


def _of(session: Session, mailbox: Mailbox) -> list[Pattern]:
    wanted = select(Pattern).where(Pattern.mailbox_id == mailbox.id).order_by(Pattern.folded)
    return list(session.scalars(wanted))


def _parsed(text: str, domain: Domain) -> tuple[str, str]:
    """What stands before the star of a pattern of *domain*: as compared, and as given.

    Raises:
        Invalid, Conflict: it is none, or of another domain.
    """
    start, star, rest = text.strip().partition("*")
    if not star or not rest.startswith("@"):
        raise Invalid(f"{text[:80]!r} is not a pattern such as name-*@{domain.name}: one star, before the @", **_FAULT)
    name = addresses.parse_domain(rest[1:], "patterns")
    if name != domain.name:
        raise Conflict(f"{text[:80]!r} is not in the mailbox's own domain, {domain.name}", **_FAULT)
    # What fits it has at least one character more, and has to be an address: then so has the beginning.
    example = addresses.parse_address(f"{start}x@{name}", "patterns").local_part
    prefix = example[:-1]
    folded = fold_local_part(prefix)
    if not folded or folded[-1] not in SIGNS or not folded.strip(SIGNS):
        raise Invalid(f"before the star stand a name and one of {' '.join(SIGNS)}", **_FAULT)
    if folded not in {each.decode() for each in pattern_prefixes(f"{folded}x".encode())}:
        raise Invalid(f"at most {MAX_CUTS} of the signs {' '.join(SIGNS)} stand before a star", **_FAULT)
    return folded, prefix


_FAULT = {"code": "bad_pattern", "field": "patterns"}


def _require_may(session: Session, actor: Actor, mailbox: Mailbox, folded: str) -> None:
    if authorisation.allows(session, actor, "alias.create", mailbox.domain):
        return
    names = [prefix[:-1].decode() for prefix in pattern_prefixes(f"{folded}x".encode())]
    # The longest name before a sign that somebody holds is whose beginning it is.
    holders_of = (addresses.holder_of(session, mailbox.domain, name) for name in names)
    if next(filter(None, holders_of), None) is not mailbox:
        raise Forbidden("a pattern of yours begins with your own name", code="not_your_name")


def _require_free(session: Session, actor: Actor, mailbox: Mailbox, folded: str) -> None:
    taken = select(Pattern).where(Pattern.domain_id == mailbox.domain_id, Pattern.folded == folded)
    row = session.scalar(taken)
    if row is not None:
        is_seen = authorisation.allows(session, actor, "mailbox.see", row.mailbox)
        holder = f"mailboxes/{addresses.show(row.mailbox.address)}" if is_seen else ""
        raise Taken(f"{row.text} is taken", code="pattern_taken", field="patterns", holder=holder)


def _announce(session: Session, domain: Domain, folded: str) -> None:
    suffix = f"@{domain.name}"
    changes.announce(session, changes.PATTERN, folded + suffix)
    # Mailboxes that fit it by their whole name: of those it is written down that they are nobody else's to write as.
    fitting = Mailbox.domain_id == domain.id, func.substr(Mailbox.folded, 1, len(folded)) == folded
    changes.announce_each(session, changes.SENDERS, select(Mailbox.folded + suffix).where(*fitting))
