"""Who pays and who resells: a tree, operator > reseller > customer."""

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row, Suspendable
from appliance.models.plan import Plan


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
    max_forwards: Mapped[int | None] = mapped_column(BigInteger, default=None)  # mailboxes that forward
    max_storage_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)  # all quotas together
    # Says what is not said above. No foreign key, since SQLite adds none to a table that is there: a plan that somebody has is
    # not removed.
    plan_id: Mapped[int | None] = mapped_column(BigInteger, index=True, default=None)
    # A right, and nobody below has one that somebody above lacks: may mail be forwarded to other hosts?
    forwards_outside: Mapped[bool] = mapped_column(default=True)
    # For so many days it is remembered what became of its domains' messages, and of those below; None: as who stands above says.
    trace_days: Mapped[int | None] = mapped_column(default=None)
    skips_proof: Mapped[bool] = mapped_column(default=False, server_default=false())  # its domains, and those below

    plan: Mapped[Plan | None] = relationship(
        lazy="joined", primaryjoin="foreign(Tenant.plan_id) == Plan.id", viewonly=True
    )
