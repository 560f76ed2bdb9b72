"""What a table has whose rows are somebody's who signs in."""

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column


class OfPerson:
    """Of an account or of a mailbox's owner; exactly one of the two is set. Goes with him."""

    account_id: Mapped[int | None] = mapped_column(
        ForeignKey("account.id", ondelete="CASCADE"), index=True, default=None
    )
    mailbox_id: Mapped[int | None] = mapped_column(
        ForeignKey("mailbox.id", ondelete="CASCADE"), index=True, default=None
    )
