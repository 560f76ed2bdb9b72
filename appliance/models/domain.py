"""A domain that we serve."""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.base import Base, Row, Suspendable, now
from appliance.models.tenant import Tenant

FIRST_LOOK_SECONDS = 3600  # for which nobody looks unasked whether a new domain's records are there


class Domain(Row, Suspendable, Base):
    """A hosted domain, another name of one, or one whose mail is only relayed."""

    __tablename__ = "domain"
    __table_args__ = (Index(None, "dns_wrong", "name"), Index(None, "dns_due_at"), {"sqlite_autoincrement": True})

    name: Mapped[str] = mapped_column(unique=True)  # lower-case A-label
    kind: Mapped[str] = mapped_column(default="hosted")  # hosted, alias, relay
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"), index=True)
    alias_of_id: Mapped[int | None] = mapped_column(ForeignKey("domain.id"), index=True, default=None)
    catch_all: Mapped[str | None] = mapped_column(default=None)  # address that gets what nobody here answers for
    validation: Mapped[str] = mapped_column(default="rcpt")  # rcpt, data, off
    greylist: Mapped[bool] = mapped_column(default=False)
    dnsbl: Mapped[bool] = mapped_column(default=True)
    next_hop: Mapped[str | None] = mapped_column(default=None)  # of a relayed domain: host:port
    source: Mapped[str] = mapped_column(default="")  # who knows its recipients: "", list, ldap, call-ahead, hook
    source_settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # never a secret
    sealed_secret: Mapped[str | None] = mapped_column(default=None)  # only the role source can open it
    batv: Mapped[bool] = mapped_column(default=False)  # return paths are signed, and unsigned bounces refused
    language: Mapped[str] = mapped_column(default="en")  # of what we write to its people: en, de

    tag_separator: Mapped[str] = mapped_column(default="+", server_default="+")  # what a tag stands behind; empty: none
    local_only: Mapped[str] = mapped_column(
        default="", server_default=""
    )  # within what its mail stays: host, tenant, domain
    claim: Mapped[str] = mapped_column(default="", server_default="")  # what its owner publishes to prove that he is
    proved_at: Mapped[int | None] = mapped_column(BigInteger, default=None)  # None: it is in no snapshot
    # Of this domain alone, within what its tenants may have; None is no limit of its own.
    max_mailboxes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_aliases: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_forwards: Mapped[int | None] = mapped_column(BigInteger, default=None)
    max_storage_bytes: Mapped[int | None] = mapped_column(BigInteger, default=None)
    # What was found in its zone, of what mail rests on (`services.dns_checks`).
    dns_checked_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    dns_due_at: Mapped[int] = mapped_column(BigInteger, default=lambda: now() + FIRST_LOOK_SECONDS, server_default="0")
    dns_wrong: Mapped[bool] = mapped_column(default=False, server_default=false())
    dns_faults: Mapped[str] = mapped_column(default="", server_default="")  # such as "MX SPF"

    tenant: Mapped[Tenant] = relationship(lazy="joined", innerjoin=True)
    alias_of: Mapped["Domain | None"] = relationship(remote_side="Domain.id", lazy="selectin", join_depth=1)

    @property
    def unicode_name(self) -> str:
        """The name as people write it."""
        import idna  # noqa: PLC0415 - its tables cost 10 ms, and most names are plain

        if "xn--" not in self.name:
            return self.name
        try:
            return idna.decode(self.name)
        except idna.IDNAError:
            return self.name

    @property
    def dns_missing(self) -> list[str]:
        """Which kinds of record were missing or different at the last look, the most harmful first."""
        return self.dns_faults.split()

    @property
    def has_secret(self) -> bool:
        """Was the source given a password?"""
        return self.sealed_secret is not None
