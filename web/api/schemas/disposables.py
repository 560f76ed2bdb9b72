"""Addresses that a mailbox's owner makes for himself."""

from typing import Annotated

from pydantic import Field

from web.api.schemas import Asked, AsTyped, Expiry, Moment, Note, Text, Told, documented

Word = Annotated[Text, Field(json_schema_extra=documented("^[a-z0-9]*$", 24))]
LocalPart = Annotated[Text, Field(json_schema_extra=documented("^([a-z0-9]{1,20}[.][a-z0-9]{1,20})?$", 41))]


class NewDisposable(Asked):
    """One more address of a mailbox."""

    word: Word = Field("", description="what it begins with; the rest is made up", examples=["shop"])
    name: LocalPart = Field(
        "", description="or the whole of what stands before the @: it begins with the owner's own name"
    )
    note: Note = Field("", examples=["the shop with the lamps"])
    expires_at: Expiry | None = Field(None, description="it is removed then; left out: never")


class DisposableChange(Asked):
    """What is left out stays as it is. An expires_at of null means for ever."""

    enabled: bool = Field(True, description="switched off, its mail is refused; its name stays the owner's")
    note: Note = ""
    expires_at: Expiry | None = None


class Disposable(Told):
    """An address that leads to the mailbox whose owner made it."""

    address: AsTyped
    enabled: bool
    note: str
    expires_at: Moment | None
    created_at: Moment
    version: int
