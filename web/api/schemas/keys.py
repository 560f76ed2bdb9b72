"""API keys."""

from pydantic import AliasChoices, Field

from web.api.schemas import Action, Asked, Expiry, MaybeName, Moment, Network, Number, Scoped, Told, shown_once


class NewKey(Asked):
    """A key to make."""

    name: MaybeName = Field("", description="what it is for", examples=["Billing system"])
    tenant_id: Number | None = Field(None, description="for whom it acts; left out: the asking key's own tenant")
    actions: list[Action] | None = Field(
        None,
        description="what it may do, of what its tenant may: `mailbox.create`, `mailbox.*`, `*.see`; null: everything",
        examples=[["mailbox.*", "domain.see"]],
        max_length=200,
        json_schema_extra={"minItems": 1},
    )
    addresses: list[Scoped] | None = Field(
        None, description="what it may touch: addresses, and domains with all that is in them; null: everything",
        examples=[["example.com"]], max_length=1000, json_schema_extra={"minItems": 1},
    )  # fmt: skip
    networks: list[Network] | None = Field(
        None,
        description="from where it may be used; null: from everywhere",
        examples=[["192.0.2.0/24"]],
        max_length=100,
        json_schema_extra={"minItems": 1},
    )
    expires_at: Expiry | None = Field(None, description="it is good until then; null: until it is revoked")


class Key(Told):
    """A key, without its secret."""

    id: str = Field(validation_alias=AliasChoices("public_id", "id"))
    name: str
    tenant_id: int
    created_at: Moment
    revoked_at: Moment | None
    expires_at: Moment | None
    actions: list[str] | None
    addresses: list[str] | None
    networks: list[str] | None


class MadeKey(Key):
    """A key just made. The secret is shown here once; only its hash is kept."""

    model_config = shown_once("secret")

    secret: str = Field(description="send it as Authorization: Bearer SECRET")
