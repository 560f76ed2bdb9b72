"""Aliases."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from web.api.schemas import AddressText, Asked, AsTyped, Expiry, Failing, Moment, Note, Scoped, Targeted, Targets, Told

OpenTo = Literal["everybody", "tenant", "domain", "members", "listed"]
Listed = Annotated[list[Scoped], Field(max_length=1000)]
_OPEN_TO = "who may write to it: everybody; people of its tenant, of its domain, its members, who log in for it; or who is listed"
_LISTED = "addresses and domains, at most 200; of ours only who logs in counts, of others whoever says so"
_ENABLED = "switched off, it refuses its mail and keeps its name"
_WITH_LIST: JsonDict = {
    "required": ["open_to", "listed"],
    "properties": {"open_to": {"const": "listed"}, "listed": {"minItems": 1, "maxItems": 200}},
}
_WITHOUT: JsonDict = {"properties": {"open_to": {"not": {"const": "listed"}}, "listed": {"maxItems": 0}}}


class NewAlias(Asked):
    """An address that stands for others."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_WITHOUT, _WITH_LIST]})

    address: AddressText = Field(examples=["sales@example.com"])
    targets: Targeted = Field(examples=[["anna@example.com", "ben@example.com"]])
    expires_at: Expiry | None = Field(None, description="it is removed then; left out: never")
    open_to: OpenTo = Field("everybody", description=_OPEN_TO)
    listed: Listed = Field([], description=_LISTED)
    enabled: bool = Field(True, description=_ENABLED)
    note: Note = ""


class AliasChange(Asked):
    """What it is from now on; left out, it stays. An expires_at of null means for ever."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [_WITHOUT, _WITH_LIST]})

    targets: Targeted | None = Field(None, examples=[["anna@example.com"]])
    expires_at: Expiry | None = None
    open_to: OpenTo | None = Field(None, description=_OPEN_TO)
    listed: Listed | None = Field(None, description=_LISTED)
    enabled: bool | None = Field(None, description=_ENABLED)
    note: Note | None = None


class Alias(Told):
    """An alias."""

    address: AsTyped
    targets: Targets
    failing: list[Failing]
    waiting: list[str] = Field(
        description="targets at other hosts whose owners were asked and have not agreed: they get nothing yet"
    )
    expires_at: Moment | None
    open_to: OpenTo
    listed: list[str]
    enabled: bool
    note: str
    created_at: Moment
    version: int
