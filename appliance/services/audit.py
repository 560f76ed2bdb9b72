"""Who did what. Written in the transaction of the deed, so there is no deed without its entry nor entry without its deed.

A reader would otherwise get wrong: an entry is tied to the one before it, which only a writing transaction can know. Writers
take turns (`appliance.database.engine`), so the chain never forks.
"""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Select, event, select, true
from sqlalchemy.orm import SessionTransaction

from appliance import audit_chain
from appliance.audit_chain import Anchor
from appliance.database.session import Session
from appliance.errors import Invalid
from appliance.models import AuditEntry
from appliance.models.base import now
from appliance.services import authorisation
from appliance.services.actor import Actor
from appliance.services.paging import Orders, Page, check_limit, decode_cursor, page_in_order

__all__ = ["AuditEntry", "Search", "Verdict", "difference", "export", "list_entries", "record", "verify"]

MAX_EXPORT = 1_000_000  # entries in one answer; more come by giving `until`
_COLUMNS = tuple(column.key for column in AuditEntry.__table__.columns)
_ORDERS = Orders(AuditEntry.id, "-at", {"-at": AuditEntry.id})
_NEWEST = select(AuditEntry.digest).order_by(AuditEntry.id.desc()).limit(1)
_END = "audit-end"  # in a session: the digest of its newest entry
_PIECE = 2000
T = TypeVar("T")
_ACTION = re.compile(r"[a-z_]{1,50}\.[a-z_]{0,50}\Z")


@dataclass(frozen=True, slots=True)
class Search:
    """Which entries; what is None does not matter. Times: seconds since 1970, from *since* to before *until*.

    Raises:
        Invalid: an action that has not the form of one.
    """

    subject: str | None = None  # exactly this thing
    actor: str | None = None
    action: str | None = None  # such as `mailbox.created`, or `mailbox.` for all about mailboxes
    since: int | None = None
    until: int | None = None

    def __post_init__(self) -> None:
        if self.action is not None and not _ACTION.match(self.action):
            raise Invalid(
                "an action is a noun and a participle, such as mailbox.created; or mailbox. for all", field="action"
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the chain: how many entries hold, and what is wrong (empty: nothing)."""

    entries: int
    wrong: str = ""


def record(
    session: Session,
    actor: Actor,
    action: str,
    subject: str,
    *,
    tenant_id: int,
    domain_id: int | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down a deed. *before* and *after* hold what changed and never a secret."""
    entry = {
        "at": now(),
        "actor_kind": actor.kind,
        "actor": f"{actor.support_by} as {actor.name}" if actor.support_by else actor.name,
        "source": actor.source,
        "action": action,
        "subject": subject,
        "tenant_id": tenant_id,
        "domain_id": domain_id,
        "before": before,
        "after": after,
    }
    session.info[_END] = digest = audit_chain.link(_end_of(session), entry)
    session.note(AuditEntry, **entry, digest=digest)


def _end_of(session: Session) -> str:
    """The digest that the next entry is tied to."""
    known: str | None = session.info.get(_END)
    if known is None:
        with session.no_autoflush:  # What is not written yet holds no entry, or `known` would be there.
            known = session.scalar(_NEWEST)
    return known or audit_chain.BEGINNING


@event.listens_for(Session, "after_soft_rollback")
@event.listens_for(Session, "after_commit")
def _forget_end(session: Session, _transaction: SessionTransaction | None = None) -> None:
    # A savepoint that is taken back takes its entries along; and behind a commit others may write.
    session.info.pop(_END, None)


def list_entries(
    session: Session,
    *,
    actor: Actor,
    subject: str | None = None,
    search: Search | None = None,
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[AuditEntry]:
    """The newest first, or the other way round (*sort*: at); an actor reads what happened in his own part.

    Raises:
        Invalid: a bad limit or cursor.
    """
    search = search or Search(subject)
    wanted = _wanted(actor, search)
    if _ORDERS.chosen(sort, _ORDERS.offered(session, wanted)) == _ORDERS.default:
        wanted = _newest_of_each(session, wanted, search, actor, limit, cursor)
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def _newest_of_each(
    session: Session, wanted: Select[AuditEntry], search: Search, actor: Actor, limit: int, cursor: str | None
) -> Select[AuditEntry]:
    """*wanted*, less what cannot be on the page: of each tenant no more than a page is looked at.

    PostgreSQL would walk through everybody's entries, the newest first, until it had met enough of the actor's: seconds
    for somebody of whom nothing was heard lately.
    """
    tenants = authorisation.tenants_of(actor)
    if tenants is None or session.get_bind().dialect.name != "postgresql":
        return wanted
    tenant, newest = tenants.subquery(), AuditEntry.id.desc()
    some = _searched(select(AuditEntry.id).where(AuditEntry.tenant_id == tenant.c.id), search)
    if cursor:
        some = some.where(AuditEntry.id < decode_cursor(cursor, int)[0])
    of_each = some.order_by(newest).limit(check_limit(limit) + 1).lateral()
    found = select(of_each.c.id).select_from(tenant.join(of_each, true())).order_by(of_each.c.id.desc())
    return wanted.where(AuditEntry.id.in_(session.scalars(found.limit(limit + 1)).all()))


def export(session: Session, *, actor: Actor, search: Search | None = None) -> Iterator[str]:
    """What *actor* may see of it, the oldest first: one JSON object a line, with the digest that proves it.

    At most MAX_EXPORT lines. A reader of all of them can follow the chain himself, as `audit_chain.link` says.
    """
    wanted = _wanted(actor, search or Search()).order_by(AuditEntry.id).limit(MAX_EXPORT)
    for entry in session.scalars(wanted.execution_options(yield_per=_PIECE)):
        yield json.dumps({name: getattr(entry, name) for name in _COLUMNS}, ensure_ascii=False) + "\n"


def verify(session: Session, folder: Path | None = None) -> Verdict:
    """Follow the chain from its beginning, and hold it against what the compiler remembers of it below *folder* (snapshot/)."""
    anchor = _anchor(folder)
    columns = [getattr(AuditEntry, name) for name in _COLUMNS]
    wanted = select(*columns).order_by(AuditEntry.id).execution_options(yield_per=_PIECE)
    with contextlib.closing(session.execute(wanted)) as rows:
        return _follow((dict(row) for row in rows.mappings()), anchor)


def _follow(entries: Iterable[dict[str, Any]], anchor: Anchor | None) -> Verdict:
    count, digest, has_met = 0, audit_chain.BEGINNING, anchor is None
    for entry in entries:
        digest = audit_chain.link(digest, entry)
        if digest != entry["digest"]:
            return Verdict(count, f"entry {entry['id']} is not what was written, or one before it is missing")
        count += 1
        if anchor is not None and entry["id"] == anchor.id:
            if digest != anchor.digest:
                return Verdict(
                    count, f"entry {anchor.id} is another than the one that the compiler saw: all was made anew"
                )
            has_met = True
    if not has_met and anchor is not None:
        return Verdict(count, f"entry {anchor.id}, which the compiler saw, is missing: the end was cut off")
    return Verdict(count)


def _anchor(folder: Path | None) -> Anchor | None:
    return audit_chain.read_anchor(folder) if folder is not None else None


def _wanted(actor: Actor, search: Search) -> Select[AuditEntry]:
    return _searched(authorisation.restrict(select(AuditEntry), actor, AuditEntry), search)


def _searched(wanted: Select[T], search: Search) -> Select[T]:
    if search.subject is not None:
        wanted = wanted.where(AuditEntry.subject == search.subject)
    if search.actor is not None:
        wanted = wanted.where(AuditEntry.actor == search.actor)
    if search.action is not None:
        of_noun = AuditEntry.action.startswith(search.action, autoescape=True)
        wanted = wanted.where(of_noun if search.action.endswith(".") else AuditEntry.action == search.action)
    if search.since is not None:
        wanted = wanted.where(AuditEntry.at >= search.since)
    if search.until is not None:
        wanted = wanted.where(AuditEntry.at < search.until)
    return wanted


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of two descriptions differs, on either side."""
    keys = [key for key in after if before.get(key) != after[key]]
    return {key: before.get(key) for key in keys}, {key: after[key] for key in keys}
