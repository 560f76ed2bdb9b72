"""The audit log."""

from typing import Any

from web.api.schemas import Moment, Told


class AuditEntry(Told):
    """Who did what, when, from where."""

    id: int
    at: Moment
    actor_kind: str
    actor: str
    action: str
    subject: str
    tenant_id: int
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    source: str
