"""Addresses and domains as people type them, and who answers for one.

A reader would otherwise get wrong: "does this address exist" is asked in the order of the directory - itself, without its
tag, by the longest pattern that it fits, the host's postmaster for postmaster@ and abuse@, the catch-all - and an alias domain
is looked up under the name it stands for. What is saved here must mean the same at the SMTP port.
"""

import re
import unicodedata
from collections.abc import Sequence

import idna
from sqlalchemy import Integer, bindparam, func, literal_column, select, union_all

from appliance.database.session import Session
from appliance.errors import Conflict, Invalid, Taken
from appliance.models import (
    Alias,
    AliasTarget,
    Domain,
    ForwardingTarget,
    Instance,
    Mailbox,
    Pattern,
    RelayRecipient,
    Tenant,
)
from appliance.models.base import now
from appliance.services import changes
from mta.vocabulary import (
    MAX_LOCAL_PART,
    MAX_PATH,
    Address,
    fold_local_part,
    is_domain,
    pattern_prefixes,
    untagged,
)

__all__ = [
    "MAX_TARGETS",
    "ROLE_ADDRESSES",
    "Address",
    "Alias",
    "Domain",
    "Mailbox",
    "domain_named",
    "fold_local_part",
    "forwards_outside",
    "has_patterns",
    "holder_of",
    "host_name",
    "is_inside",
    "key_of",
    "mailbox_at",
    "next_of",
    "parse_address",
    "parse_domain",
    "parse_targets",
    "pattern_of",
    "refuse_revived_rings",
    "require_free",
    "require_hosted",
    "require_no_ring",
    "require_targets",
    "ring_from",
    "show",
    "split_key",
    "take_over_targets",
    "taken_by",
]


# Asked with each new address. Made once: to put a statement together takes as long as the database with its answer.
_NAMED = select(Domain).where(Domain.name == bindparam("name"))
_KINDS: dict[int, type[Mailbox | Alias]] = {1: Mailbox, 2: Alias}
_HOLDER = union_all(
    *(
        select(literal_column(str(number), Integer).label("kind")).where(
            kind.__table__.c.domain_id == bindparam("domain_id"), kind.__table__.c.folded == bindparam("folded")
        )
        for number, kind in _KINDS.items()
    )
)

ROLE_ADDRESSES = frozenset({"postmaster", "abuse"})  # RFC 5321 4.5.1, RFC 2142: they reach someone in every domain
MAX_TARGETS = 1000
WITH_PATTERNS = "domains with patterns"  # in a session's `info`: by id, whether there are any

_ATEXT = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+\Z")  # RFC 5322 3.2.3; RFC 6531 adds all that is not ASCII
_QUOTED_PAIR = re.compile(r"\\(.)")


def parse_domain(text: str, field: str = "domain") -> str:
    """The lower-case A-label form of a domain name in either form.

    Raises:
        Invalid: it is not one; `field` is *field*.
    """
    name = text.strip().removesuffix(".")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode()
        except (idna.IDNAError, UnicodeError) as error:
            raise Invalid(f"{_shown(text)} is not a domain name: {error}", code="bad_domain", field=field) from error
    name = name.lower()
    if not is_domain(name) or name.rpartition(".")[2].isdigit() or not _has_good_labels(name):
        raise Invalid(f"{_shown(text)} is not a domain name such as example.net", code="bad_domain", field=field)
    return name


def _has_good_labels(name: str) -> bool:
    try:
        return all(idna.decode(label) is not None for label in name.split(".") if label.startswith("xn--"))
    except (idna.IDNAError, UnicodeError):
        return False


def parse_address(text: str, field: str = "address") -> Address:
    """A mailbox address; the local-part unquoted and otherwise as given, the domain as A-label.

    Raises:
        Invalid: it is not one, or too long (RFC 5321 4.5.3.1); `field` is *field*.
    """
    local_part, at, domain = text.strip().rpartition("@")
    if not at:
        raise Invalid(f"{_shown(text)} is not an address: there is no @ in it", code="bad_address", field=field)
    address = Address(_unquoted(local_part, text, field), parse_domain(domain, field))
    folded = fold_local_part(address.local_part)
    if max(len(address.local_part.encode()), len(folded.encode())) > MAX_LOCAL_PART or len(address.key) > MAX_PATH:
        raise Invalid(f"{_shown(text)} is too long for an address", code="bad_address", field=field)
    return address


def _unquoted(local_part: str, text: str, field: str) -> str:
    if len(local_part) > 2 and local_part[0] == local_part[-1] == '"':  # RFC 5321 4.1.2, Quoted-string
        inner = local_part[1:-1]
        if re.search(r'(?<!\\)(\\\\)*"', inner) or re.search(r"(?<!\\)(\\\\)*\\\Z", inner):
            raise Invalid(f"{_shown(text)}: its quotes do not match", code="bad_address", field=field)
        plain = _QUOTED_PAIR.sub(r"\1", inner)
        good = all(character == " " or _is_plain(character) for character in plain)
    else:
        plain = local_part
        good = all(_is_atom(atom) for atom in plain.split("."))
    if not good:
        raise Invalid(
            f"{_shown(text)} is not an address: something before the @ is not allowed there",
            code="bad_address",
            field=field,
        )
    return plain


def _is_atom(text: str) -> bool:
    if text.isascii():
        return _ATEXT.match(text) is not None
    return all(_is_plain(c) if not c.isascii() else _ATEXT.match(c) for c in text)


def _is_plain(character: str) -> bool:
    # No controls, no invisible or unassigned characters, no spaces that look like nothing: two addresses that look the same
    # would be a trap for their owners.
    return unicodedata.category(character)[0] not in "CZ"


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:77] + "...")


def show(address: Address) -> str:
    """The address as it may be typed again: the local-part in quotes where it needs them."""
    if all(_is_atom(atom) for atom in address.local_part.split(".")):
        return str(address)
    escaped = address.local_part.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"@{address.domain}'


def key_of(address: Address) -> str:
    """What look-ups compare, as text."""
    return address.key.decode()


def split_key(key: str) -> tuple[str, str]:
    """Folded local-part and domain of a key."""
    folded, _, domain = key.rpartition("@")
    return folded, domain


def domain_named(session: Session, name: str) -> Domain | None:
    """The domain called *name* (A-label)."""
    return session.scalar(_NAMED, {"name": name})


def holder_of(session: Session, domain: Domain, folded: str) -> Mailbox | Alias | None:
    """The mailbox or alias that holds exactly this address."""
    mailbox = session.scalar(select(Mailbox).where(Mailbox.domain_id == domain.id, Mailbox.folded == folded))
    if mailbox is not None:
        return mailbox
    return session.scalar(select(Alias).where(Alias.domain_id == domain.id, Alias.folded == folded))


def mailbox_at(session: Session, key: str) -> Mailbox | None:
    """The mailbox that has exactly this address."""
    folded, name = split_key(key)
    domain = domain_named(session, name)
    holder = holder_of(session, domain, folded) if domain is not None else None
    return holder if isinstance(holder, Mailbox) else None


def require_free(session: Session, domain: Domain, address: Address) -> str:
    """The folded local-part, when nothing holds the address yet and something may.

    Raises:
        Conflict: its domain is only another name of one.
        Taken: a mailbox or alias holds it.
    """
    require_hosted(domain)
    folded = fold_local_part(address.local_part)
    session.flush()
    kind = session.scalar(_HOLDER, {"domain_id": domain.id, "folded": folded})
    if kind is not None:
        raise taken_by(_KINDS[kind], address)
    return folded


def require_hosted(domain: Domain) -> None:
    """Go on when addresses may be made in *domain*.

    Raises:
        Conflict: it is only another name of one, or its mail is relayed.
    """
    if domain.kind == "relay":
        raise Conflict(
            f"mail for {domain.name} is relayed: its addresses are made there", code="domain_is_relay", field="address"
        )
    if domain.kind != "hosted":
        real = domain.alias_of.name if domain.alias_of else "another domain"
        raise Conflict(
            f"{domain.name} is another name of {real}: make the address there", code="domain_is_alias", field="address"
        )


def taken_by(kind: type[Mailbox | Alias], address: Address) -> Taken:
    """What to refuse *address* with where one of *kind* has it. Who may make it may see who has it."""
    noun, path = ("a mailbox", "mailboxes") if kind is Mailbox else ("an alias", "aliases")
    shown = show(address)
    return Taken(f"{shown} is already {noun}", code="address_taken", field="address", holder=f"{path}/{shown}")


def host_name(session: Session) -> str:
    """The domain whose postmaster answers for those that have none."""
    return session.scalar(select(Instance.host_name).order_by(Instance.id).limit(1)) or ""


def next_of(session: Session, key: str) -> list[str] | None:
    """Where mail for the address *key* goes on to: other keys, or itself alone when a mailbox keeps it; None: unknown."""
    folded, name = split_key(key)
    domain = domain_named(session, name)
    if domain is None:
        return None
    if domain.alias_of is not None:
        return [f"{folded}@{domain.alias_of.name}"]
    if domain.kind == "relay":
        return _relayed(session, domain, folded)
    holder = holder_of(session, domain, folded)
    if isinstance(holder, Alias):
        return list(holder.targets) if holder.enabled else None
    if isinstance(holder, Mailbox):
        forwarding = holder.forwarding
        return list(forwarding.targets) if forwarding is not None and forwarding.enabled else []
    return _without_holder(session, domain, folded)


def _relayed(session: Session, domain: Domain, folded: str) -> list[str] | None:
    """It ends here, as far as rings are concerned. Only an uploaded list can say that nobody answers."""
    if domain.source != "list":
        return []
    listed = select(RelayRecipient.id).where(RelayRecipient.domain_id == domain.id, RelayRecipient.folded == folded)
    return [] if session.scalar(listed) is not None else None


def _without_holder(session: Session, domain: Domain, folded: str) -> list[str] | None:
    for base in untagged(folded.encode(), domain.tag_separator.encode()):
        name = base.decode()
        if holder_of(session, domain, name) or name in ROLE_ADDRESSES:
            return [f"{name}@{domain.name}"]
    pattern = pattern_of(session, domain, folded)
    if pattern is not None:
        return [f"{pattern.mailbox.folded}@{domain.name}"]
    host = host_name(session)
    if folded in ROLE_ADDRESSES and (folded, domain.name) != ("postmaster", host):
        return [f"postmaster@{host}"]
    return [domain.catch_all] if domain.catch_all else None


def pattern_of(session: Session, domain: Domain, folded: str) -> Pattern | None:
    """The pattern by which an address that nobody holds is somebody's: the longest that it fits."""
    prefixes = [prefix.decode() for prefix in pattern_prefixes(folded.encode())]
    fitting = select(Pattern).where(Pattern.domain_id == domain.id, Pattern.folded.in_(prefixes))
    return session.scalar(fitting.order_by(func.length(Pattern.folded).desc()).limit(1)) if prefixes else None


def has_patterns(session: Session, domain: Domain) -> bool:
    """Has anybody in *domain* a pattern? Asked once in a transaction: most have none, and thousands of mailboxes may be made."""
    known: dict[int, bool] = session.info.setdefault(WITH_PATTERNS, {})
    if domain.id not in known:
        some = select(Pattern.id).where(Pattern.domain_id == domain.id).limit(1)
        known[domain.id] = session.scalar(some) is not None
    return known[domain.id]


def ring_from(session: Session, start: str) -> list[str] | None:
    """A ring of addresses that mail for *start* would run into, first and last the same; None when there is none."""
    finished: set[str] = set()
    path: list[str] = [start]
    places = {start: 0}
    waiting = [iter(next_of(session, start) or ())]
    while waiting:
        key = next(waiting[-1], None)
        if key is None:
            waiting.pop()
            done = path.pop()
            del places[done]
            finished.add(done)
        elif key in places:
            return [*path[places[key] :], key]
        elif key not in finished:
            places[key] = len(path)
            path.append(key)
            waiting.append(iter(next_of(session, key) or ()))
    return None


def require_no_ring(session: Session, start: str) -> None:
    """Go on when mail for *start* comes to an end. Ask after the change was flushed, so that the question is about it.

    Raises:
        Conflict: it would run in a ring, which the sentence names.
    """
    session.flush()
    ring = ring_from(session, start)
    if ring:
        raise Conflict("mail would run in a ring: " + " → ".join(ring), code="forward_loop", field="targets")


def parse_targets(session: Session, targets: Sequence[str], field: str = "targets") -> list[str]:
    """The keys of *targets*, each once, in their order; of those at other hosts, the address as it is written there.

    Raises:
        Invalid: none, too many, or one is not an address.
    """
    parsed = (parse_address(target, field) for target in targets)
    keys = list(dict.fromkeys(_as_target(session, address) for address in parsed))
    if not keys:
        raise Invalid("name at least one target", code="no_targets", field=field)
    if len(keys) > MAX_TARGETS:
        raise Invalid(f"at most {MAX_TARGETS} targets", code="too_many_targets", field=field)
    return keys


def _as_target(session: Session, address: Address) -> str:
    # Which capitals count is for the other host to say (RFC 5321 2.4); and what we send there is quoted where it must be.
    return key_of(address) if domain_named(session, address.domain) is not None else show(address)


def require_targets(
    session: Session, keys: Sequence[str], field: str = "targets", *, owner: Domain | None = None
) -> None:
    """Go on when each target is an address of ours that exists, or is at another host and the tenant of *owner* may that.

    Without an *owner* none may be at another host. Ask after the change was flushed.

    Raises:
        Invalid: nobody answers for one, or it may not be at another host.
    """
    session.flush()
    for key in keys:
        if _is_ours(session, split_key(key)[1], owner):
            if not _exists(session, key):
                raise Invalid(f"nobody here answers for {key}", code="target_unknown", field=field)
            if owner is not None and not is_inside(session, owner, split_key(key)[1]):
                raise _stays_inside(owner, key, field)
        elif owner is None:
            raise Invalid(f"{key} is not an address of this host", code="target_not_hosted", field=field)
        elif owner.local_only:
            raise _stays_inside(owner, key, field)
        elif not forwards_outside(session, owner.tenant_id):
            raise Invalid(
                f"{key} is at another host, and mail for {owner.name} may not be forwarded to others",
                code="target_outside",
                field=field,
            )


def _stays_inside(owner: Domain, key: str, field: str) -> Invalid:
    return Invalid(
        f"mail for {owner.name} stays inside ({owner.local_only}), and {key} is not", code="target_outside", field=field
    )


def is_inside(session: Session, owner: Domain, name: str) -> bool:
    """May mail of *owner* go to the domain called *name*, as far as it stays inside?"""
    if not owner.local_only:
        return True
    domain = domain_named(session, name)
    real = domain.alias_of or domain if domain is not None else None
    if real is None or real.kind == "relay":
        return False
    return {"tenant": real.tenant_id == owner.tenant_id, "domain": real.id == owner.id}.get(owner.local_only, True)


def _is_ours(session: Session, name: str, owner: Domain | None) -> bool:
    """Is it a domain that mail of *owner* stays in? One that is not proved is, for nobody but its own tenant."""
    domain = domain_named(session, name)
    if domain is None or domain.proved_at is not None:
        return domain is not None
    return owner is not None and domain.tenant_id == owner.tenant_id


def forwards_outside(session: Session, tenant_id: int) -> bool:
    """May the tenant's mail be forwarded to other hosts? Whoever is above him may have taken the right away."""
    current: int | None = tenant_id
    while current is not None:
        tenant = session.get_one(Tenant, current)
        if not tenant.forwards_outside:
            return False
        current = tenant.parent_id
    return True


def _exists(session: Session, key: str) -> bool:
    folded, name = split_key(key)
    domain = domain_named(session, name)
    if domain is not None and domain.alias_of is not None:
        return _exists(session, f"{folded}@{domain.alias_of.name}")
    return next_of(session, key) is not None


def take_over_targets(session: Session, name: str) -> None:
    """What was an address at another host is one of ours now, and compared as those are."""
    ending = f"@{name}"
    rows: list[AliasTarget | ForwardingTarget] = []
    for model in (AliasTarget, ForwardingTarget):
        rows += session.scalars(select(model).where(model.address.endswith(ending, autoescape=True)))
    for row in rows:
        key = key_of(parse_address(row.address))
        holder: Alias | Mailbox | None
        if isinstance(row, AliasTarget):  # noqa: SIM108 - in one line it is too long to be read
            holder = session.get(Alias, row.alias_id)
        else:
            holder = session.get(Mailbox, row.forwarding_id)
        if (key != row.address or row.confirmed_at is None) and holder is not None:
            row.address, row.confirmed_at = key, row.confirmed_at or now()  # Nobody elsewhere is to be asked any more.
            changes.announce(session, changes.ADDRESS, key_of(holder.address))


def refuse_revived_rings(session: Session, name: str) -> None:
    """A name that was served before may still be somebody's target; with it, a ring may close.

    Raises:
        Conflict: it does.
    """
    ending = f"@{name}"
    for target in (AliasTarget.address, ForwardingTarget.address):
        wanted = select(target).where(target.endswith(ending, autoescape=True)).distinct().limit(1000)
        for key in session.scalars(wanted):
            require_no_ring(session, key)
