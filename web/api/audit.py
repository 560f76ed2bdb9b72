"""The audit log."""

from typing import Annotated

from fastapi import APIRouter, Query

from appliance.services import audit
from web.api.dependencies import Asking, Cursor, Limit, refusals
from web.api.schemas import Page
from web.api.schemas.audit import AuditEntry

router = APIRouter(prefix="/audit")


@router.get("", summary="List deeds", responses=refusals(422))
def list_entries(
    asking: Asking,
    limit: Limit = 50,
    cursor: Cursor = None,
    subject: Annotated[str | None, Query(max_length=1000, description="only those to exactly this thing")] = None,
) -> Page[AuditEntry]:
    """Who did what, newest first. Each entry was written in the transaction of its deed."""
    with asking.wiring.reading() as session:
        page = audit.list_entries(session, actor=asking.actor, subject=subject, limit=limit, cursor=cursor)
        return Page(items=[AuditEntry.model_validate(row) for row in page.items], next=page.next)
