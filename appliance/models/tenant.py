"""Who pays and who resells: a tree, operator > reseller > customer."""

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Row, Suspendable


class Tenant(Row, Suspendable, Base):
    """A node of the tree; the operator is its one root."""

    __tablename__ = "tenant"
    __table_args__ = (UniqueConstraint("parent_id", "name"), {"sqlite_autoincrement": True})

    name: Mapped[str]
    kind: Mapped[str]  # operator, reseller, customer
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("tenant.id"), default=None)
    # Limits count everything from this tenant downward; None is no limit of its own.
    max_domains: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_mailboxes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_aliases: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # A right, and nobody below has one that somebody above lacks: may mail be forwarded to other hosts?
    forwards_outside: Mapped[bool] = mapped_column(default=True)
