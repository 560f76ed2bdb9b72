"""What a mailbox answers by itself while its owner is away."""

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, now


class Autoreply(Base):
    """A mailbox's own autoreply; set by its owner. Between *starts_at* and *ends_at*, where it has them."""

    __tablename__ = "autoreply"

    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailbox.id", ondelete="CASCADE"), primary_key=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    subject: Mapped[str] = mapped_column(default="")  # empty: `Auto: ` and the subject that is answered
    text: Mapped[str]
    starts_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    ends_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    changed_at: Mapped[int] = mapped_column(BigInteger, default=now)
