"""Somebody is to be written to at his recovery address."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now
from appliance.models.of_person import OfPerson


class RecoveryMail(OfPerson, Base):
    """A mail with a link, which the compiler has sent. The link is signed over all of this (`consent_links`); used, it is gone."""

    __tablename__ = "recovery_mail"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str]  # confirm, reset
    target: Mapped[str]
    asked_at: Mapped[int] = mapped_column(BigInteger, default=now, index=True)
    sent_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
