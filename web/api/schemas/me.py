"""Whom a key acts for."""

from pydantic import Field

from web.api.schemas import Told


class Me(Told):
    """The asking key."""

    kind: str
    name: str
    tenant_id: int | None
    domain_id: int | None
    actions: list[str] | None = Field(
        description="what the key is limited to; null: to nothing less than its tenant may"
    )
    addresses: list[str] | None
