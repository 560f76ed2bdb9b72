"""Whom events are told to, over HTTPS.

A reader would otherwise get wrong: there is no queue of events. A webhook remembers how far in the feed it is, so an event is told
at least once and in order, however long the other side was away.
"""

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, Row, now


class Webhook(Row, Base):
    """One of a tenant's. Its secrets can be opened by the role compiler alone."""

    __tablename__ = "webhook"

    public_id: Mapped[str] = mapped_column(unique=True)
    tenant_id: Mapped[int] = mapped_column(ForeignKey("tenant.id"), index=True)
    url: Mapped[str]
    types: Mapped[list[str]] = mapped_column(JSON, default=list)  # such as mailbox.created, or mailbox.; empty: all
    sealed_secret: Mapped[str]
    old_sealed_secret: Mapped[str | None] = mapped_column(default=None)  # the one before it, while both are good
    old_until: Mapped[int | None] = mapped_column(BigInteger, default=None)
    enabled: Mapped[bool] = mapped_column(default=True)
    disabled_why: Mapped[str] = mapped_column(default="")  # when it was not its owner who stopped it
    told: Mapped[int] = mapped_column(BigInteger, default=0)  # the number of the last event that is dealt with
    attempts: Mapped[int] = mapped_column(default=0)  # at the event behind it, so far
    next_at: Mapped[int] = mapped_column(BigInteger, default=0)  # not before
    failing_since: Mapped[int | None] = mapped_column(BigInteger, default=None)


class WebhookDelivery(Base):
    """One attempt, for the log; or one that was asked for out of turn and waits."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index(None, "webhook_id", "id"), Index(None, "waits", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    event_id: Mapped[int] = mapped_column(BigInteger)  # 0: none, it is a test
    waits: Mapped[bool] = mapped_column(default=False)
    at: Mapped[int] = mapped_column(BigInteger, default=now)
    attempt: Mapped[int]  # which one at this event; 0: out of turn
    status: Mapped[int | None] = mapped_column(default=None)  # that the other side answered; None: it did not
    detail: Mapped[str] = mapped_column(default="")  # why it did not
    milliseconds: Mapped[int] = mapped_column(default=0)
