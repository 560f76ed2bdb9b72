"""How mail goes on to another server."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row
from appliance.models.domain import Domain


class Route(Row, Base):
    """Of mail to a domain, of mail that a domain of ours sends (`@domain`), or of all other mail (`*`)."""

    __tablename__ = "route"

    key: Mapped[str] = mapped_column(unique=True)
    # Whose route it is, where it is a customer's: the sender's, or the relayed domain itself. Else the operator's.
    domain_id: Mapped[int | None] = mapped_column(ForeignKey("domain.id", ondelete="CASCADE"), index=True, default=None)
    # host:port; none: by MX, or where the domain is relayed to
    next_hop: Mapped[str | None] = mapped_column(default=None)
    tls: Mapped[str] = mapped_column(default="may")  # none, may, verify, dane
    lmtp: Mapped[bool] = mapped_column(default=False)
    login: Mapped[str | None] = mapped_column(default=None)
    sealed_password: Mapped[str | None] = mapped_column(default=None)  # only the role remotespawn can open it
    source_address: Mapped[str | None] = mapped_column(default=None)

    domain: Mapped[Domain | None] = relationship(lazy="selectin")
