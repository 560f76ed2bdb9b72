"""What takes longer than a request may: a list of operations that is worked off in the background.

A reader would otherwise get wrong: a job is asked for by somebody, a key or a person at the panel, and acts with his rights of
the moment; revoke the key, suspend the person, and the job ends. No request in here holds a secret that could be read: passwords
come as sealed hashes.
"""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from appliance.models.base import Base, Id, Row


class Job(Row, Base):
    """One job. What of it is done is written in the transaction that did it, so a crash repeats nothing."""

    __tablename__ = "job"
    __table_args__ = (Index(None, "tenant_id", "id"), {"sqlite_autoincrement": True})

    public_id: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]  # batch, apply, import; of the panel: bulk, undo, export
    # reading: its operations are yet to come; looking: what would become of it is found out; draft: that is known, and it waits
    # for a word; waiting, running, done, failed
    state: Mapped[str] = mapped_column(default="waiting", index=True)
    asked_by: Mapped[str] = mapped_column(index=True)  # an actor's name: of a key, an account, a mailbox
    source: Mapped[str] = mapped_column(default="")  # from where, for the audit log
    tenant_id: Mapped[int] = mapped_column(BigInteger)
    request: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)  # forgotten when it is done
    about: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)  # what pages say of it
    total: Mapped[int] = mapped_column(BigInteger, default=0)
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    failed: Mapped[int] = mapped_column(BigInteger, default=0)  # of those that are done
    failure: Mapped[str | None] = mapped_column(default=None)  # why the whole of it failed
    ended_at: Mapped[int | None] = mapped_column(BigInteger, default=None)
    undo_until: Mapped[int | None] = mapped_column(BigInteger, default=None)  # until then what it changed comes back
    undone_at: Mapped[int | None] = mapped_column(BigInteger, default=None)


class JobPart(Base):
    """Some of a job's operations. A job of a hundred thousand is never in memory as a whole."""

    __tablename__ = "job_part"
    __table_args__ = (Index(None, "job_id", "position", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    position: Mapped[int]  # of its first operation
    operations: Mapped[list[dict[str, Any]]] = mapped_column(JSON)


class JobResult(Base):
    """What became of one operation of a job."""

    __tablename__ = "job_result"
    __table_args__ = (Index(None, "job_id", "position", unique=True), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_id: Mapped[int] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    position: Mapped[int]
    status: Mapped[int]
    body: Mapped[dict[str, Any] | None] = mapped_column(JSON, default=None)
