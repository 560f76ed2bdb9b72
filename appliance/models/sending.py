"""How much a tenant, a domain or a mailbox may send, where it is not as for most."""

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Row


class Sending(Row, Base):
    """Of exactly one of the three. None is no word of its own: the host's for a mailbox, no limit for the others."""

    __tablename__ = "sending"

    tenant_id: Mapped[int | None] = mapped_column(
        ForeignKey("tenant.id", ondelete="CASCADE"), unique=True, default=None
    )
    domain_id: Mapped[int | None] = mapped_column(
        ForeignKey("domain.id", ondelete="CASCADE"), unique=True, default=None
    )
    mailbox_id: Mapped[int | None] = mapped_column(
        ForeignKey("mailbox.id", ondelete="CASCADE"), unique=True, default=None
    )
    per_hour: Mapped[int | None] = mapped_column(BigInteger, default=None)  # recipients; 0: no limit
    per_day: Mapped[int | None] = mapped_column(BigInteger, default=None)
    any_address: Mapped[bool] = mapped_column(
        default=False
    )  # of a domain: its mailboxes may write as any address of it
    brake: Mapped[bool] = mapped_column(default=True)  # of a mailbox: stopped when it does what it never did
    braked_at: Mapped[int | None] = mapped_column(BigInteger, index=True, default=None)  # it was, and may not send
    brake_reason: Mapped[str] = mapped_column(default="")
    released_at: Mapped[int] = mapped_column(BigInteger, default=0)  # when somebody last looked and let it go
