"""API keys."""

from pydantic import AliasChoices, Field

from web.api.schemas import Asked, Moment, Text, Told


class NewKey(Asked):
    """A key to make."""

    name: Text = Field("", description="what it is for", examples=["Billing system"])
    tenant_id: int | None = Field(None, description="for whom it acts; left out: the asking key's own tenant")


class Key(Told):
    """A key, without its secret."""

    id: str = Field(validation_alias=AliasChoices("public_id", "id"))
    name: str
    tenant_id: int
    created_at: Moment
    revoked_at: Moment | None


class MadeKey(Key):
    """A key just made. The secret is shown here once; only its hash is kept."""

    secret: str = Field(description="send it as Authorization: Bearer SECRET")
