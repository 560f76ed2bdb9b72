"""One unit of work = one transaction, committed at the edge.

A reader would otherwise get wrong: services add rows and never commit. Who called them - a request, a command - does, by
leaving `unit_of_work`; so a mailbox never exists without its audit entry and its change entry.
"""

import itertools
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, Table, event, insert, orm, text
from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import SessionTransaction

from appliance.database import server
from appliance.database.engine import WRITE
from appliance.errors import DatabaseUnavailable, Invalid

__all__ = ["Session", "part_of_work", "reading", "unit_of_work"]


class Session(orm.Session):
    """SQLAlchemy's, which also takes rows that nobody changes again: they are written together, without an object for each.

    A reader would otherwise get wrong: they are written by each flush, so whatever asks the database afterwards finds them. A
    savepoint begins with a flush; so those that wait when one is taken back came behind it, and go with it.
    """

    def __init__(self, *given: Any, **named: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(*given, **named)
        self._noted: dict[Table, list[dict[str, Any]]] = {}

    def note(self, model: type[orm.DeclarativeBase], **row: object) -> None:
        """Write *row* of *model*, behind those that were noted of it before."""
        table = model.__table__
        assert isinstance(table, Table)
        self._noted.setdefault(table, []).append(row)

    def flush(self, objects: Sequence[Any] | None = None) -> None:
        """As SQLAlchemy's, then what was noted."""
        super().flush(objects)
        while self._noted:
            table = next(iter(self._noted))
            for _, alike in itertools.groupby(self._noted.pop(table), key=tuple):
                rows = list(alike)
                self.connection().execute(insert(table), rows if len(rows) > 1 else rows[0])

    def forget(self) -> None:
        """What was noted and not written yet is not to be written."""
        self._noted.clear()


@event.listens_for(Session, "after_soft_rollback")
def _forget(session: Session, _former: SessionTransaction) -> None:
    session.forget()


@contextmanager
def unit_of_work(engine: Engine, *, dry_run: bool = False) -> Iterator[Session]:
    """A session in a writing transaction: committed when the block ends, rolled back when it raises or for a *dry_run*.

    Raises:
        DatabaseUnavailable: missing, locked for too long, full, unreachable.
        Invalid: a value that no column can hold.
    """
    with (
        _translated(),
        Session(engine.execution_options(**{WRITE: True}), expire_on_commit=False) as session,
    ):
        yield session
        # What the database itself would refuse must show in a dry run too. Closing takes everything back, and unlike
        # rollback() leaves the rows' values, which the caller still wants to show.
        session.flush()
        if not dry_run:
            _say_so(session)
            session.commit()


@contextmanager
def part_of_work(session: Session, *, dry_run: bool = False) -> Iterator[None]:
    """A part of a unit of work that is taken back alone when it raises, or for a *dry_run*.

    Raises:
        DatabaseUnavailable, Invalid: as for `unit_of_work`; after the first the whole unit is lost.
    """
    with _translated():
        savepoint = session.begin_nested()
        try:
            yield
            session.flush()
        except BaseException:
            if savepoint.is_active:
                savepoint.rollback()
            raise
        if dry_run:
            savepoint.rollback()
        else:
            savepoint.commit()


def _say_so(session: Session) -> None:
    """Tell the compilers of all nodes, as soon as it is committed."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"NOTIFY {server.CHANNEL}"))


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that sees one state of the database and writes nothing.

    Raises:
        DatabaseUnavailable: missing, locked for too long, unreachable.
    """
    with _translated(), Session(engine, expire_on_commit=False, autoflush=False) as session:
        yield session  # Closing ends the transaction and, unlike rollback(), leaves the rows' values readable.


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (OperationalError, InterfaceError) as error:
        raise DatabaseUnavailable(f"the database cannot be used now: {_reason(error)}") from error
    except (DataError, UnicodeEncodeError, OverflowError) as error:
        # A number of a hundred digits, half a surrogate pair, a NUL: nothing that could be stored, so nothing that is there.
        raise Invalid("a value is not one that could be stored", code="bad_value") from error
    except DBAPIError as error:
        # A file that is no database at all comes as DatabaseError itself; its subclasses are our own mistakes.
        if type(error.orig) is sqlite3.DatabaseError:
            raise DatabaseUnavailable(f"the database cannot be used: {_reason(error)}") from error
        raise


def _reason(error: DBAPIError) -> str:
    return " ".join(str(error.orig).split())
