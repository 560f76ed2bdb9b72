"""Plans."""

from pydantic import Field

from web.api.schemas import Asked, Count, Moment, NameText, Number, Told


class _Says(Asked):
    max_domains: Count | None = Field(None, description="null: no limit")
    max_mailboxes: Count | None = None
    max_aliases: Count | None = None
    max_forwards: Count | None = None
    max_storage_bytes: Count | None = None
    sends_per_hour: Count | None = Field(None, description="recipients; null and 0: no limit")
    sends_per_day: Count | None = None
    default_quota_bytes: Count | None = Field(None, description="of a mailbox that is made without one")


class NewPlan(_Says):
    """A named set of limits and defaults."""

    name: NameText = Field(examples=["Small"])
    tenant_id: Number | None = Field(None, description="whose it is; left out: the key's own tenant")


class PlanChange(_Says):
    """What is left out stays as it is; null takes a limit away. In force for all that have the plan."""

    name: NameText | None = None


class Plan(Told):
    """A plan."""

    id: int
    tenant_id: int
    name: str
    max_domains: int | None
    max_mailboxes: int | None
    max_aliases: int | None
    max_forwards: int | None
    max_storage_bytes: int | None
    sends_per_hour: int | None
    sends_per_day: int | None
    default_quota_bytes: int | None
    created_at: Moment
    version: int
