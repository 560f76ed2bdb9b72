"""Everything that a tenant has, as one document."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from appliance.services import holdings
from web.api.dependencies import Asking, refusals
from web.api.schemas.apply import MAX_THINGS
from web.api.schemas.export import Exported

router = APIRouter(prefix="/export")


@router.get("", summary="Export everything", responses=refusals(409, 422))
def export(
    asking: Asking,
    tenant_id: Annotated[int | None, Query(ge=1, lt=1 << 62, description="only the domains of this tenant")] = None,
) -> Exported:
    """Domains, mailboxes and aliases as the document that `PUT /apply` takes; at most 10,000 of each. Without passwords."""
    with asking.wiring.reading() as session:
        document: dict[str, Any] = holdings.give_out(session, actor=asking.actor, tenant_id=tenant_id, most=MAX_THINGS)
    return Exported.model_validate(document)
