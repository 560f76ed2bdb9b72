"""Which installation this database belongs to."""

import secrets

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now


class Instance(Base):
    """One row. A snapshot made from another instance is never continued from this database."""

    __tablename__ = "instance"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    instance_id: Mapped[str]
    host_name: Mapped[str]
    made_at: Mapped[int] = mapped_column(BigInteger, default=now)
    consent_key: Mapped[str] = mapped_column(
        default=lambda: secrets.token_hex(32)
    )  # what `consent_links` are made with
