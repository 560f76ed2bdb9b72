"""Typed settings, read once from postern.toml.

A reader would otherwise get wrong: paths in the file are relative to the *file*, not to where the command was started; here
they are absolute already. Each field's `title` is the comment that `init` writes above it, its `description` what it takes;
both are shown to people, so a setting without them is unfinished. The supervisor imports this as root: keep it light.
"""

import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from appliance.errors import SettingsError
from mta.vocabulary import is_domain

DEFAULT_UID_BASE = 1_900_000_000
SEARCHED = (Path("postern.toml"), Path("/etc/postern/postern.toml"))
VARIABLE = "POSTERN_CONFIG"

_UNITS = {"": 1, "B": 1, "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}
_SIZE = re.compile(r"([0-9]{1,15})\s*([KMGT]i?B|B|)\Z", re.IGNORECASE)
_PANEL = re.compile(r"(https?://[A-Za-z0-9.\[\]:-]{1,260}(/[A-Za-z0-9._~-]{1,60}){0,5}/?)?\Z")
_DATABASE = re.compile(r"(sqlite:///.+|postgresql(\+psycopg)?://.+)\Z")


class Endpoint(NamedTuple):
    """Where to listen, or whom to ask: an address literal (or a name, for next hops) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_size(text: str) -> int:
    """Octets in *text*, such as `50 MiB`, `10GiB` or `1048576`; KB, MB and GB are read as their binary neighbours.

    Raises:
        ValueError: it is not a size.
    """
    match = _SIZE.match(text.strip())
    if not match:
        raise ValueError("not a size")
    unit = match[2].upper()
    return int(match[1]) * _UNITS[unit if unit in _UNITS else f"{unit[0]}IB"]


def render_size(octets: int) -> str:
    """*octets* in the largest unit that loses nothing."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if octets and octets % _UNITS[unit.upper()] == 0:
            return f"{octets // _UNITS[unit.upper()]} {unit}"
    return str(octets)


def _size(value: object) -> object:
    return parse_size(value) if isinstance(value, str) else value


def _endpoint(value: object) -> Endpoint:
    if isinstance(value, Endpoint):
        return value
    if not isinstance(value, str):
        raise ValueError("not an address:port")  # noqa: TRY004 - pydantic wants ValueError
    host, colon, port = value.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isascii() or not port.isdigit() or not 0 < int(port) < 1 << 16:
        raise ValueError("not an address:port")
    return Endpoint(host, int(port))


def _literal(value: object) -> Endpoint:
    endpoint = _endpoint(value)
    ipaddress.ip_address(endpoint.host)
    return endpoint


def _next_hop(value: object) -> Endpoint:
    endpoint = _endpoint(value)
    if not is_domain(endpoint.host.lower()):
        ipaddress.ip_address(endpoint.host)
    return endpoint


def _client_server(value: object) -> Endpoint | None:
    if value in ("", None):
        return None
    endpoint = _endpoint(value)
    if not is_domain(endpoint.host.lower()):
        raise ValueError("not a host name and a port")
    return Endpoint(endpoint.host.lower(), endpoint.port)


def _network(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("not a network")  # noqa: TRY004 - pydantic wants ValueError
    return str(ipaddress.ip_network(value))


def _host_name(value: object) -> object:
    if not isinstance(value, str) or not is_domain(value.lower()):
        raise ValueError("not a host name")
    return value.lower()


def _routed(value: object) -> object:
    return value if value == "*" else _host_name(value)


def _short(routes: dict[str, Endpoint]) -> dict[str, Endpoint]:
    if sum(len(name) + len(str(hop)) + 2 for name, hop in routes.items()) > _LONGEST_LIST:
        raise ValueError("more than travels in one piece")
    return routes


def _panel_url(value: object) -> object:
    if not isinstance(value, str) or not _PANEL.match(value):
        raise ValueError("not the address of a panel")
    return value.rstrip("/")


def _database(value: object) -> object:
    if not isinstance(value, str) or not _DATABASE.match(value):
        raise ValueError("not a database address")
    return value


Size = Annotated[int, BeforeValidator(_size)]
Listening = Annotated[Endpoint, BeforeValidator(_literal)]
NextHop = Annotated[Endpoint, BeforeValidator(_next_hop)]
ClientServer = Annotated[Endpoint | None, BeforeValidator(_client_server)]
Network = Annotated[str, BeforeValidator(_network)]
Routed = Annotated[str, BeforeValidator(_routed)]
Routes = Annotated[dict[Routed, NextHop], AfterValidator(_short)]
HostName = Annotated[str, BeforeValidator(_host_name)]
PanelUrl = Annotated[str, BeforeValidator(_panel_url)]
DatabaseUrl = Annotated[str, BeforeValidator(_database)]

_ENDPOINTS = 'a list of "address:port" with an IP address, such as ["127.0.0.1:2525", "[::1]:2525"]; [] is off'
_NETWORKS = 'a list of networks, such as ["192.0.2.0/24", "2001:db8::/32"]; at most 150'
_MAX_ROUTES = 100
_MAX_NETWORKS = 150
_MAX_WEBHOOK_HOSTS = 50
_LONGEST_LIST = 8000  # octets in which one setting travels to the roles


class Section(BaseModel):
    """A table of the file: frozen, and strict about what it takes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _listen(title: str, *default: str) -> Any:  # noqa: ANN401 - as Field itself
    return Field([_literal(text) for text in default], title=title, description=_ENDPOINTS)


def _number(title: str, default: int, low: int, high: int) -> Any:  # noqa: ANN401 - as Field itself
    return Field(default, title=title, ge=low, le=high, description=f"a whole number from {low} to {high}")


def _bytes(title: str, default: str, low: str, high: str) -> Any:  # noqa: ANN401 - as Field itself
    takes = f'a size such as "{default}", from {low} to {high}'
    return Field(parse_size(default), title=title, ge=parse_size(low), le=parse_size(high), description=takes)


def _networks(title: str, *default: str) -> Any:  # noqa: ANN401 - as Field itself
    return Field(list(default), title=title, description=_NETWORKS, max_length=_MAX_NETWORKS)


class Host(Section):
    """[host]."""

    name: HostName = Field(
        title="what this machine calls itself in SMTP; its postmaster gets what nobody else answers for",
        description='a full host name in ASCII, such as "mx.example.net"',
    )
    panel_url: PanelUrl = Field(
        "",
        title="where people outside reach the panel: links in mails to them begin with it; empty: https:// and the name above",
        description='an address such as "https://mail.example.net", or ""',
    )
    state: str = Field(
        "var",
        title="everything the appliance writes lives below; relative to this file",
        description="a folder",
        min_length=1,
    )
    uid_base: int = _number(
        "as root, each role's uid is this plus its number, each domain's this plus 100000 and more;\n"
        "never change it once there is mail",
        DEFAULT_UID_BASE,
        1000,
        4_000_000_000,
    )
    wake_all: bool = Field(
        False,
        title="start every process at once; otherwise some sleep, and take no memory, until they are first asked.\n"
        "Needs a new start",
        description="true or false",
    )


class Database(Section):
    """[database]."""

    url: DatabaseUrl = Field(
        "sqlite:///var/postern.db",
        title="sqlite:///FILE (relative to this file; four slashes for an absolute one) or postgresql://…",
        description='"sqlite:///FILE" or "postgresql://USER@HOST/NAME"',
    )


class Listen(Section):
    """[listen]."""

    smtp: list[Listening] = _listen(
        'mail from other servers; in production ["0.0.0.0:25", "[::]:25"]', "127.0.0.1:2525"
    )
    submission: list[Listening] = _listen("mail from users, STARTTLS", "127.0.0.1:2587")
    submissions: list[Listening] = _listen("mail from users, TLS from the start", "127.0.0.1:2465")
    local: bool = Field(
        True,
        title="programs on this machine may send, as any user's may by sendmail(8): `postern sendmail`",
        description="true or false",
    )
    qmtp: list[Listening] = _listen("Quick Mail Transfer Protocol")
    qmqp: list[Listening] = _listen("Quick Mail Queueing Protocol")
    panel: list[Listening] = _listen("REST API and panel", "127.0.0.1:8080")
    metrics: list[Listening] = _listen("figures for Prometheus", "127.0.0.1:9101")


class Smtpd(Section):
    """[smtpd]."""

    isolation: str = Field(
        "worker",
        title='"worker": many conversations in one process; "connection": a process and uid for each. Needs a new start',
        pattern="^(worker|connection)$",
        description='"worker" or "connection"',
    )
    workers: int = _number("how many smtpd processes", 2, 1, 64)
    max_connections: int = _number("conversations at once", 1000, 1, 100_000)
    max_connections_per_client: int = _number("of one client address (IPv6: /64); 0 = no limit", 50, 0, 100_000)
    max_connections_per_network: int = _number("of one network (IPv4: /24, IPv6: /48); 0 = no limit", 200, 0, 100_000)
    max_message_size: Size = _bytes(
        "the largest message taken, as its content comes over the wire", "50 MiB", "64 KiB", "2 GiB"
    )
    relay_clients: list[Network] = _networks("networks that may relay without authentication")
    proxy_clients: list[Network] = _networks("load balancers: each connection from them must begin with a PROXY header")
    deny_clients: list[Network] = _networks("networks turned away at connect")
    allow_clients: list[Network] = _networks(
        "networks let in whatever deny_clients says, without delay, whatever their rate and network",
        "127.0.0.0/8", "::1/128",
    )  # fmt: skip
    dnsbl: list[HostName] = Field(
        [],
        title='DNS lists, such as ["zen.example.net"]; a client that one names is refused where a domain has not chosen otherwise',
        description='a list of zones, such as ["zen.example.net"]; at most 10',
        max_length=10,
    )
    reverse_dns: str = Field(
        "off",
        title='"require": clients whose address has no name that leads back to it are told to mend that first (450)',
        pattern="^(off|require)$",
        description='"off" or "require"',
    )
    qmtp_clients: list[Network] = _networks("who may speak QMTP")
    qmqp_clients: list[Network] = _networks("who may speak QMQP")


Mechanism = Annotated[str, Field(pattern=r"^(PLAIN|LOGIN|SCRAM-SHA-256)$")]


class Submission(Section):
    """[submission]."""

    workers: int = _number(
        "how many processes for users who send; other servers' mail never passes through them", 1, 1, 64
    )
    max_connections: int = _number("of users at once; other servers' count apart", 500, 1, 100_000)
    max_connections_per_client: int = _number("of one client address (IPv6: /64); 0 = no limit", 50, 0, 100_000)
    mechanisms: list[Mechanism] = Field(
        ["PLAIN", "LOGIN", "SCRAM-SHA-256"],
        title="how users may log in, always under TLS. Passwords imported as hashes fit SCRAM-SHA-256 only after the first\n"
        "log-in by another: leave it out while programs that insist on it fail",
        description='a list of "PLAIN", "LOGIN" and "SCRAM-SHA-256" with at least one of them',
        min_length=1,
    )


class Dns(Section):
    """[dns]."""

    servers: list[Listening] = Field(
        [Endpoint("127.0.0.53", 53)],
        title="name servers to ask; a validating resolver on loopback is recommended",
        description='a list of "address:port" with at least one resolver',
        min_length=1,
    )


class Outbound(Section):
    """[outbound]."""

    routes: Routes = Field(
        {},
        title='fixed next hops by domain, such as { "remote.example" = "192.0.2.1:25" }; "*" = smarthost for all others.\n'
        "With logins, demands on TLS and for senders: `postern route`",
        description=f'a table of domain = "host:port"; at most {_MAX_ROUTES}',
        max_length=_MAX_ROUTES,
    )
    port: int = _number("the port other servers listen on", 25, 1, 65535)
    max_destinations: int = _number(
        "destinations that mail goes to at once, each with a process of its own; at most half of them for those that were\n"
        "in trouble before",
        100, 2, 5000,
    )  # fmt: skip
    connections_per_destination: int = _number("connections to one destination at once", 20, 1, 200)
    authorities: str = Field(
        "",
        title="authorities besides this machine's whose certificates prove who another server is, such as a smarthost of one's own",
        description="the absolute path of a file of certificates (PEM); empty: none",
        pattern="^(/.+)?$",
    )
    allow_loopback: bool = Field(
        False,
        title="may MX records lead to this machine itself? For tests: everywhere else that is a loop",
        description="true or false",
    )
    webhook_hosts: list[NextHop] = Field(
        [],
        title='hosts of one\'s own network that webhooks may call, such as ["billing.example.net:8443"]; without it they reach\n'
        "port 443 of public addresses alone. Needs a new start",
        description='a list of "host:port"; at most 50',
        max_length=_MAX_WEBHOOK_HOSTS,
    )
    tls_reports: str = Field(
        "",
        title="the address from which domains that ask for it are mailed once a day how TLS with their hosts went (RFC 8460), and\n"
        "whom they may ask; of a domain that is served here, whose key signs the reports. Empty: nobody is. Needs a new start",
        description='an address such as "tls-reports@example.net", or ""',
        pattern=r"^([A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@[a-z0-9.-]{1,255})?$",
        max_length=320,
    )
    bounce_format: str = Field(
        "dsn",
        title='"qsbmf": failures are told as qmail told them, for tools that read nothing else',
        pattern="^(dsn|qsbmf)$",
        description='"dsn" or "qsbmf"',
    )


class Clients(Section):
    """[clients]."""

    imap: ClientServer = Field(
        None,
        title="where people's mail programs read mail: the IMAP server that you run over mail/ (see README), as they reach it.\n"
        "With port 993 they use TLS from the start, with another STARTTLS. The set-up page, autoconfig, Autodiscover and\n"
        'Apple\'s profiles name it; "": nobody is told',
        description='"host:port" such as "imap.example.net:993", or ""',
    )


class Limits(Section):
    """[limits]."""

    queue_lifetime_days: int = _number("days a message is tried before it fails", 5, 1, 30)
    bounce_lifetime_days: int = _number("days a notification of ours is tried before it is dropped", 1, 1, 30)
    delay_warning_hours: int = _number(
        "hours after which a sender of ours hears that a message is delayed and still tried; 0 = never", 4, 0, 720
    )
    max_recipients: int = _number("recipients of one message (RFC 5321 wants at least 100)", 1000, 100, 10_000)
    max_expansion: int = _number("mailboxes that one recipient may expand to", 1000, 1, 100_000)
    default_quota: Size = _bytes("quota of a mailbox made without one; 0 = none", "0", "0", "1024 TiB")
    sends_per_hour: int = _number(
        "recipients a mailbox may write to in an hour, where it has no limit of its own; 0 = no limit",
        1000,
        0,
        100_000_000,
    )
    sends_per_day: int = _number("the same in a day", 5000, 0, 100_000_000)
    hijack_brake: bool = Field(
        True,
        title="stop a mailbox that writes to many more recipients than it ever did, until somebody looked",
        description="true or false",
    )
    unknown_recipients_per_minute: int = _number(
        "unknown recipients a client may name in a minute before answers slow down", 20, 1, 10_000
    )
    unknown_recipients_in_total: int = _number(
        "unknown recipients all clients may name in a minute before answers slow down", 2000, 1, 1_000_000
    )
    tarpit_seconds: int = _number("seconds that an answer waits then", 5, 0, 60)
    recipients_per_minute: int = _number(
        "recipients one client may name in a minute before it is told 451; not for smtpd.allow_clients. 0 = no limit",
        6000, 0, 10_000_000,
    )  # fmt: skip
    messages_per_minute: int = _number(
        "messages taken from one client in a minute, likewise. 0 = no limit", 3000, 0, 10_000_000
    )
    connections_per_minute_per_client: int = _number(
        "how often one client (IPv6: /64) may connect; 0 = no limit", 300, 0, 1_000_000
    )
    connections_per_minute_per_network: int = _number(
        "the same of one network (IPv4: /24, IPv6: /48); 0 = no limit", 1200, 0, 1_000_000
    )
    greeting_delay_seconds: int = _number(
        "seconds that strangers wait for the greeting; who speaks before it gets 554. 0 = nobody waits", 2, 0, 30
    )
    max_errors: int = _number("commands that make no sense before a conversation ends with 421", 10, 1, 1000)
    command_timeout_seconds: int = _number("seconds a client may think (RFC 5321 4.5.3.2.7)", 300, 1, 3600)
    session_timeout_seconds: int = _number(
        "seconds one conversation may last before its next command is refused; a message in hand has as long again",
        3600,
        60,
        3600,
    )
    conversations_per_worker: int = _number("an smtpd process is replaced after so many", 10_000, 1, 100_000_000)
    min_free_space: Size = _bytes("free disk space below which mail is deferred at RCPT", "64 MiB", "0", "1 TiB")
    trash_days: int = _number("days a removed mailbox's mail is kept aside", 30, 0, 3650)
    trace_days: int = _number("days for which it is remembered what became of a message", 30, 1, 3650)
    trace_size: Size = _bytes("the same, in octets on disk; the oldest goes first", "4 GiB", "16 MiB", "1024 GiB")
    session_hours: int = _number("hours until the panel asks for the password again", 12, 1, 720)
    logins_per_minute: int = _number("wrong passwords from one address in a minute before it must wait", 10, 1, 1000)
    api_requests_per_minute: int = _number(
        "requests that one API key may make in a minute, an operator's ten times as many; 0 = no limit",
        6000,
        0,
        10_000_000,
    )


class Settings(Section):
    """The whole file."""

    host: Host
    database: Database = Database()
    listen: Listen = Listen()
    smtpd: Smtpd = Smtpd()
    submission: Submission = Submission()
    dns: Dns = Dns()
    outbound: Outbound = Outbound()
    clients: Clients = Clients()
    limits: Limits = Limits()
    file: Path = Field(exclude=True)  # Not a key of the file: where it was read.

    @property
    def state(self) -> Path:
        """The state folder, absolute."""
        return self.file.parent / self.host.state

    @property
    def database_url(self) -> str:
        """The database's address with an absolute path."""
        scheme, _, rest = self.database.url.partition(":///")
        return f"sqlite:///{self.file.parent / rest}" if scheme == "sqlite" else self.database.url

    @property
    def fixed_routes(self) -> dict[str, str]:
        """[outbound] routes as plain text."""
        return {name: str(hop) for name, hop in self.outbound.routes.items()}

    @property
    def database_file(self) -> Path | None:
        """The SQLite file, or None for a server."""
        url = self.database_url
        return Path(url.removeprefix("sqlite:///")) if url.startswith("sqlite:///") else None


def find_settings(given: str | os.PathLike[str] | None = None) -> Path:
    """The file to read: *given*, else `$POSTERN_CONFIG`, else ./postern.toml, else /etc/postern/postern.toml.

    Raises:
        SettingsError: none of them is there.
    """
    named = given or os.environ.get(VARIABLE)
    if named:
        return Path(named).absolute()
    for path in SEARCHED:
        if os.path.exists(path):  # noqa: PTH110 - Path.exists raises where the folder may not be entered
            return path.absolute()
    raise SettingsError("there is no postern.toml here nor in /etc/postern: make one with `postern init`")


def load_settings(path: str | os.PathLike[str]) -> Settings:
    """Read and check the file at *path*.

    Raises:
        SettingsError: unreadable, not TOML, or a setting is unknown, of the wrong type or out of range.
    """
    path = Path(path).absolute()
    try:
        with path.open("rb") as file:
            tables = tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not TOML: {error}") from error
    return _checked(path, tables)


def _checked(path: Path, tables: dict[str, Any]) -> Settings:
    if "file" in tables:
        raise SettingsError(f"{path}: file: there is no such setting", field="file")
    try:
        return Settings.model_validate({**tables, "file": path})
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in details["loc"])
        raise SettingsError(f"{path}: {key}: {_complaint(details)}", field=key) from error


def _complaint(details: ErrorDetails) -> str:
    if details["type"] == "extra_forbidden":
        return "there is no such setting"
    field = _field(details["loc"])
    if details["type"] == "missing":
        return f"is missing; takes {field.description or 'a table'}" if field else "is missing"
    given = str(details["input"]).replace("\n", " ")
    takes = field.description if field and field.description else "a table of settings"
    return f"takes {takes}, not {given[:60]!r}"


def _field(location: tuple[int | str, ...]) -> FieldInfo | None:
    """The setting that *location* (section, key, perhaps an index) is about."""
    section = Settings.model_fields.get(str(location[0]))
    if section is None or len(location) == 1:
        return section
    kind = section.annotation
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return kind.model_fields.get(str(location[1]))
    return None


def render_settings(host: Host, database: Database) -> str:
    """The documented file that `init` writes: every setting with its default and what it is for."""
    given: dict[str, Section] = {"host": host, "database": database}
    parts = ["# Postern's settings. What is left out has the value shown here.\n"]
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            parts.append(_render_section(name, given.get(name) or kind()))
    return "\n".join(parts)


def _render_section(name: str, section: Section) -> str:
    lines = [f"[{name}]"]
    for key, field in type(section).model_fields.items():
        lines += [f"# {line}" for line in (field.title or "").splitlines()]
        lines.append(f"{key} = {_toml(getattr(section, key), is_size=_is_size(field))}")
    return "\n".join(lines) + "\n"


def _is_size(field: FieldInfo) -> bool:
    return (field.description or "").startswith("a size")


def _toml(value: object, *, is_size: bool = False) -> str:
    if is_size and isinstance(value, int):
        return f'"{render_size(value)}"'
    if isinstance(value, Endpoint):
        return f'"{value}"'
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + " }" if value else "{}"
    if isinstance(value, int):  # true and false, too
        return str(value).lower()
    escaped = ("" if value is None else str(value)).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def write_settings(path: Path, host: Host, database: Database) -> Settings:
    """Write the documented file at *path*, which must not be there yet, and read it back.

    Raises:
        SettingsError: it is there, or the folder cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(render_settings(host, database))
    except FileExistsError as error:
        raise SettingsError(f"{path} is already there") from error
    except OSError as error:
        raise SettingsError(f"{path}: cannot be written: {error.strerror}") from error
    return load_settings(path)
