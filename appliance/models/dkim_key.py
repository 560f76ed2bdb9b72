"""What a domain's mail is signed with (DKIM)."""

from sqlalchemy import BigInteger, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row, now
from appliance.models.domain import Domain


class DkimKey(Row, Base):
    """One key under a selector of its own. Only the role signer can open the private half."""

    __tablename__ = "dkim_key"
    __table_args__ = (UniqueConstraint("domain_id", "selector"), {"sqlite_autoincrement": True})

    domain_id: Mapped[int] = mapped_column(ForeignKey("domain.id", ondelete="CASCADE"))
    selector: Mapped[str]
    algorithm: Mapped[str]  # rsa-sha256, ed25519-sha256
    public_key: Mapped[str]  # base64, as it stands in the TXT record
    sealed_key: Mapped[str]  # base64; empty once it signs no more
    state: Mapped[str]  # next: to be published before it signs; signing; retired: its record may go after a while
    changed_at: Mapped[int] = mapped_column(BigInteger, default=now)

    domain: Mapped[Domain] = relationship(lazy="joined", innerjoin=True)
