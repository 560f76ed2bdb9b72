"""A mailbox's further passwords, each for one program."""

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Row


class AppPassword(Row, Base):
    """Good for sending mail, not for the panel. Removing the row revokes it."""

    __tablename__ = "app_password"
    __table_args__ = (UniqueConstraint("mailbox_id", "name"), {"sqlite_autoincrement": True})

    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailbox.id", ondelete="CASCADE"))
    name: Mapped[str]
    sealed_hash: Mapped[str]  # only the authenticator can open it
    used_at: Mapped[int | None] = mapped_column(BigInteger, default=None)  # to some hours; None: never yet
