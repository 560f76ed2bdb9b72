"""A question to somebody elsewhere: may mail be sent on to you?"""

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now


class ConsentRequest(Base):
    """Of one target, for one mailbox or alias. It outlives both: how often somebody was written to must not be forgotten."""

    __tablename__ = "consent_request"
    __table_args__ = (
        Index(None, "target", "sent_at"),
        Index(None, "tenant_id", "sent_at"),
        Index(None, "kind", "holder_id"),
        Index(None, "sent_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str]  # mailbox, alias
    holder_id: Mapped[int] = mapped_column(BigInteger)
    target: Mapped[str]  # as in the row that forwards
    tenant_id: Mapped[int] = mapped_column(BigInteger)  # whose domain it was
    asked_at: Mapped[int] = mapped_column(BigInteger, default=now)
    sent_at: Mapped[int | None] = mapped_column(BigInteger, default=None)  # when the mail was queued
