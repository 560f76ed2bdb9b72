"""What would become of mail."""

from pydantic import Field

from web.api.schemas import Told


class Step(Told):
    """One thing that was looked at, and what came of it."""

    what: str
    outcome: str


class Explanation(Told):
    """What would become of mail for an address."""

    address: str = Field(description="as compared")
    accepted: bool
    steps: list[Step]
    recipients: list[str] = Field(description="the ends of the way: mailboxes here, and addresses elsewhere")
