"""Appointments."""

from typing import Annotated, Literal

from pydantic import Field

from web.api.schemas import ADDRESS, Asked, DomainText, Moment, Number, Text, Told, documented

Right = Literal["settings", "mailboxes", "passwords", "aliases", "forwarding", "rules", "recipients"]
Holder = Annotated[Text, Field(json_schema_extra=documented(f"^([a-z0-9][a-z0-9._-]{{0,62}}|{ADDRESS})$", 254, 1))]
_RIGHTS = "of an administrator of a domain; null: all of them"


class NewAppointment(Asked):
    """A further power of somebody who is there already: of a tenant or of a domain."""

    holder: Holder = Field(description="an account's name or a mailbox's address", examples=["anna@example.com"])
    tenant_id: Number | None = Field(None, description="makes him administrator of this tenant, or its support")
    domain: DomainText | None = Field(
        None, description="makes him administrator of this domain", examples=["example.com"]
    )
    support: bool = Field(False, description="he may look at everything that is the tenant's, and change nothing")
    rights: list[Right] | None = Field(None, max_length=7, description=_RIGHTS)


class Appointment(Told):
    """What somebody may do besides."""

    id: int
    holder: str
    kind: str
    tenant_id: int
    domain: str | None
    rights: list[str] | None = Field(description=_RIGHTS)
    created_at: Moment
    version: int
