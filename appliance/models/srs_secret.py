"""What rewritten and signed return paths are made with."""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now


class SrsSecret(Base):
    """The newest signs; older ones are still believed, for as long as a bounce may take to come home."""

    __tablename__ = "srs_secret"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    secret: Mapped[str]  # hexadecimal digits
    made_at: Mapped[int] = mapped_column(BigInteger, default=now)
