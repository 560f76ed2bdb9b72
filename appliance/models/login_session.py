"""Somebody is logged in to the panel."""

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.account import Account
from appliance.models.base import Base, Id, now
from appliance.models.mailbox import Mailbox


class LoginSession(Base):
    """A cookie's other half: only the SHA-256 of the token is kept, so a copy of the database opens no session."""

    __tablename__ = "login_session"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    csrf: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    mailbox_id: Mapped[int | None] = mapped_column(ForeignKey("mailbox.id", ondelete="CASCADE"), index=True)
    source: Mapped[str] = mapped_column(default="")
    program: Mapped[str] = mapped_column(default="", server_default="")  # the browser in plain words
    created_at: Mapped[int] = mapped_column(BigInteger, default=now)
    expires_at: Mapped[int] = mapped_column(BigInteger, index=True)
    # Somebody of support looks at what the owner sees; here is who, and to which session of his own he goes back.
    support_by: Mapped[str | None] = mapped_column(default=None)
    back_to_id: Mapped[int | None] = mapped_column(BigInteger, default=None)

    account: Mapped[Account | None] = relationship(lazy="selectin")
    mailbox: Mapped[Mailbox | None] = relationship(lazy="selectin")
