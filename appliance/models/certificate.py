"""What names show of themselves in TLS."""

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.ext.associationproxy import AssociationProxy, association_proxy
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Id, Row
from appliance.models.tenant import Tenant


class Certificate(Row, Base):
    """A chain and its private key, which only the role tls can open."""

    __tablename__ = "certificate"

    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"), index=True)
    origin: Mapped[str]  # self-signed, uploaded
    chain: Mapped[str]  # PEM, the names' own certificate first
    sealed_key: Mapped[str]  # base64
    fingerprint: Mapped[str]  # SHA-256 of the first certificate, hexadecimal
    not_before: Mapped[int] = mapped_column(BigInteger)
    not_after: Mapped[int] = mapped_column(BigInteger)

    tenant: Mapped[Tenant] = relationship(lazy="joined", innerjoin=True)
    rows: Mapped[list["CertificateName"]] = relationship(
        lazy="selectin", cascade="all, delete-orphan", passive_deletes=True, order_by="CertificateName.id"
    )
    names: AssociationProxy[list[str]] = association_proxy(
        "rows", "name", creator=lambda name: CertificateName(name=name)
    )


class CertificateName(Base):
    """A name that a certificate is good for: an A-label, or `*.` and a domain."""

    __tablename__ = "certificate_name"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    certificate_id: Mapped[int] = mapped_column(ForeignKey("certificate.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(index=True)
