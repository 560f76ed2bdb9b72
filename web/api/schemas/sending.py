"""App passwords, senders, sending limits."""

from pydantic import Field

from web.api.schemas import Asked, AsTyped, Count, Moment, NameText, Told, shown_once


class NewAppPassword(Asked):
    """A further password for one program."""

    name: NameText = Field(examples=["mail on my phone"])


class AppPassword(Told):
    """One of a mailbox's app passwords; never the secret."""

    name: str
    created_at: Moment
    used_at: Moment | None = Field(
        None, description="when somebody last logged in by it, to some hours; null: never yet"
    )


class MadeAppPassword(AppPassword):
    """The same with its secret, which is shown this once."""

    model_config = shown_once("secret")

    secret: str


class Sender(Told):
    """An address that a mailbox was given to write as."""

    sender: AsTyped


class SendingChange(Asked):
    """What is left out stays as it is; null is no word of its own."""

    per_hour: Count | None = Field(
        None, description="recipients in an hour; 0: no limit; null: a mailbox has the host's"
    )
    per_day: Count | None = Field(None, description="the same in a day")
    any_address: bool = Field(False, description="of a domain: its mailboxes may write as any address of it")
    brake: bool = Field(True, description="of a mailbox: stopped when it does what it never did")


class Sending(Told):
    """How much is sent."""

    subject: str
    per_hour: int | None
    per_day: int | None
    any_address: bool
    brake: bool
    braked_at: Moment | None
    brake_reason: str
