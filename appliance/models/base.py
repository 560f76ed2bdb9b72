"""What all tables share.

A reader would otherwise get wrong: ids are never given twice (AUTOINCREMENT), also after a removal - the snapshot, the
audit log and the mail store remember them longer than the row lives. Times are seconds since 1970, UTC.
"""

import time
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Integer, MetaData, or_
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

# 64 bits where the server distinguishes; SQLite's INTEGER has them anyway, and only that name may count up by itself.
Id = BigInteger().with_variant(Integer(), "sqlite")


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


class Base(DeclarativeBase):
    """Base of all tables."""

    # Named constraints: SQLite cannot drop what has no name, so a migration could not be reversed.
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    __table_args__: Any = {"sqlite_autoincrement": True}  # noqa: RUF012 - SQLAlchemy declares it so


class Row:
    """An id, when it was made, and a counter that rises with each change (for ETags)."""

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    created_at: Mapped[int] = mapped_column(BigInteger, default=now)
    version: Mapped[int] = mapped_column(Integer, default=1)


class Suspendable:
    """Something whose mail or log-ins may stand still without being removed.

    A reader would otherwise get wrong: several may have said so, each in his rank. A bit for each rank stands in each column,
    so that what one of them said outlives what another says later.
    """

    receiving_held: Mapped[int] = mapped_column(default=0, server_default="0")
    sending_held: Mapped[int] = mapped_column(default=0, server_default="0")
    log_in_held: Mapped[int] = mapped_column(default=0, server_default="0")

    @hybrid_property
    def suspended(self) -> bool:
        """Does anything stand still?"""
        return bool(self.receiving_held | self.sending_held | self.log_in_held)

    @suspended.inplace.expression
    @classmethod
    def _suspended(cls) -> ColumnElement[bool]:
        return or_(cls.receiving_held != 0, cls.sending_held != 0, cls.log_in_held != 0)

    @property
    def suspended_for(self) -> list[str]:
        """What stands still: `receive`, `send`, `log_in`."""
        held = {"receive": self.receiving_held, "send": self.sending_held, "log_in": self.log_in_held}
        return [name for name, by in held.items() if by]
