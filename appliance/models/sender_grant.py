"""Addresses that a mailbox may write as, though they are not its own."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row
from appliance.models.mailbox import Mailbox


class SenderGrant(Row, Base):
    """One mailbox may write as one address."""

    __tablename__ = "sender_grant"
    __table_args__ = (UniqueConstraint("mailbox_id", "address"), {"sqlite_autoincrement": True})

    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailbox.id", ondelete="CASCADE"))
    address: Mapped[str] = mapped_column(index=True)  # as compared: folded local-part @ domain

    mailbox: Mapped[Mailbox] = relationship(lazy="joined", innerjoin=True)
