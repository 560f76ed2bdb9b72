"""A key that a program presents instead of a person's password."""

from sqlalchemy import JSON, BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Id, now
from appliance.models.tenant import Tenant


class ApiKey(Base):
    """Acts for its tenant. The secret is shown once; here is only its SHA-256 (256 random bits need no slow hash)."""

    __tablename__ = "api_key"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    public_id: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str]  # hexadecimal, of the part of the key after its second underscore
    name: Mapped[str] = mapped_column(default="")
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"), index=True)
    created_at: Mapped[int] = mapped_column(BigInteger, default=now)
    revoked_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    expires_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    actions: Mapped[list[str] | None] = mapped_column(
        JSON(none_as_null=True), default=None
    )  # None: all of its tenant's
    addresses: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True), default=None)  # address keys, domains
    networks: Mapped[list[str] | None] = mapped_column(JSON(none_as_null=True), default=None)  # None: from everywhere

    tenant: Mapped[Tenant] = relationship(lazy="joined", innerjoin=True)
