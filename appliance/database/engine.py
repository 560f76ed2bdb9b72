"""Opens SQLite or PostgreSQL with the same promises: foreign keys hold, writers wait for each other, a commit is durable.

A reader would otherwise get wrong: transactions begin here, by our own BEGIN. The driver's habit of beginning one only
before the first write would let two requests read the same state and both act on it.
"""

import sqlite3
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry

from appliance.database import server
from appliance.errors import SettingsError

BUSY_SECONDS = 5.0
WRITE = "postern_write"  # the execution option that asks for a writing transaction

__all__ = ["Engine", "open_engine"]


def open_engine(url: str, *, create: bool = False, busy_seconds: float = BUSY_SECONDS) -> Engine:
    """An engine for *url*; connects when first used.

    Raises:
        SettingsError: no such kind of database, or its driver is not installed.
    """
    if url.startswith("sqlite:///"):
        return _open_sqlite(Path(url.removeprefix("sqlite:///")), create=create, busy_seconds=busy_seconds)
    try:
        engine = create_engine(
            url, pool_pre_ping=True, connect_args={**server.LIBPQ, "connect_timeout": int(busy_seconds)}
        )
    except (ArgumentError, ImportError) as error:
        raise SettingsError(f"database.url: {error}", field="database.url") from error
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "begin", _begin_postgresql)
    return engine


def _open_sqlite(path: Path, *, create: bool, busy_seconds: float) -> Engine:
    mode = "rwc" if create else "rw"
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=busy_seconds, isolation_level=None, check_same_thread=False)

    engine = create_engine(URL.create("sqlite", database=str(path)), creator=connect)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # Readers never wait for the writer, nor he for them.
    cursor.execute("PRAGMA journal_mode = WAL")
    # FULL, though WAL survives without it: a commit that a power cut takes back would leave the snapshot ahead of the
    # database, and the compiler rightly refuses to publish what goes backwards.
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    # What a savepoint could take back is kept beside the database, by default in a file below /tmp: inside its sandbox no
    # process can open one, and SQLite would end the whole transaction.
    cursor.execute("PRAGMA temp_store = MEMORY")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE takes the write lock before the first look, so what a service checked is still so when it acts.
    writing = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _prepare_postgresql(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    # Whatever we ask takes milliseconds. To compile a question, or to wait for others who help with it, takes tens of them;
    # and who looks at a list has one core of many, not all that are free at the moment.
    cursor.execute("SET jit = off")
    cursor.execute("SET max_parallel_workers_per_gather = 0")
    cursor.close()
    connection.commit()


def _begin_postgresql(connection: Connection) -> None:
    # One writer at a time here too: the services' checks (limits, addresses held once) then need no other locks, and the
    # numbers of the change feed become visible in their order - a reader that saw 7 will never meet a late 6.
    if connection.get_execution_options().get(WRITE, False):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({server.WRITER_LOCK})")
