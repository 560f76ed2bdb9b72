"""Where a database that is a server is to be called, by processes that may call nobody else.

A reader would otherwise get wrong: behind its walls such a process can ask no name server and reach no socket in /run, so the
address must be a literal. What libpq would look for besides - Kerberos tickets, files in a home folder - is switched off
instead of failing there.

Neither SQLAlchemy nor the settings are wanted here: the compiler is small.
"""

import contextlib
import importlib
import ipaddress
from typing import Any
from urllib.parse import urlsplit

from appliance.errors import SettingsError

DEFAULT_PORT = 5432
CONNECT_SECONDS = 5
WRITER_LOCK = 0x706F7374  # any number, as long as nobody else uses it in this PostgreSQL database
CHANNEL = "postern"  # LISTEN, NOTIFY: something was committed
LIBPQ: dict[str, Any] = {"gssencmode": "disable", "connect_timeout": CONNECT_SECONDS}
# What the driver imports on first use; inside the sandbox nothing can be loaded.
_LATE = (
    "psycopg", "psycopg.crdb", "psycopg.types.hstore", "psycopg.types.json", "psycopg.types.multirange", "psycopg.types.range",
    "zoneinfo",
)  # fmt: skip


def is_server(url: str) -> bool:
    """Is the database at *url* a server, not a file?"""
    return not url.startswith("sqlite:///")


def port_of(url: str) -> int:
    """The TCP port of the server at *url*.

    Raises:
        SettingsError: roles cannot call it: it has a name, or is a socket.
    """
    takes = "the roles reach PostgreSQL by TCP to an address: postgresql://USER:PASSWORD@127.0.0.1:5432/NAME"
    try:
        parts = urlsplit(url)
        ipaddress.ip_address(parts.hostname or "")
        port = parts.port or DEFAULT_PORT
    except ValueError as error:
        raise SettingsError(f"database.url: {takes}", field="database.url") from error
    if not parts.username or "host=" in parts.query:
        raise SettingsError(f"database.url: {takes}", field="database.url")
    return port


def preload() -> None:
    """Import all that the driver will want. Without the driver nothing: whoever connects says so."""
    with contextlib.suppress(ImportError):
        for name in _LATE:
            importlib.import_module(name)
