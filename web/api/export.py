"""Everything that a tenant has, as one document."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response

from appliance.services import holdings, sheets
from web import LARGEST
from web.api.dependencies import Asking, refusals
from web.api.schemas.apply import MAX_THINGS
from web.api.schemas.export import Exported

router = APIRouter(prefix="/export")


_SHEET: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "text/csv": {"schema": {"type": "string"}, "example": "kind,address\r\nmailbox,anna@example.com\r\n"}
        }
    }
}


@router.get("", summary="Export everything", response_model=Exported, responses={**refusals(409, 422), **_SHEET})
def export(
    asking: Asking,
    form: Annotated[
        Literal["json", "csv"], Query(alias="format", description="`csv`: a sheet, as `POST /import` takes it")
    ] = "json",
    tenant_id: Annotated[int | None, Query(ge=1, le=LARGEST, description="only the domains of this tenant")] = None,
) -> Exported | Response:
    """Domains, mailboxes and aliases as the document that `PUT /apply` takes; at most 10,000 of each. Without passwords.

    A sheet has no domains. Cells that a program might take for a formula have an apostrophe before them.
    """
    with asking.wiring.reading() as session:
        document: dict[str, Any] = holdings.give_out(session, actor=asking.actor, tenant_id=tenant_id, most=MAX_THINGS)
    if form == "csv":
        named = {"Content-Disposition": 'attachment; filename="postern.csv"'}
        return Response("".join(sheets.write(document)), media_type="text/csv; charset=utf-8", headers=named)
    return Exported.model_validate(document)
