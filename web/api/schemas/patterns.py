"""Patterns of a mailbox."""

from typing import Annotated

from pydantic import BaseModel, Field

from web.api.schemas import DOMAIN, Asked, Text, documented

_SIGN = "[._+-]"
PatternText = Annotated[
    Text,
    Field(json_schema_extra=documented(rf"^[a-z0-9]{{1,20}}{_SIGN}([a-z0-9]{{1,20}}{_SIGN})?[*]@{DOMAIN}$", 254, 6)),
]


class NewPatterns(Asked):
    """The patterns that the mailbox has from now on."""

    patterns: list[PatternText] = Field(
        max_length=100,
        description="each a name, one of - . _ + and a star, in the mailbox's own domain; at most 20",
        examples=[["anna-*@example.com"]],
    )


class Patterns(BaseModel):
    """A mailbox's patterns: what begins so, and is nobody's by its whole name, is the mailbox's."""

    patterns: list[str]
