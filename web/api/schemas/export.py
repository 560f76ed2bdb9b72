"""Everything that a tenant has."""

from typing import Any

from pydantic import BaseModel


class Exported(BaseModel):
    """A document for `PUT /apply`: send it as it is, less what is not wanted."""

    domains: list[dict[str, Any]]
    mailboxes: list[dict[str, Any]]
    aliases: list[dict[str, Any]]
