"""What became of messages."""

from pydantic import BaseModel, Field

from web.api.schemas import Moment, Told


class Message(Told):
    """A message that was accepted, or refused, as far as it concerns whoever asks."""

    id: str = Field(description="its queue id; of a refusal, which has none, `r` and a number")
    queue_id: str | None
    at: Moment
    client: str = Field(description="the address that it came from")
    reverse_path: str = Field(description="the sender as the client named it, which nobody checked")
    identity: str | None = Field(description="who was logged in; told to whoever manages that mailbox")
    recipients: list[str] = Field(description="of whoever asks; all of them where the message was sent by his")
    size: int
    state: str = Field(description="the newest that is known of it")


class MessageEvent(BaseModel):
    """One thing that happened."""

    at: Moment
    role: str = Field(description="the process that said so")
    event: str
    text: str = Field(description="the same in words")
    words: dict[str, str] = Field(description="what it bears: recipients, status, the other host's words")


class TracedMessage(Message):
    """The same with what happened to it, in order."""

    events: list[MessageEvent]
