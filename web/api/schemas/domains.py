"""Domains."""

from typing import Literal

from pydantic import Field

from web.api.schemas import Asked, Moment, Text, Told


class NewDomain(Asked):
    """A domain to serve."""

    name: Text = Field(
        description="the domain; international names as written or as A-labels", examples=["example.com"]
    )
    tenant_id: int | None = Field(None, description="whose it is; left out: the key's own tenant")
    alias_of: Text | None = Field(None, description="makes it another name of this domain")


class DomainChange(Asked):
    """What is left out stays as it is."""

    catch_all: Text | None = Field(None, description="gets what nobody here answers for; empty text: nobody does")
    validation: Literal["rcpt"] | None = Field(None, description="when unknown recipients are refused")


class Domain(Told):
    """A domain."""

    name: str
    unicode_name: str
    kind: str
    tenant_id: int
    suspended: bool
    catch_all: str | None
    validation: str
    created_at: Moment
    version: int
