"""Who holds an address: what mailboxes and aliases have in common.

A reader would otherwise get wrong: one local-part of a domain has one holder, of either kind; asked for the other kind, there
is none.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from appliance.database.session import Session
from appliance.models import Alias, AliasTarget, Domain, Forwarding, ForwardingTarget, Mailbox
from appliance.services import addresses, audit, authorisation, changes, searching
from appliance.services.actor import Actor
from appliance.services.paging import Orders, Page, check_limit, decode_cursor, page_behind, page_of
from mta.vocabulary import Address, pattern_prefixes

Holder = TypeVar("Holder", Mailbox, Alias)
Target = InstrumentedAttribute[str]


def domain_for(session: Session, actor: Actor, action: str, parsed: Address) -> Domain:
    """The domain of an address, when the actor may do *action* in it.

    Raises:
        NotFound, Forbidden: as `authorisation.require`.
    """
    domain = addresses.domain_named(session, parsed.domain)
    return authorisation.require(session, actor, action, domain, f"domain {parsed.domain}")


def find(session: Session, actor: Actor, action: str, kind: type[Holder], address: str) -> Holder:
    """The *kind* that holds exactly *address*, when the actor may do *action* to it.

    Raises:
        Invalid: a malformed address.
        NotFound, Forbidden: as `authorisation.require`.
    """
    parsed = addresses.parse_address(address)
    domain = addresses.domain_named(session, parsed.domain)
    folded = addresses.split_key(addresses.key_of(parsed))[0]
    holder = addresses.holder_of(session, domain, folded) if domain is not None else None
    found = holder if isinstance(holder, kind) else None
    return authorisation.require(session, actor, action, found, f"{kind.__name__.lower()} {addresses.show(parsed)}")


def list_kind(
    session: Session,
    kind: type[Holder],
    *,
    actor: Actor,
    domain: str | None,
    search: str,
    sort: str | None,
    limit: int,
    cursor: str | None,
) -> Page[Holder]:
    """The *kind* in the actor's part, a domain after another; of one *domain*, or with *search* in the local-part.

    *sort*, of one domain: name, created; of mailboxes also used.

    Raises:
        Invalid: a bad limit or cursor.
        NotFound: there is no such domain, or it is not the actor's.
    """
    wanted, domain_id = authorisation.restrict(select(kind), actor, kind), None
    if domain is not None:
        domain_id = _seen(session, actor, domain).id
        wanted = wanted.where(kind.domain_id == domain_id)
    text = searching.text_of(search)
    if sort is None or domain_id is None:
        return _page_by_name(session, kind, wanted, text, domain_id, limit, cursor)
    orders = _ORDERS[kind]
    offered = orders.offered(session, wanted)
    word = orders.chosen(sort, offered)
    if word == orders.default:
        page = _page_by_name(session, kind, wanted, text, domain_id, limit, cursor)
    else:
        page = page_behind(session, _holding(session, kind, wanted, text, domain_id), orders, word, limit, cursor)
    return replace(page, sort=word, sorts=offered)


def _seen(session: Session, actor: Actor, name: str) -> Domain:
    """The domain *name*, which the actor may see."""
    label = addresses.parse_domain(name)
    found = addresses.domain_named(session, label)
    return authorisation.require(session, actor, "domain.see", found, f"domain {label}")


def _holding(session: Session, kind: type[Holder], wanted: Select[Holder], text: str, domain_id: int) -> Select[Holder]:
    """Those of *wanted*, all of one domain, that hold *text*, for any order."""
    few = searching.few(session, kind, wanted, text, domain_id=domain_id) if text else None
    if few is not None:
        return wanted.where(kind.id.in_([found.id for found in few]))
    return wanted.where(searching.holds_in_walking(kind, text)) if text else wanted


def _page_by_name(
    session: Session,
    kind: type[Holder],
    wanted: Select[Holder],
    text: str,
    domain_id: int | None,
    limit: int,
    cursor: str | None,
) -> Page[Holder]:
    place = decode_cursor(cursor, int, str) if cursor else None
    if text:
        few = searching.few(session, kind, wanted, text, domain_id=domain_id)
        if few is not None:
            return _page_of_few(session, kind, few, check_limit(limit), place)
        wanted = wanted.where(searching.holds_in_walking(kind, text))
    if place:
        wanted = wanted.where(tuple_(kind.domain_id, kind.folded) > tuple_(*place))
    ordered = wanted.order_by(kind.domain_id, kind.folded).limit(check_limit(limit) + 1)
    return page_of(session.scalars(ordered).unique().all(), limit, *_BY_NAME)


def names_of(
    session: Session, kind: type[Holder], *, actor: Actor, domain: str | None, search: str, most: int
) -> Iterator[str]:
    """The addresses of what `list_kind` lists, in its order, at most *most* of them: without a row for each.

    Raises:
        NotFound: as `list_kind`.
    """
    wanted = authorisation.restrict(select(kind), actor, kind).join(Domain, Domain.id == kind.domain_id)
    if domain is not None:
        wanted = wanted.where(kind.domain_id == _seen(session, actor, domain).id)
    text = searching.text_of(search)
    if text:
        wanted = wanted.where(searching.holds_in_walking(kind, text))
    named = wanted.with_only_columns(kind.folded, Domain.name).order_by(kind.domain_id, kind.folded).limit(most)
    for folded, name in session.execute(named.execution_options(yield_per=_AT_ONCE)):
        yield addresses.show(Address(folded, name))


_BY_NAME = ("domain_id", "folded")
_ORDERS: Mapping[type[Mailbox | Alias], Orders] = {
    Mailbox: Orders(
        Mailbox.id, "name", {"name": Mailbox.folded}, {"-created": Mailbox.created_at, "-used": Mailbox.used_bytes}
    ),
    Alias: Orders(Alias.id, "name", {"name": Alias.folded}, {"-created": Alias.created_at}),
}
_AT_ONCE = 1000


def _page_of_few(
    session: Session, kind: type[Holder], few: list[searching.Found], limit: int, place: list[str | int] | None
) -> Page[Holder]:
    behind = few if place is None else [found for found in few if found[:2] > tuple(place)]
    ids = [found.id for found in behind[: limit + 1]]
    rows = {row.id: row for row in session.scalars(select(kind).where(kind.id.in_(ids))).unique()}
    return page_of([rows[number] for number in ids if number in rows], limit, *_BY_NAME)


def senders_to(
    session: Session, is_wanted: Callable[[Target], ColumnElement[bool]], *, outside: Domain | None = None
) -> list[Mailbox | Alias]:
    """Whose targets, of an alias or a forwarding, *is_wanted*: at most a hundred of each kind; *outside* a domain."""
    by_alias = select(Alias).join(AliasTarget, AliasTarget.alias_id == Alias.id).where(is_wanted(AliasTarget.address))
    by_mailbox = (
        select(Mailbox).join(Forwarding, Forwarding.mailbox_id == Mailbox.id)
        .join(ForwardingTarget, ForwardingTarget.forwarding_id == Forwarding.mailbox_id)
        .where(is_wanted(ForwardingTarget.address))
    )  # fmt: skip
    if outside is not None:
        by_alias = by_alias.where(Alias.domain_id != outside.id)
        by_mailbox = by_mailbox.where(Mailbox.domain_id != outside.id)
    return [*session.scalars(by_alias.limit(100)).unique(), *session.scalars(by_mailbox.limit(100)).unique()]


def tell(
    session: Session,
    actor: Actor,
    action: str,
    holder: Mailbox | Alias,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write the deed down, and announce what changed to whoever publishes it."""
    key = addresses.key_of(holder.address)
    audit.record(
        session, actor, action, key,
        tenant_id=holder.domain.tenant_id, domain_id=holder.domain_id, before=before, after=after,
    )  # fmt: skip
    changes.announce(session, changes.ADDRESS, key)
    if isinstance(holder, Alias) or _looks_like_anothers(session, holder):
        changes.announce(session, changes.SENDERS, key)  # Whom it leads to may write as it, or nobody else may.


def _looks_like_anothers(session: Session, mailbox: Mailbox) -> bool:
    """Might its name be another mailbox's by a tag or a pattern, if it were not one of its own?"""
    folded, domain = mailbox.folded, mailbox.domain
    if "+" in folded or (domain.tag_separator == "-" and "-" in folded):
        return True
    is_cut = bool(pattern_prefixes(folded.encode()))
    return (
        is_cut and addresses.has_patterns(session, domain) and addresses.pattern_of(session, domain, folded) is not None
    )
