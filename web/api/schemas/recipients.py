"""Recipients of relayed domains."""

from pydantic import BaseModel, Field

from web.api.schemas import Told


class Recipient(BaseModel):
    """A recipient."""

    address: str = Field(description="as compared: the local-part in lower case")


class Uploaded(Told):
    """What the upload did, or in a dry run would do."""

    added: int
    removed: int
    total: int = Field(description="recipients of the domain now")


class Asked(BaseModel):
    """What tells one upload from another, for an Idempotency-Key."""

    mode: str
    digest: str
