"""Whom a key acts for."""

from web.api.schemas import Told


class Me(Told):
    """The asking key."""

    kind: str
    name: str
    tenant_id: int | None
    domain_id: int | None
