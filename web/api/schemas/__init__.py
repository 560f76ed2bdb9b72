"""The shapes of requests and answers, a file per noun, and what they share.

A reader would otherwise get wrong: a schema checks the shape only (is it there, is it text, is it not absurdly long). Whether
an address makes sense or a name is free is the service's judgement, so that panel, API and CLI cannot differ.
"""

from datetime import datetime
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from appliance.services.addresses import Address, show

LONGEST_TEXT = 1000
MAX_TARGETS = 1000

Item = TypeVar("Item")

# Seconds since 1970 in the database, RFC 3339 in an answer: pydantic reads the one and writes the other.
Moment = datetime
Expiry = Annotated[AwareDatetime, Field(strict=False)]  # JSON has no moments of its own, only text
AsTyped = Annotated[str, BeforeValidator(lambda value: show(value) if isinstance(value, Address) else value)]
Targets = Annotated[list[str], BeforeValidator(list)]  # a row's targets are a view of other rows, no list
Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Count = Annotated[int, Field(ge=0, lt=1 << 62)]


class Asked(BaseModel):
    """A request's body: what is not known is refused, since a misspelt member would otherwise do nothing in silence."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Standstill(Asked):
    """What of it shall stand still, or go on; all of it, where no body is sent."""

    what: list[Literal["receive", "send", "log_in"]] = Field(["receive", "send", "log_in"], min_length=1, max_length=3)


class Told(BaseModel):
    """An answer's body, read from a row."""

    model_config = ConfigDict(from_attributes=True)


class Failing(Told):
    """A target at another host that refused what was last sent there. To try it again, set the targets once more."""

    address: str
    failed_at: Moment
    failure: str = Field(description="the status (RFC 3463), then that host's words")


class Page(BaseModel, Generic[Item]):
    """One page of a list; `next` is the cursor of the following one, or null."""

    items: list[Item]
    next: str | None


def stopping(body: Standstill | None) -> dict[str, list[str]]:
    """What the services are asked for with it."""
    return {} if body is None else {"what": list(dict.fromkeys(body.what))}
