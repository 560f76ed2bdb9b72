"""A named set of limits and defaults that tenants share."""

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Row


class Plan(Row, Base):
    """Whoever owns it gives it to tenants below him; what a tenant says of its own goes before its plan's word."""

    __tablename__ = "plan"
    __table_args__ = (UniqueConstraint("tenant_id", "name"), {"sqlite_autoincrement": True})

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"))  # whose it is, not who has it
    name: Mapped[str]
    max_domains: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_mailboxes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_aliases: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_forwards: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_storage_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    sends_per_hour: Mapped[int | None] = mapped_column(BigInteger, default=None)  # recipients; None and 0: no limit
    sends_per_day: Mapped[int | None] = mapped_column(BigInteger, default=None)
    default_quota_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)  # of a mailbox made without one
