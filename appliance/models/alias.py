"""An address that stands for others."""

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, UniqueConstraint, true
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Id, Row
from appliance.models.domain import Domain
from mta.vocabulary import Address


class Alias(Row, Base):
    """An alias: address to addresses."""

    __tablename__ = "alias"
    __table_args__ = (UniqueConstraint("domain_id", "folded"), {"sqlite_autoincrement": True})

    domain_id: Mapped[int] = mapped_column(ForeignKey("domain.id"))
    local_part: Mapped[str]  # as given
    folded: Mapped[str]  # as compared
    expires_at: Mapped[int | None] = mapped_column(BigInteger, default=None)  # then it is removed; None: never
    open_to: Mapped[str] = mapped_column(default="everybody", server_default="everybody")  # who may write to it
    listed: Mapped[list[str]] = mapped_column(JSON, default=list, server_default="[]")  # address keys and domains
    enabled: Mapped[bool] = mapped_column(default=True, server_default=true())  # off: mail is refused, the name kept
    note: Mapped[str] = mapped_column(default="", server_default="")
    # The mailbox whose owner made it for himself; None: whoever manages the domain did.
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("mailbox.id"), index=True, default=None)

    domain: Mapped[Domain] = relationship(lazy="joined", innerjoin=True)
    rows: Mapped[list["AliasTarget"]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True, order_by="AliasTarget.id"
    )
    targets: AssociationProxy[list[str]] = association_proxy(
        "rows", "address", creator=lambda address: AliasTarget(address=address)
    )

    @property
    def failing(self) -> list["AliasTarget"]:
        """Targets at other hosts that refused what was last sent there, since somebody chose them."""
        return [row for row in self.rows if row.failed_at is not None]

    @property
    def waiting(self) -> list[str]:
        """Targets at other hosts whose owners have not agreed yet: nothing is sent there."""
        return [row.address for row in self.rows if row.confirmed_at is None]

    @property
    def address(self) -> Address:
        """Local-part as given, at its domain."""
        return Address(self.local_part, self.domain.name)


class AliasTarget(Base):
    """One address that an alias names."""

    __tablename__ = "alias_target"
    __table_args__ = (Index(None, "address"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    alias_id: Mapped[int] = mapped_column(ForeignKey("alias.id", ondelete="CASCADE"), index=True)
    address: Mapped[str]  # as compared
    confirmed_at: Mapped[int | None] = mapped_column(BigInteger, default=None)  # None: it is in no snapshot
    # What the last mail to a target at another host came to, when that was nothing.
    failed_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    failure: Mapped[str | None] = mapped_column(default=None)  # status (RFC 3463), then the other host's words
