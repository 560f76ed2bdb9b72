"""What somebody who signs in has set for himself."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id
from appliance.models.of_person import OfPerson


class OwnSettings(OfPerson, Base):
    """Time zone, recovery address, authenticator app. Most people have no such row."""

    __tablename__ = "own_settings"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    time_zone: Mapped[str] = mapped_column(default="", server_default="")  # an IANA name; empty: UTC
    # Where he is written to when he forgot his password; an address key. Not confirmed, nothing but the question goes there.
    recovery_address: Mapped[str] = mapped_column(default="", server_default="")
    recovery_confirmed_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # The authenticator app's secret: only the authenticator can open it.
    sealed_secret: Mapped[str | None] = mapped_column(default=None)
    app_since: Mapped[int | None] = mapped_column(BigInteger, default=None)
    last_step: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")  # of the last code that was taken
