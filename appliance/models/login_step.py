"""Somebody is on the way in, or on the way to a passkey: what he has shown, and what he is to sign."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id
from appliance.models.of_person import OfPerson


class LoginStep(OfPerson, Base):
    """Good for minutes, for one browser, for one thing. Of its token only the SHA-256 is kept; used, it is removed.

    Without an account or a mailbox: whoever signs in by a passkey says only with it who he is.
    """

    __tablename__ = "login_step"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(index=True)
    purpose: Mapped[str]  # of `services.login_steps`
    how: Mapped[str] = mapped_column(default="")  # what he has shown by now
    back: Mapped[str] = mapped_column(default="")  # the page that he came for
    challenge: Mapped[str] = mapped_column(default="")  # base64url; empty: none was asked for
    wrong: Mapped[int] = mapped_column(default=0)  # codes
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
