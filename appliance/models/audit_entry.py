"""Who did what, when, from where; written in the transaction of the deed.

A reader would otherwise get wrong: the table only ever grows. The database itself refuses to change or remove a row (triggers
of the migrations), and each row is tied to the one before it (`appliance.audit_chain`).
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now


class AuditEntry(Base):
    """One deed. No foreign keys: it outlives what it tells of."""

    __tablename__ = "audit_entry"
    __table_args__ = (
        Index(None, "tenant_id", "id"),
        Index(None, "subject", "id"),
        Index(None, "actor", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    at: Mapped[int] = mapped_column(BigInteger, default=now, index=True)
    actor_kind: Mapped[str]
    actor: Mapped[str]
    action: Mapped[str]  # noun.participle, such as mailbox.created
    subject: Mapped[str]
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    domain_id: Mapped[int | None] = mapped_column(BigInteger, index=True, default=None)
    before: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    after: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
    source: Mapped[str] = mapped_column(default="")
    digest: Mapped[str] = mapped_column(default="")  # of this row and the digest before it
