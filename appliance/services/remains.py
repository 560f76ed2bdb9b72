"""Rows that go together: taken aside as they are, and put back. `removals` asks who may.

A reader would otherwise get wrong: what hangs on a row is found by the foreign keys of the tables, so a table that is added later
comes along by itself. What lets somebody in (sessions, links) is left out: whoever was logged in is so no more.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, func, insert, or_, select
from sqlalchemy.exc import IntegrityError

from appliance.database.session import Session
from appliance.errors import Conflict
from appliance.models import Base, RemovedRows, SenderGrant

PIECE = 500  # rows in one piece; SQLite takes 32,766 values in a statement
_LEFT_OUT = frozenset({"login_session", "login_link", "login_step", "login_attempt", "recovery_mail", "removed_rows"})
_TABLES = Base.metadata.tables

Conditions = dict[Table, ColumnElement[bool]]


def of(name: str, id_: int) -> Conditions:
    """Which rows hang on the row *id_* of the table *name*, itself first: a condition for each table, parents before children."""
    root = _TABLES[name]
    found: Conditions = {root: root.c.id == id_}
    for table in Base.metadata.sorted_tables:
        if table is root or table.name in _LEFT_OUT:
            continue
        hanging = [
            foreign.parent.in_(select(foreign.column).where(found[foreign.column.table]))
            for foreign in sorted(table.foreign_keys, key=lambda each: each.parent.name)
            if foreign.column.table in found and foreign.column.table is not table
        ]
        if hanging:
            found[table] = or_(*hanging)
    return found


def of_domain(id_: int, name: str) -> Conditions:
    """As `of`, for a domain; and what mailboxes elsewhere may write as in it, which goes with it."""
    found = of("domain", id_)
    grants = _TABLES[SenderGrant.__tablename__]
    found[grants] = or_(found[grants], grants.c.address.endswith(f"@{name}", autoescape=True))
    return found


def count(session: Session, conditions: Conditions, name: str, *more: ColumnElement[Any]) -> tuple[Any, ...]:
    """How many rows of the table *name* are among them; and *more*, aggregates of its columns."""
    table = _TABLES[name]
    if table not in conditions:
        return (0, *(None for _ in more))
    return tuple(session.execute(select(func.count(), *more).select_from(table).where(conditions[table])).one())


def keep(session: Session, conditions: Conditions, removal_id: int) -> None:
    """Write down all that the *conditions* find, as belonging to the removal."""
    for table, condition in conditions.items():
        for piece in _pieces(session, table, condition):
            session.add(RemovedRows(removal_id=removal_id, table=table.name, rows=piece))
            session.flush()


def _pieces(session: Session, table: Table, condition: ColumnElement[bool]) -> Iterator[list[dict[str, Any]]]:
    (key,) = table.primary_key.columns
    last = -1
    while True:
        wanted = select(table).where(and_(condition, key > last)).order_by(key).limit(PIECE)
        piece = [dict(row) for row in session.execute(wanted).mappings()]
        if not piece:
            return
        yield piece
        last = piece[-1][key.name]


def put_back(session: Session, removal_id: int, changed: Mapping[str, Mapping[str, Any]]) -> None:
    """Everything of the removal to where it was; *changed*: values by table that are other ones now.

    A row that belongs to somebody who is gone meanwhile goes with him; a column that there is no more, too.

    Raises:
        Conflict: something else stands in the place of one.
    """
    numbers = list(
        session.scalars(select(RemovedRows.id).where(RemovedRows.removal_id == removal_id).order_by(RemovedRows.id))
    )
    for number in numbers:
        piece = session.get_one(RemovedRows, number)
        table = _TABLES.get(piece.table)
        if table is not None:
            over = changed.get(table.name, {})
            rows = [{name: value for name, value in {**row, **over}.items() if name in table.c} for row in piece.rows]
            _insert(session, table, _with_all_parents(session, table, rows))
        session.expunge(piece)  # Of a large domain not all of it is to be held at once.


def _insert(session: Session, table: Table, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    try:
        session.execute(insert(table), rows)
    except IntegrityError as error:
        raise Conflict(
            f"something that was made since stands in the place of a {table.name.replace('_', ' ')}", code="place_taken"
        ) from error


def _with_all_parents(session: Session, table: Table, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for foreign in table.foreign_keys:
        name, there = foreign.parent.name, foreign.column
        named = {row[name] for row in rows if row.get(name) is not None}
        known = set(session.scalars(select(there).where(there.in_(named)))) if named else set()
        rows = [row for row in rows if row.get(name) is None or row[name] in known]
    return rows
