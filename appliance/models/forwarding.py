"""Where a mailbox's mail goes besides, or instead of, its store."""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Id, now


class Forwarding(Base):
    """A mailbox's own forwarding; set by its owner."""

    __tablename__ = "forwarding"

    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailbox.id", ondelete="CASCADE"), primary_key=True)
    keep_copy: Mapped[bool] = mapped_column(default=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    # Which messages go on, as `services.conditions` tells them; None: all. The others stay in the mailbox.
    conditions: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True), default=None)
    changed_at: Mapped[int] = mapped_column(BigInteger, default=now)

    rows: Mapped[list["ForwardingTarget"]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True, order_by="ForwardingTarget.id"
    )
    targets: AssociationProxy[list[str]] = association_proxy(
        "rows", "address", creator=lambda address: ForwardingTarget(address=address)
    )

    @property
    def failing(self) -> list["ForwardingTarget"]:
        """Targets at other hosts that refused what was last sent there, since somebody chose them."""
        return [row for row in self.rows if row.failed_at is not None]

    @property
    def waiting(self) -> list[str]:
        """Targets at other hosts whose owners have not agreed yet: nothing is sent there."""
        return [row.address for row in self.rows if row.confirmed_at is None]


class ForwardingTarget(Base):
    """One address that a forwarding names. No foreign key: the target may be removed, and its mail then fails openly."""

    __tablename__ = "forwarding_target"
    __table_args__ = (Index(None, "address"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    forwarding_id: Mapped[int] = mapped_column(ForeignKey("forwarding.mailbox_id", ondelete="CASCADE"), index=True)
    address: Mapped[str]  # folded local-part, at-sign, domain: as compared
    confirmed_at: Mapped[int | None] = mapped_column(BigInteger, default=None)  # None: it is in no snapshot
    # What the last mail to a target at another host came to, when that was nothing.
    failed_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    failure: Mapped[str | None] = mapped_column(default=None)  # status (RFC 3463), then the other host's words
