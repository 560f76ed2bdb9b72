"""A recipient that somebody else stores."""

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id


class RelayRecipient(Base):
    """One line of a relayed domain's uploaded list. No more than that: a list has a hundred thousand."""

    __tablename__ = "relay_recipient"
    __table_args__ = (UniqueConstraint("domain_id", "folded"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    domain_id: Mapped[int] = mapped_column(ForeignKey("domain.id", ondelete="CASCADE"))
    folded: Mapped[str]  # as compared
