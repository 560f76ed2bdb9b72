"""Tenants."""

from typing import Literal

from pydantic import Field

from web.api.schemas import Asked, Count, Moment, NameText, Number, Told


class NewTenant(Asked):
    """A reseller or a customer."""

    name: NameText = Field(examples=["Example Ltd"])
    kind: Literal["reseller", "customer"] = "customer"
    parent_id: Number | None = Field(None, description="below whom; left out: the key's own tenant")
    max_domains: Count | None = Field(None, description="of it and all below it; null: no limit of its own")
    max_mailboxes: Count | None = None
    max_aliases: Count | None = None
    forwards_outside: bool = Field(True, description="may mail be forwarded to other hosts, by it and all below it?")


class TenantChange(Asked):
    """What is left out stays as it is; null takes a limit away."""

    name: NameText | None = None
    max_domains: Count | None = None
    max_mailboxes: Count | None = None
    max_aliases: Count | None = None
    forwards_outside: bool | None = Field(
        None, description="without, mail that was forwarded to other hosts before goes there no more"
    )


class Tenant(Told):
    """A tenant."""

    id: int
    name: str
    kind: str
    parent_id: int | None
    suspended: bool
    suspended_for: list[str] = Field(description="what stands still: receive, send, log_in")
    max_domains: int | None
    max_mailboxes: int | None
    max_aliases: int | None
    forwards_outside: bool
    created_at: Moment
    version: int
