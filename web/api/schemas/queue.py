"""The queue: what is accepted and not yet where it goes."""

from typing import Literal

from pydantic import Field

from web.api.schemas import AddressText, Asked, DomainText, Moment, Told


class OfDomain(Asked):
    """Those with a recipient in a domain."""

    domain: DomainText = Field(examples=["example.com"])


class OfSender(Asked):
    """Those of a reverse-path, or of the mailbox that submitted them."""

    sender: AddressText = Field(examples=["anna@example.com"])


class Everything(Asked):
    """Every one; the operator alone."""

    all: Literal[True]


Which = OfDomain | OfSender | Everything


class QueuedRecipient(Told):
    """What is known of one recipient."""

    forward_path: str
    final_recipient: str = Field(description="where an alias or a forwarding leads; empty while nothing was tried")
    action: str = Field(description="waiting, delayed, delivered, relayed, expanded, failed (RFC 3464)")
    status: str = Field(description="of the last attempt (RFC 3463)", examples=["4.4.1"])
    diagnostic_code: str = Field(description="what the other host said, or what kept us from asking it")
    at: Moment | None


class QueuedMessage(Told):
    """A message that waits, as far as it concerns whoever asks."""

    queue_id: str = Field(examples=["00064b6e3f2a1c400000"])
    state: str = Field(description="waiting, trying or held")
    arrival: Moment
    size: int
    reverse_path: str
    identity: str = Field(description="who submitted it; empty: a stranger")
    forward_path: str = Field(description="its first recipient")
    recipients: int
    next_attempt: Moment | None = Field(
        description="null: now, when its destination has a place, or when it is released"
    )
    status: str
    diagnostic_code: str


class ShownMessage(QueuedMessage):
    """The same with each recipient."""

    of_recipients: list[QueuedRecipient]


class Done(Told):
    """To how many messages it was done."""

    messages: int
