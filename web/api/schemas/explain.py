"""What would become of mail."""

from pydantic import Field

from web.api.schemas import Told


class Step(Told):
    """One thing that was looked at, and what came of it."""

    what: str
    outcome: str


class Exchange(Told):
    """What the client says, and the lines that it hears."""

    command: str = Field(description="empty: it has said nothing yet", examples=["RCPT TO:<anna@example.com>"])
    replies: list[str] = Field(examples=[["250 2.1.5 OK"]])


class Explanation(Told):
    """What would become of mail for an address."""

    address: str = Field(description="as compared")
    accepted: bool
    steps: list[Step]
    recipients: list[str] = Field(description="the ends of the way: mailboxes here, and addresses elsewhere")
    word: str = Field(
        description="the verdict on the recipient: accept, unknown, suspended, foreign …", examples=["accept"]
    )
    undecided: bool = Field(description="only a source elsewhere can tell, and it was not asked")
    dialog: list[Exchange] = Field(description="what would be said at the SMTP port")
    decision: list[Step] = Field(description="each record that was looked at; for the operator alone")
