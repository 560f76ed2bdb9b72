"""A link that logs somebody in once, made by a program that knows who he is."""

from sqlalchemy import BigInteger, ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from appliance.models.account import Account
from appliance.models.base import Base, Id, now
from appliance.models.mailbox import Mailbox


class LoginLink(Base):
    """Of an account or a mailbox. Here is only the link's SHA-256 (256 random bits need no slow hash); used, it is removed."""

    __tablename__ = "login_link"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    token_sha256: Mapped[str] = mapped_column(unique=True)
    account_id: Mapped[int | None] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True, default=None
    )
    mailbox_id: Mapped[int | None] = mapped_column(
        ForeignKey("mailbox.id", ondelete="CASCADE"), index=True, default=None
    )
    made_by: Mapped[str]  # the key
    made_at: Mapped[int] = mapped_column(BigInteger, default=now)
    expires_at: Mapped[int] = mapped_column(BigInteger)
    is_support: Mapped[bool] = mapped_column(default=False, server_default=false())  # whoever follows it looks, no more

    account: Mapped[Account | None] = relationship(lazy="selectin")
    mailbox: Mapped[Mailbox | None] = relationship(lazy="selectin")
