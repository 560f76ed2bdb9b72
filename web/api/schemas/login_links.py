"""Links that log somebody in."""

from typing import Annotated

from pydantic import Field

from web.api.schemas import Asked, Moment, Scoped, Told, Whole, shown_once

Seconds = Annotated[int, Field(ge=10, le=3600), Whole]


class NewLoginLink(Asked):
    """Whom to let in, once."""

    name: Scoped = Field(description="an account's name, or a mailbox's address", examples=["anna@example.com"])
    seconds: Seconds = Field(300, description="for so long it is good")
    support: bool = Field(
        False,
        description="for somebody of support, who sees what this person sees for a quarter of an hour, and changes nothing",
    )


class LoginLink(Told):
    """Send the browser there: it is let in once."""

    model_config = shown_once("link")

    link: str = Field(examples=["https://mail.example.com/login/link/0123456789abcdef"])
    expires_at: Moment
