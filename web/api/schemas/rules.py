"""Access rules."""

from typing import Literal

from pydantic import Field

from web.api.schemas import Asked, Expiry, Moment, Note, Pattern, Position, Told


class NewRule(Asked):
    """A line of a list that is read from the top; the first that fits decides."""

    verb: Literal["allow", "deny"] = Field(
        description="allow spares a sender DNS lists, greylisting and the reverse name; never an unknown recipient"
    )
    pattern: Pattern = Field(
        description="a network, a sender's whole address, a domain, or a dot and a domain for it and all below it",
        examples=["192.0.2.0/24"],
    )
    position: Position | None = Field(None, description="1 is the top; left out: the end")
    note: Note = Field("", examples=["our own newsletter"])
    expires_at: Expiry | None = Field(None, description="it is removed then; left out: never")


class RuleChange(Asked):
    """What is left out stays as it is; an expires_at of null means for ever."""

    verb: Literal["allow", "deny"] | None = None
    pattern: Pattern | None = None
    position: Position | None = None
    note: Note | None = None
    expires_at: Expiry | None = None


class Rule(Told):
    """An access rule."""

    id: int
    position: int
    verb: str
    pattern: str
    note: str
    expires_at: Moment | None
    created_at: Moment
    version: int


class Rules(Told):
    """A whole list; it has at most a thousand rules."""

    items: list[Rule]
