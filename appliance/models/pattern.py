"""Addresses that begin alike, all of one mailbox."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row
from appliance.models.domain import Domain
from appliance.models.mailbox import Mailbox


class Pattern(Row, Base):
    """What begins with *prefix*, goes on, and is nobody's by its whole name, is the mailbox's."""

    __tablename__ = "pattern"
    __table_args__ = (UniqueConstraint("domain_id", "folded"), {"sqlite_autoincrement": True})

    mailbox_id: Mapped[int] = mapped_column(ForeignKey("mailbox.id", ondelete="CASCADE"), index=True)
    domain_id: Mapped[int] = mapped_column(ForeignKey("domain.id"))  # the mailbox's own
    prefix: Mapped[str]  # what stands before the star, as given
    folded: Mapped[str]  # as compared

    mailbox: Mapped[Mailbox] = relationship(lazy="joined", innerjoin=True)
    domain: Mapped[Domain] = relationship(lazy="joined", innerjoin=True, viewonly=True)

    @property
    def text(self) -> str:
        """As it is typed."""
        return f"{self.prefix}*@{self.domain.name}"
