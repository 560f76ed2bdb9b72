"""Who did what. Written in the transaction of the deed, so there is no deed without its entry nor entry without its deed."""

from typing import Any

from sqlalchemy import select

from appliance.database.session import Session
from appliance.models import AuditEntry
from appliance.services import authorisation
from appliance.services.actor import Actor
from appliance.services.paging import Page, check_limit, decode_cursor, page_of

__all__ = ["AuditEntry", "difference", "list_entries", "record"]


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
    session.add(
        AuditEntry(
            actor_kind=actor.kind,
            actor=actor.name,
            source=actor.source,
            action=action,
            subject=subject,
            tenant_id=tenant_id,
            domain_id=domain_id,
            before=before,
            after=after,
        )
    )


def list_entries(
    session: Session, *, actor: Actor, subject: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[AuditEntry]:
    """The newest first; an actor reads what happened in his own part.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(AuditEntry), actor, AuditEntry)
    if subject is not None:
        wanted = wanted.where(AuditEntry.subject == subject)
    if cursor:
        wanted = wanted.where(AuditEntry.id < decode_cursor(cursor, int)[0])
    rows = session.scalars(wanted.order_by(AuditEntry.id.desc()).limit(check_limit(limit) + 1)).all()
    return page_of(rows, limit, "id")


def difference(before: dict[str, Any], after: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What of two descriptions differs, on either side."""
    keys = [key for key in after if before.get(key) != after[key]]
    return {key: before.get(key) for key in keys}, {key: after[key] for key in keys}
