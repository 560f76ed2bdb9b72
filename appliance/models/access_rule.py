"""Whom a host, a domain or a mailbox lets in, and whom it keeps out."""

from sqlalchemy import BigInteger, ForeignKey, Index, Integer
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row
from appliance.models.domain import Domain
from appliance.models.mailbox import Mailbox


class AccessRule(Row, Base):
    """One line of a list that is read from the top; the first that fits decides.

    With neither domain nor mailbox it is the host's own; with a mailbox, its domain stands here too.
    """

    __tablename__ = "access_rule"
    __table_args__ = (Index(None, "domain_id", "mailbox_id", "position"), {"sqlite_autoincrement": True})

    domain_id: Mapped[int | None] = mapped_column(ForeignKey("domain.id", ondelete="CASCADE"), default=None)
    mailbox_id: Mapped[int | None] = mapped_column(
        ForeignKey("mailbox.id", ondelete="CASCADE"), index=True, default=None
    )
    position: Mapped[int] = mapped_column(Integer)  # from 1, without gaps, within its list
    verb: Mapped[str]  # allow, deny
    pattern: Mapped[str]  # a network, a whole address as compared, `domain` or `.domain`
    note: Mapped[str] = mapped_column(default="")
    expires_at: Mapped[int | None] = mapped_column(BigInteger, index=True, default=None)

    domain: Mapped[Domain | None] = relationship(lazy="selectin")
    mailbox: Mapped[Mailbox | None] = relationship(lazy="selectin")
