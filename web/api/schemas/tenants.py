"""Tenants."""

from typing import Annotated, Literal

from pydantic import Field

from web.api.schemas import Asked, Count, Moment, NameText, Number, Told, Whole

Days = Annotated[int, Field(ge=1, le=3650), Whole]
_DAYS = (
    "for so many days, and never longer than the host's own, it is remembered what became of messages (`/messages`); null: as who "
    "stands above says"
)


class NewTenant(Asked):
    """A reseller or a customer."""

    name: NameText = Field(examples=["Example Ltd"])
    kind: Literal["reseller", "customer"] = "customer"
    parent_id: Number | None = Field(None, description="below whom; left out: the key's own tenant")
    max_domains: Count | None = Field(None, description="of it and all below it; null: no limit of its own")
    max_mailboxes: Count | None = None
    max_aliases: Count | None = None
    max_forwards: Count | None = Field(None, description="mailboxes that forward")
    max_storage_bytes: Count | None = Field(None, description="of all quotas together; then no mailbox is without one")
    plan_id: Number | None = Field(None, description="says what is not said here")
    skips_proof: bool = Field(False, description="its domains need no proof; the operator's to say")
    forwards_outside: bool = Field(True, description="may mail be forwarded to other hosts, by it and all below it?")
    trace_days: Days | None = Field(None, description=_DAYS)


class TenantChange(Asked):
    """What is left out stays as it is; null takes a limit away."""

    name: NameText | None = None
    max_domains: Count | None = None
    max_mailboxes: Count | None = None
    max_aliases: Count | None = None
    max_forwards: Count | None = Field(None, description="mailboxes that forward")
    max_storage_bytes: Count | None = Field(None, description="of all quotas together; then no mailbox is without one")
    plan_id: Number | None = Field(None, description="says what is not said here")
    skips_proof: bool | None = Field(None, description="its domains need no proof; the operator's to say")
    forwards_outside: bool | None = Field(
        None, description="without, mail that was forwarded to other hosts before goes there no more"
    )
    trace_days: Days | None = Field(None, description=_DAYS)


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
    max_forwards: int | None
    max_storage_bytes: int | None
    plan_id: int | None
    skips_proof: bool
    forwards_outside: bool
    trace_days: int | None
    created_at: Moment
    version: int
