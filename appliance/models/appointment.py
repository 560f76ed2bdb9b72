"""What somebody may do besides what his account or his mailbox gives him already: one person may have several duties."""

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.account import Account
from appliance.models.base import Base, Row
from appliance.models.domain import Domain
from appliance.models.mailbox import Mailbox
from appliance.models.tenant import Tenant


class Appointment(Row, Base):
    """One further power of exactly one holder: an account, or the owner of a mailbox."""

    __tablename__ = "appointment"

    account_id: Mapped[int | None] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True, default=None
    )
    mailbox_id: Mapped[int | None] = mapped_column(
        ForeignKey("mailbox.id", ondelete="CASCADE"), index=True, default=None
    )
    kind: Mapped[str]  # operator, reseller, customer, domain, support
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id", ondelete="CASCADE"), index=True)
    domain_id: Mapped[int | None] = mapped_column(ForeignKey("domain.id", ondelete="CASCADE"), index=True, default=None)
    # Of a domain administrator: the names of what he may, as `services.authorisation` lists them; None: all of it.
    rights: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True), default=None)

    account: Mapped[Account | None] = relationship(lazy="selectin")
    mailbox: Mapped[Mailbox | None] = relationship(lazy="selectin")
    tenant: Mapped[Tenant] = relationship(lazy="joined", innerjoin=True)
    domain: Mapped[Domain | None] = relationship(lazy="selectin", foreign_keys=[domain_id])
