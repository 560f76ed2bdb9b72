"""Somebody signed in, or tried to."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now
from appliance.models.of_person import OfPerson


class LoginAttempt(OfPerson, Base):
    """One line of somebody's own history; of each kind, right and wrong, the last ones are kept."""

    __tablename__ = "login_attempt"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger, default=now)
    accepted: Mapped[bool]
    how: Mapped[str]  # what was shown, in the words of `services.login_history`
    source: Mapped[str] = mapped_column(default="")
    program: Mapped[str] = mapped_column(default="")  # the browser in plain words, as the browser has it
