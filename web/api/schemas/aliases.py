"""Aliases."""

from pydantic import Field

from web.api.schemas import AddressText, Asked, AsTyped, Expiry, Failing, Moment, Targeted, Targets, Told


class NewAlias(Asked):
    """An address that stands for others."""

    address: AddressText = Field(examples=["sales@example.com"])
    targets: Targeted = Field(examples=[["anna@example.com", "ben@example.com"]])
    expires_at: Expiry | None = Field(None, description="it is removed then; left out: never")


class AliasChange(Asked):
    """The targets it has from now on; an expires_at of null means for ever, left out it stays as it is."""

    targets: Targeted = Field(examples=[["anna@example.com"]])
    expires_at: Expiry | None = None


class Alias(Told):
    """An alias."""

    address: AsTyped
    targets: Targets
    failing: list[Failing]
    waiting: list[str] = Field(
        description="targets at other hosts whose owners were asked and have not agreed: they get nothing yet"
    )
    expires_at: Moment | None
    created_at: Moment
    version: int
