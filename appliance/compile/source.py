"""The database as the compiler uses it: plain statements over the driver itself.

A reader would otherwise get wrong: this is not `appliance.database` on purpose. The compiler is a process of its own that
must stay small, reads a million rows at a time, and must notice when the *file* under an open connection was replaced.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote

from appliance.database import server

BUSY_SECONDS = 1.0
ASK_SECONDS = 1.0
_BEGINNING = b"SQLite format 3\0"
PIECE = 2000  # rows fetched at a time

Row = tuple[Any, ...]


class DatabaseAway(Exception):
    """Missing, locked, empty, damaged, or not reachable. What is published stays; later it may be different."""


class Query(Protocol):
    """Statements within one transaction; parameters are written `?`."""

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """Each row."""

    def run(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """Change something; how many rows were."""


class Source(Protocol):
    """A database that can be read in one state, and written a little."""

    def reading(self) -> contextlib.AbstractContextManager[Query]:
        """One state, however long it takes.

        Raises:
            DatabaseAway: also from within.
        """

    def writing(self) -> contextlib.AbstractContextManager[Query]:
        """A transaction, committed at the end.

        Raises:
            DatabaseAway: also from within.
        """

    def stamp(self) -> object:
        """Something cheap that is different whenever others may have changed anything.

        Raises:
            DatabaseAway: it cannot be told.
        """

    def close(self) -> None:
        """Give it back."""


def open_source(url: str) -> Source:
    """The database at *url*; connects when first used, and again whenever it must."""
    if url.startswith("sqlite:///"):
        return SqliteSource(Path(url.removeprefix("sqlite:///")))
    return PostgresSource(url)


class SqliteSource:
    """A SQLite file. It is never made here: a file that went missing must be noticed, not replaced by an empty one."""

    def __init__(self, path: Path, busy_seconds: float = BUSY_SECONDS) -> None:
        self._path, self._busy_seconds = path, busy_seconds
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] = (0, 0)
        # Held for as long as the connection, to look at the file's first octets. Never opened and closed meanwhile: closing
        # any descriptor of the file would drop the locks of the connection too (POSIX), and others would then take
        # themselves for the last user and remove the log that it reads.
        self._file = -1

    @contextlib.contextmanager
    def reading(self) -> Iterator[Query]:
        """As `Source.reading`."""
        with self._transaction("BEGIN", "ROLLBACK") as query:
            yield query

    @contextlib.contextmanager
    def writing(self) -> Iterator[Query]:
        """As `Source.writing`."""
        with self._transaction("BEGIN IMMEDIATE", "COMMIT") as query:
            yield query

    def stamp(self) -> object:
        """As `Source.stamp`."""
        with self._translated():
            return self._identity, self._open().execute("PRAGMA data_version").fetchone()

    def close(self) -> None:
        """As `Source.close`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    @contextlib.contextmanager
    def _transaction(self, begin: str, end: str) -> Iterator[Query]:
        with self._translated():
            connection = self._open()
            connection.execute(begin)
            try:
                yield _SqliteQuery(connection)
                connection.execute(end)
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def _open(self) -> sqlite3.Connection:
        """The connection to the file that has the name *now*: one that was renamed away is somebody else's past."""
        try:
            status = self._path.stat()
            if self._connection is None or (status.st_dev, status.st_ino) != self._identity:
                self._connect()
        except OSError as error:
            self.close()
            raise DatabaseAway(f"{self._path}: {error.strerror}") from error
        if os.pread(self._file, len(_BEGINNING), 0) != _BEGINNING:
            # The connection would not notice: it goes on with the pages that it remembers.
            self.close()
            raise DatabaseAway(f"{self._path}: emptied, or not a database")
        assert self._connection is not None
        return self._connection

    def _connect(self) -> None:
        self.close()
        self._file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        status = os.fstat(self._file)
        self._identity = (status.st_dev, status.st_ino)
        uri = f"file:{quote(str(self._path.absolute()))}?mode=rw"
        self._connection = sqlite3.connect(
            uri, uri=True, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # Begin anew next time: a connection that saw a damaged or truncated file may remember pages of it.
            self.close()
            raise DatabaseAway(f"{self._path}: {error}") from error


class _SqliteQuery:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        yield from self._connection.execute(statement, parameters)

    def run(self, statement: str, parameters: Sequence[object] = ()) -> int:
        return self._connection.execute(statement, parameters).rowcount


class PostgresSource:
    """A PostgreSQL server."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg://", "postgresql://", 1)
        self._connection: Any = None  # psycopg is an extra: its types are not always there
        self._heard = 0  # how often somebody said that he committed something
        self._counted: object = None  # what the feeds' ends were when we last asked
        self._ask_at = 0.0

    @contextlib.contextmanager
    def reading(self) -> Iterator[Query]:
        """As `Source.reading`."""
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY") as query:
            yield query

    @contextlib.contextmanager
    def writing(self) -> Iterator[Query]:
        """As `Source.writing`."""
        with self._transaction("BEGIN") as query:
            query.run(f"SELECT pg_advisory_xact_lock({server.WRITER_LOCK})")
            yield query

    def stamp(self) -> object:
        """As `Source.stamp`."""
        # Whoever commits says so (`appliance.database.session`), and that costs no question. One a second, for those who did not.
        with self._translated():
            for _ in self._opened().notifies(timeout=0):
                self._heard += 1  # Those that came with answers to other questions are among them.
        if time.monotonic() >= self._ask_at:
            self._counted, self._ask_at = self._count(), time.monotonic() + ASK_SECONDS
        return self._heard, self._counted

    def _count(self) -> object:
        statement = "SELECT (SELECT max(id) FROM change), (SELECT max(id) FROM store_task), (SELECT max(id) FROM publish_request)"
        with self.reading() as query:
            return next(query.rows(statement))

    def close(self) -> None:
        """As `Source.close`."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Query]:
        with self._translated():
            connection = self._opened()
            connection.execute(begin)
            try:
                yield _PostgresQuery(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _opened(self) -> Any:  # noqa: ANN401 - as above
        import psycopg  # noqa: PLC0415 - an extra

        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._url, autocommit=True, **server.LIBPQ)
            self._connection.execute(f"LISTEN {server.CHANNEL}")
            self._heard += 1  # What was said meanwhile nobody heard.
        return self._connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            import psycopg  # noqa: PLC0415 - an extra
        except ImportError as error:
            raise DatabaseAway(f"the driver for PostgreSQL is not installed: {error}") from error
        try:
            yield
        except psycopg.Error as error:
            self.close()
            raise DatabaseAway(" ".join(str(error).split())) from error


class _PostgresQuery:
    def __init__(self, connection: Any) -> None:  # noqa: ANN401 - as above
        self._connection = connection
        self._cursors = 0

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        # A named cursor: a million rows must not come in one piece. Several may be open, one inside the other.
        self._cursors += 1
        with self._connection.cursor(name=f"compile_{self._cursors}") as cursor:
            cursor.itersize = PIECE
            yield from cursor.execute(statement.replace("?", "%s"), parameters)

    def run(self, statement: str, parameters: Sequence[object] = ()) -> int:
        return int(self._connection.execute(statement.replace("?", "%s"), parameters).rowcount)
