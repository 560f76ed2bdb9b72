"""The feed of events."""

from typing import Any

from pydantic import AliasChoices, Field

from web.api.schemas import Moment, Told


class Event(Told):
    """Something that happened."""

    id: int = Field(description="rises; with gaps, since everybody sees his own part")
    type: str = Field(validation_alias=AliasChoices("action", "type"), examples=["mailbox.created"])
    at: Moment
    subject: str
    tenant_id: int
    actor: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class Events(Told):
    """A piece of the feed, the oldest first."""

    items: list[Event]
    next: str | None = Field(description="`after` of the piece behind it; null: there is nothing more yet")
    last: int = Field(description="what to give as `after` to go on from here, now or later")
