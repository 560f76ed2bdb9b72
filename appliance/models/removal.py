"""What was removed and may be had back for a while.

A reader would otherwise get wrong: what is removed is not there any more. Its rows are taken out of their tables, into these, and
put back when the removal is undone; so nothing that looks at mailboxes or domains has to know of removals.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, Row


class Removal(Row, Base):
    """A domain, a mailbox or an alias that was removed; `created_at` says when."""

    __tablename__ = "removal"
    __table_args__ = (Index(None, "kind", "key"), Index(None, "until"), {"sqlite_autoincrement": True})

    kind: Mapped[str]  # domain, mailbox, alias
    key: Mapped[str]  # name of the domain, or the address as compared
    name: Mapped[str]  # as shown
    # No foreign keys: what they name may go first.
    tenant_id: Mapped[int] = mapped_column(BigInteger, index=True)
    domain_id: Mapped[int] = mapped_column(BigInteger, index=True)
    removed_by: Mapped[str]
    rank: Mapped[int]  # of who removed it: nobody below him undoes that
    until: Mapped[int] = mapped_column(BigInteger)  # as promised when it was removed
    # The compiler is about to forget it, and its name stays taken until the mail is gone.
    is_ending: Mapped[bool] = mapped_column(default=False)
    holds_name: Mapped[bool] = mapped_column(default=True)  # nobody else makes one of this name meanwhile
    domains: Mapped[int] = mapped_column(default=0)
    mailboxes: Mapped[int] = mapped_column(default=0)
    aliases: Mapped[int] = mapped_column(default=0)
    forwards: Mapped[int] = mapped_column(default=0)
    storage_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # quotas
    used_bytes: Mapped[int] = mapped_column(BigInteger, default=0)  # mail that is kept, as the ledger last reported
    has_unlimited: Mapped[bool] = mapped_column(default=False)  # a mailbox without a quota is among them


class RemovedRows(Base):
    """Some rows of one table, as they were. Only what is sealed there is secret in here, too."""

    __tablename__ = "removed_rows"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    removal_id: Mapped[int] = mapped_column(ForeignKey("removal.id", ondelete="CASCADE"), index=True)
    table: Mapped[str]
    rows: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
