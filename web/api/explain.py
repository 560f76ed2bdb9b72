"""Explanations: is an address taken, why, and where does its mail go?"""

from typing import Annotated

from fastapi import APIRouter, Query

from appliance.services import foretelling
from web.api.dependencies import Asking, refusals
from web.api.schemas import ADDRESS, documented
from web.api.schemas.explain import Explanation

router = APIRouter(prefix="/explain")

To = Annotated[
    str,
    Query(
        max_length=1000, json_schema_extra=documented(f"^{ADDRESS}$", 254, 3), examples=["anna@example.com"],
        description="the address that mail is for",
    ),
]  # fmt: skip


@router.get("", summary="Explain an address", responses=refusals(404, 422))
def explain(asking: Asking, to: To) -> Explanation:
    """As the database has it, and the SMTP port within a second. What clients meet besides, `postern explain` tells."""
    with asking.wiring.reading() as session:
        return Explanation.model_validate(foretelling.foretell(session, to, actor=asking.actor))
