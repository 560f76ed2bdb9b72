"""Webhooks."""

from typing import Annotated

from pydantic import AliasChoices, Field

from web.api.schemas import DOMAIN, Asked, Moment, Number, Text, Told, Whole, documented, shown_once

Url = Annotated[Text, Field(json_schema_extra=documented(f"^https://{DOMAIN}/[a-z0-9/]{{0,100}}$", 400, 13))]
Type = Annotated[Text, Field(json_schema_extra=documented("^[a-z]{1,40}[.][a-z]{0,40}$", 100, 2))]
Types = Annotated[list[Type], Field(max_length=50)]
_AFTER = "begin behind this event of the feed instead"


class NewWebhook(Asked):
    """A webhook to make."""

    url: Url = Field(description="who is told: HTTPS, port 443", examples=["https://billing.example.com/postern"])
    types: Types = Field(
        [], description="only these, `mailbox.created`, or `mailbox.` for all about mailboxes; empty: all"
    )
    tenant_id: Number | None = Field(None, description="of whose events; left out: the asking key's own tenant")
    after: Number | None = Field(None, description=_AFTER)


class WebhookChange(Asked):
    """What shall be different."""

    url: Url = Field("", validate_default=False, examples=["https://billing.example.com/postern"])
    types: Types = Field([])
    enabled: bool = Field(True, description="false: nothing is told, and nothing is lost meanwhile")
    after: Number = Field(0, description=_AFTER)


class Rotation(Asked):
    """How a secret is replaced."""

    overlap_hours: Annotated[int, Whole] = Field(
        24, ge=0, le=168, description="for so long deliveries bear two signatures, one with each secret"
    )


class Webhook(Told):
    """A webhook, without its secret."""

    id: str = Field(validation_alias=AliasChoices("public_id", "id"))
    tenant_id: int
    url: str
    types: list[str]
    enabled: bool
    disabled_why: str = Field(description="why it was disabled, when nobody did it; empty: it was not")
    told: int = Field(description="how far in the feed it is")
    failing_since: Moment | None
    created_at: Moment
    version: int


class MadeWebhook(Webhook):
    """With its secret, which is shown here once."""

    model_config = shown_once("secret")

    secret: str = Field(
        description="what `webhook-signature` is made with (Standard Webhooks)",
        examples=["whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"],
    )


class Delivery(Told):
    """One attempt to tell something."""

    id: int
    event_id: int = Field(description="its number in the feed; 0: it was a test")
    at: Moment
    attempt: int = Field(description="which one at this event; 0: out of turn")
    waits: bool = Field(description="it was asked for and has not left yet")
    status: int | None = Field(description="what the server answered; null: it did not")
    detail: str = Field(description="why it did not")
    milliseconds: int
