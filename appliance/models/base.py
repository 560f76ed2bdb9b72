"""What all tables share.

A reader would otherwise get wrong: ids are never given twice (AUTOINCREMENT), also after a removal - the snapshot, the
audit log and the mail store remember them longer than the row lives. Times are seconds since 1970, UTC.
"""

import time
from typing import Any

from sqlalchemy import BigInteger, Integer, MetaData
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
    """Something that may be switched off without being removed; remembers the rank of who did it."""

    suspended: Mapped[bool] = mapped_column(default=False)
    suspended_by: Mapped[str | None] = mapped_column(default=None)
