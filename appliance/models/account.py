"""Who may log in to the panel without being a mailbox owner."""

from sqlalchemy import JSON, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row
from appliance.models.domain import Domain
from appliance.models.tenant import Tenant


class Account(Row, Base):
    """An operator, reseller, customer or domain administrator, or support. Mailbox owners log in by their address instead."""

    __tablename__ = "account"

    name: Mapped[str] = mapped_column(unique=True)  # without an at-sign: never mistaken for a mailbox
    kind: Mapped[str]  # operator, reseller, customer, domain, support
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"), index=True)
    domain_id: Mapped[int | None] = mapped_column(ForeignKey("domain.id"), index=True, default=None)
    sealed_hash: Mapped[str | None] = mapped_column(default=None)
    # Of a domain administrator: the names of what he may, as `services.authorisation` lists them; None: all of it.
    rights: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True), default=None)
    must_change: Mapped[bool] = mapped_column(default=False)  # the password is a one-time one

    tenant: Mapped[Tenant] = relationship(lazy="joined", innerjoin=True)
    domain: Mapped[Domain | None] = relationship(lazy="selectin")
