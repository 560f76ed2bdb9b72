"""Removals."""

from typing import Literal

from pydantic import Field

from web.api.schemas import Moment, Told


class Removal(Told):
    """What was removed, and until when it can be had back."""

    id: int
    kind: Literal["domain", "mailbox", "alias"]
    name: str = Field(description="the domain or address", examples=["anna@example.com"])
    tenant_id: int = Field(description="whose it was")
    removed_by: str
    removed_at: Moment = Field(validation_alias="created_at")
    until: Moment = Field(description="then its data and its mail are gone for good")
    mailboxes: int = Field(description="how many went")
    aliases: int
    forwards: int
    used_bytes: int = Field(description="mail that is kept for it, in octets")
    version: int


class Removed(Told):
    """What went with a removal, and who still sends mail there."""

    removal: Removal
    forwarded_by: list[str] = Field(description="addresses that still forward to it")
