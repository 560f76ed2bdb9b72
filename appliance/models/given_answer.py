"""What the REST API answered to a request that carried an Idempotency-Key."""

from typing import Any

from sqlalchemy import JSON, BigInteger, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now


class GivenAnswer(Base):
    """One answer, written in the transaction of the deed it tells of. No foreign key: it is forgotten after a day."""

    __tablename__ = "given_answer"
    __table_args__ = (UniqueConstraint("actor", "key"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    actor: Mapped[str]
    key: Mapped[str]
    request_hash: Mapped[str]  # BLAKE2b of what was asked, less its passwords
    status: Mapped[int]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    made_at: Mapped[int] = mapped_column(BigInteger, default=now, index=True)
