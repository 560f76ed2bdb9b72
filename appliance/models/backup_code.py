"""Codes for the day on which the telephone is lost."""

from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id
from appliance.models.of_person import OfPerson


class BackupCode(OfPerson, Base):
    """One of ten. Here is only its SHA-256 (80 random bits need no slow hash); used, it is removed."""

    __tablename__ = "backup_code"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    sha256: Mapped[str]
