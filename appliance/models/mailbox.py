"""A message store with an address."""

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.autoreply import Autoreply
from appliance.models.base import Base, Row, Suspendable
from appliance.models.domain import Domain
from appliance.models.forwarding import Forwarding
from mta.vocabulary import Address


class Mailbox(Row, Suspendable, Base):
    """A mailbox. Without a password nobody can log in, and it still receives."""

    __tablename__ = "mailbox"
    __table_args__ = (UniqueConstraint("domain_id", "folded"), {"sqlite_autoincrement": True})

    domain_id: Mapped[int] = mapped_column(ForeignKey("domain.id"))
    local_part: Mapped[str]  # as given
    folded: Mapped[str]  # as compared: mta.vocabulary.fold_local_part
    display_name: Mapped[str] = mapped_column(default="")
    sealed_hash: Mapped[str | None] = mapped_column(default=None)  # only the authenticator can open it
    quota_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # 0: no limit
    used_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # as the ledger last reported

    domain: Mapped[Domain] = relationship(lazy="joined", innerjoin=True)
    forwarding: Mapped[Forwarding | None] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True
    )
    autoreply: Mapped[Autoreply | None] = relationship(cascade="all, delete-orphan", passive_deletes=True)

    @property
    def address(self) -> Address:
        """Local-part as given, at its domain."""
        return Address(self.local_part, self.domain.name)

    @property
    def has_password(self) -> bool:
        """Can somebody log in?"""
        return self.sealed_hash is not None
