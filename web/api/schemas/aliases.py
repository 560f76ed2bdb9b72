"""Aliases."""

from pydantic import Field

from web.api.schemas import AddressText, Asked, AsTyped, Failing, Moment, Targeted, Targets, Told


class NewAlias(Asked):
    """An address that stands for others."""

    address: AddressText = Field(examples=["sales@example.com"])
    targets: Targeted = Field(examples=[["anna@example.com", "ben@example.com"]])


class AliasChange(Asked):
    """The targets it has from now on."""

    targets: Targeted = Field(examples=[["anna@example.com"]])


class Alias(Told):
    """An alias."""

    address: AsTyped
    targets: Targets
    failing: list[Failing]
    waiting: list[str] = Field(
        description="targets at other hosts whose owners were asked and have not agreed: they get nothing yet"
    )
    created_at: Moment
    version: int
