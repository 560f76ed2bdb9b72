"""Recipients of relayed domains."""

from typing import Literal

from pydantic import BaseModel, Field

from web.api.schemas import Told
from web.api.schemas.domains import Source


class Recipient(BaseModel):
    """A recipient."""

    address: str = Field(description="as compared: the local-part in lower case")


class Tried(BaseModel):
    """What is known of a recipient."""

    address: str = Field(description="as compared: the local-part in lower case")
    source: Source = Field(
        description="who knows the domain's recipients; empty: nobody, and then all of them are taken"
    )
    word: Literal["accept", "unknown", "full", "try-later"] = Field(
        description="try-later: who knows does not answer, or not as he should; the journal says how (source-trouble)"
    )


class Uploaded(Told):
    """What the upload did, or in a dry run would do."""

    added: int
    removed: int
    total: int = Field(description="recipients of the domain now")


class Asked(BaseModel):
    """What tells one upload from another, for an Idempotency-Key."""

    mode: str
    digest: str
