"""The feeds that the compiler reads: what changed, what the storekeeper must do, who wants a publication.

A reader would otherwise get wrong: a change names a *key*, not a value. The compiler looks the key up as it is now, so
reading an entry twice, or late, does no harm.
"""

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, now


class Change(Base):
    """Something of this kind and key is different now, or gone."""

    __tablename__ = "change"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str]  # see appliance.services.changes
    key: Mapped[str]


class StoreTask(Base):
    """A store to make, to put aside or to bring back; removed by the compiler when the storekeeper has done it."""

    __tablename__ = "store_task"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    op: Mapped[str]  # make, trash; and for a removal: keep, restore, drop
    domain: Mapped[str]
    local_part: Mapped[str]  # folded; empty: the whole domain
    removal_id: Mapped[int | None] = mapped_column(BigInteger, default=None)
    until: Mapped[int | None] = mapped_column(BigInteger, default=None)  # of what is kept


class PublishRequest(Base):
    """`postern publish` waits for this."""

    __tablename__ = "publish_request"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    full: Mapped[bool] = mapped_column(default=False)
    requested_at: Mapped[int] = mapped_column(BigInteger, default=now)
    done_change: Mapped[int | None] = mapped_column(BigInteger, default=None)  # the compiler: published up to here
    failure: Mapped[str | None] = mapped_column(default=None)  # or why it would not
