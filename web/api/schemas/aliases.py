"""Aliases."""

from pydantic import Field

from web.api.schemas import MAX_TARGETS, Asked, AsTyped, Failing, Moment, Targets, Text, Told


class NewAlias(Asked):
    """An address that stands for others."""

    address: Text = Field(examples=["sales@example.com"])
    targets: list[Text] = Field(max_length=MAX_TARGETS, examples=[["anna@example.com", "ben@example.com"]])


class AliasChange(Asked):
    """The targets it has from now on."""

    targets: list[Text] = Field(max_length=MAX_TARGETS, examples=[["anna@example.com"]])


class Alias(Told):
    """An alias."""

    address: AsTyped
    targets: Targets
    failing: list[Failing]
    created_at: Moment
    version: int
