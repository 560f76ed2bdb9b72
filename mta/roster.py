"""THE table: every process, who it is, what it may do, to whom it may speak. Supervisor, sandbox and tests read it.

A reader would otherwise get wrong: this table is not documentation of the walls, it *is* the walls. A promise that is not
here is a system call that fails; an edge that is not here is a channel that never exists.
"""

import enum
from collections.abc import Mapping

from mta.record import dataclass, replace


class Promise(enum.Enum):
    """A group of system calls a role keeps after it entered its sandbox. Everything else answers EPERM."""

    STDIO = "stdio"  # memory, time, signals to itself, waiting, reading and writing what is already open
    CHANNELS = "channels"  # send and receive packets, with descriptors
    CLIENT_SOCKETS = "client-sockets"  # socket options and shutdown of sockets handed in
    ACCEPT = "accept"  # accept on handed listening sockets
    READ_FILES = "read-files"  # open for reading below the role's paths
    WRITE_FILES = "write-files"  # create, write, rename, unlink, sync below the role's paths
    THREADS = "threads"  # clone of threads only
    SPAWN = "spawn"  # fork, setres[ug]id into the role's pool, wait
    CALL_OUT = "call-out"  # TCP connections to any place; none to be called on
    CALL_FROM = "call-from"  # the same, from an address of this machine that is named before, and a port that is not
    CALL_HOOKS = "call-hooks"  # connections to sockets of operators' programs
    CALL_DATABASE = "call-database"  # TCP connections to the port of a database that is a server; none to be called on
    NAME_SERVERS = "name-servers"  # sockets of its own, to ask over UDP and TCP; none to be asked on
    CONVERSE = "converse"  # wait, read and write what is open, memory; a cell keeps this instead of all the others
    CHOWN_DOMAINS = "chown-domains"  # give folders to uids of the domains' range


class Access(enum.Enum):
    """What a role may do below a path."""

    READ = "read"
    WRITE = "write"  # read, create, replace and remove


@dataclass(frozen=True, slots=True)
class PathRule:
    """A path below the state directory that the role keeps, and how."""

    path: str
    access: Access


@dataclass(frozen=True, slots=True)
class Role:
    """One process of the house."""

    name: str
    number: int  # the uid is host.uid_base + number; a number is never given to another role
    module: str
    promises: frozenset[Promise]
    trusted: bool  # a bug here could break a promise to another user
    paths: tuple[PathRule, ...] = ()
    secrets: tuple[str, ...] = ()  # names of the keys it is handed in Begin
    group: str = ""  # the role whose gid it has instead of its own, where two write the same files
    memory_mib: int = 256  # RLIMIT_AS is useless with mmapped snapshots; this bounds RLIMIT_DATA
    open_files: int = 256
    file_mib: int = 0  # without WRITE_FILES: up to where it may write a file that it holds open
    files_each: int = 0  # descriptors, and memory, for each of so many connections, where that is more than the above
    kib_each: int = 0
    connections: tuple[str, ...] = ("smtpd.max_connections",)  # the settings whose sum that is
    instances: str = ""  # the setting that says how many there are; empty = one
    only_with: tuple[str, str] = ("", "")  # the setting, and its value (empty = any), with which this process exists
    listens: tuple[str, ...] = ()  # with sockets of one of these services this process exists; empty = always
    when_asked: bool = False  # the first time it is started when somebody asks it something; until then it sleeps
    pool: tuple[int, int] = (0, 0)  # whom its children may be: the first uid above host.uid_base, and how many


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder below the state directory: whose it is, and who may do what there where the kernel looks at uids only."""

    path: str
    owner: str  # a role's name; empty: root's
    group: str
    mode: int


@dataclass(frozen=True, slots=True)
class Edge:
    """*client* asks, *server* answers."""

    client: str
    server: str


TICKET_KEY = "ticket-key"  # who may say yes, and who must believe it: directory, authenticator, enqueuer, signer
SESSION_KEY = "session-key"  # binds a session to its client's address: listener says, directory and enqueuer believe
ORIGINAL_KEY = "original-key"  # the scheduler's word to the enqueuer that the bouncer may see one message's header
NOTICE_KEY = (
    "notice-key"  # the ledger's word to the enqueuer that the bouncer may write to one mailbox and its postmaster
)

CONSENT_KEY = "consent-key"  # the compiler's word to the enqueuer that the bouncer may ask one address at another host

_QUIET = frozenset({Promise.STDIO, Promise.CHANNELS})


def _role(
    name: str,
    number: int,
    *promises: Promise,
    trusted: bool = False,
    module: str = "",
    **rest: object,
) -> Role:
    module = module or f"mta.roles.{name}"
    return Role(name, number, module, _QUIET | frozenset(promises), trusted, **rest)  # type: ignore[arg-type]


_READ, _WRITE = Access.READ, Access.WRITE

DOMAIN_UIDS_FROM = 100_000  # host.uid_base + this is the first domain's uid
DOMAIN_UIDS = 1_000_000  # how many there are; an allotted one is never given again
CELL_UIDS_FROM = 50_000  # the same of conversations
TLS_CELL_UIDS_FROM = 60_000  # of those under TLS, whose handshake and octets another process has
SUBMISSION_CELL_UIDS_FROM = 80_000  # of users' conversations
CELL_UIDS = 10_000  # how many there are; one is given again when nobody lives under it any more
REMOTE_UIDS_FROM = 70_000  # of destinations that have mail at the moment
REMOTE_UIDS = 10_000
_DOMAINS = (DOMAIN_UIDS_FROM, DOMAIN_UIDS)

_EACH_CELL = CELL_UIDS + 1024  # descriptors of a role to which every conversation may have a channel of its own

JOURNAL = _role(
    "journal", 1, Promise.WRITE_FILES, paths=(PathRule("log", _WRITE), PathRule("figures", _WRITE)), open_files=_EACH_CELL,
)  # fmt: skip
# The services of users: STARTTLS first, TLS from the start, and programs on this machine, whom the kernel vouches for.
SUBMISSION = ("submission", "submissions", "local")
QUICK = ("qmtp", "qmqp")  # the services of hosts that are listed
_SMTP, _SUBMISSIONS = "smtpd.max_connections", "submission.max_connections"

LISTENER = _role(
    "listener",
    2,
    Promise.ACCEPT,
    Promise.CLIENT_SOCKETS,
    secrets=(SESSION_KEY,),
    open_files=4096, files_each=1, kib_each=16, connections=(_SMTP, _SUBMISSIONS),
)  # fmt: skip
SMTPD = _role(
    "smtpd", 3, Promise.CLIENT_SOCKETS, instances="smtpd.workers", only_with=("smtpd.isolation", "worker"), open_files=4096,
    files_each=1, kib_each=64,
)  # fmt: skip
SUBMISSIOND = _role(
    "submissiond", 23, Promise.CLIENT_SOCKETS, instances="submission.workers", only_with=("smtpd.isolation", "worker"),
    listens=SUBMISSION, open_files=4096, files_each=1, kib_each=64, connections=(_SUBMISSIONS,),
)  # fmt: skip
QMTPD = _role(
    "qmtpd", 30, Promise.CLIENT_SOCKETS, listens=QUICK, memory_mib=2048, open_files=4096,  # whole messages, see its budget
)  # fmt: skip
SMTPDSPAWN = _role(
    "smtpdspawn", 18, Promise.CLIENT_SOCKETS, Promise.SPAWN,
    only_with=("smtpd.isolation", "connection"), pool=(CELL_UIDS_FROM, CELL_UIDS),
    memory_mib=64, open_files=_EACH_CELL + CELL_UIDS,  # a cell's channels to the two peers that are seldom asked
)  # fmt: skip
SUBMISSIONSPAWN = _role(
    "submissionspawn", 24, Promise.CLIENT_SOCKETS, Promise.SPAWN,
    only_with=("smtpd.isolation", "connection"), listens=SUBMISSION, pool=(SUBMISSION_CELL_UIDS_FROM, CELL_UIDS),
    memory_mib=64, open_files=_EACH_CELL + CELL_UIDS, connections=(_SUBMISSIONS,),
)  # fmt: skip
DIRECTORY = _role(
    "directory", 4, Promise.READ_FILES, trusted=True,
    paths=(PathRule("snapshot/recipients", _READ),), secrets=(TICKET_KEY, SESSION_KEY), memory_mib=2048,
    open_files=_EACH_CELL,
)  # fmt: skip
AUTHENTICATOR = _role(
    "authenticator", 5, Promise.READ_FILES, Promise.THREADS, trusted=True,
    paths=(PathRule("snapshot/credentials", _READ),), secrets=(TICKET_KEY, SESSION_KEY), memory_mib=1024,
    open_files=_EACH_CELL,
)  # fmt: skip
LEDGER = _role(
    "ledger", 6, Promise.WRITE_FILES, trusted=True, paths=(PathRule("ledger", _WRITE),), secrets=(NOTICE_KEY,)
)
ENQUEUER = _role(
    "enqueuer", 7, Promise.WRITE_FILES, trusted=True,
    paths=(PathRule("spool/content", _WRITE), PathRule("spool/envelope", _WRITE)),
    secrets=(TICKET_KEY, SESSION_KEY, ORIGINAL_KEY, NOTICE_KEY, CONSENT_KEY), open_files=_EACH_CELL,
)  # fmt: skip
SCHEDULER = _role(
    "scheduler", 8, Promise.WRITE_FILES, trusted=True,
    paths=(PathRule("spool/envelope", _READ), PathRule("spool/progress", _WRITE)),
    secrets=(ORIGINAL_KEY,), memory_mib=1024,
)  # fmt: skip
LOCALSPAWN = _role(
    # WRITE_FILES and mail are for its children: walls only ever get higher, so what they need must be allowed here too.
    "localspawn", 9, Promise.WRITE_FILES, Promise.SPAWN, trusted=True,
    paths=(PathRule("spool/content", _READ), PathRule("mail", _WRITE)), pool=_DOMAINS, open_files=2048,
)  # fmt: skip
STOREKEEPER = _role(
    "storekeeper", 10, Promise.WRITE_FILES, Promise.SPAWN, Promise.CHOWN_DOMAINS, trusted=True,
    paths=(PathRule("mail", _WRITE),), pool=_DOMAINS,
)  # fmt: skip
TLS = _role(
    "tls", 16, Promise.CLIENT_SOCKETS, Promise.READ_FILES,
    paths=(PathRule("snapshot/certificates", _READ),), memory_mib=512, open_files=4096,
    connections=(_SMTP, _SUBMISSIONS), files_each=2, kib_each=160,  # idle it is 18 KiB; more while one side waits for the other
)  # fmt: skip
TLSSPAWN = _role(
    "tlsspawn", 17, Promise.CLIENT_SOCKETS, Promise.SPAWN,
    only_with=("smtpd.isolation", "connection"), pool=(TLS_CELL_UIDS_FROM, CELL_UIDS), open_files=_EACH_CELL,
)  # fmt: skip
BOUNCER = _role("bouncer", 11, when_asked=True)
CLEANER = _role(
    "cleaner", 12, Promise.WRITE_FILES, trusted=True,
    paths=tuple(PathRule(f"spool/{part}", _WRITE) for part in ("envelope", "progress", "content")),
)  # fmt: skip
SIGNER = _role(
    # Trusted: its keys sign in the name of every domain, and the ticket key that it checks with could also make tickets.
    "signer", 26, Promise.READ_FILES, trusted=True, listens=SUBMISSION,
    paths=(PathRule("snapshot/signing", _READ),), secrets=(TICKET_KEY,), memory_mib=512, when_asked=True,
)  # fmt: skip
SUBMITTER = _role(
    "submitter", 25, listens=SUBMISSION, memory_mib=1024, open_files=_EACH_CELL, when_asked=True,  # whole messages, see its desk
)  # fmt: skip
COMPILER = _role(
    "compiler", 13, Promise.WRITE_FILES, Promise.THREADS, module="appliance.compile",
    paths=(PathRule("db", _WRITE), PathRule("snapshot", _WRITE)), memory_mib=4096, secrets=(CONSENT_KEY,),
)  # fmt: skip
TRACER = _role(
    "tracer", 32, Promise.WRITE_FILES, group="journal", paths=(PathRule("log", _READ), PathRule("trace", _WRITE)),
)  # fmt: skip
WEB = _role(
    "web", 14, Promise.WRITE_FILES, Promise.THREADS, Promise.ACCEPT, Promise.CLIENT_SOCKETS, module="web",
    group="compiler", memory_mib=2048, open_files=4096, listens=("panel", "metrics"),
    paths=(PathRule("db", _WRITE), PathRule("figures", _READ), PathRule("trace", _READ)),
)  # fmt: skip

RESOLVER = _role("resolver", 19, Promise.NAME_SERVERS, open_files=4096, when_asked=True)
SOURCE = _role(
    "source", 20, Promise.CALL_OUT, Promise.CALL_HOOKS, Promise.READ_FILES,
    paths=(PathRule("snapshot/sources", _READ), PathRule("hooks", _READ)), open_files=4096, when_asked=True,
)  # fmt: skip

FETCHER = _role(
    "fetcher", 29, Promise.CALL_OUT, open_files=1024, file_mib=16, when_asked=True,  # its one file, opened before the walls
)  # fmt: skip

REPORTER = _role("reporter", 33, only_with=("outbound.tls_reports", ""), file_mib=8)  # its one file, as fetcher's

REMOTESPAWN = _role(
    "remotespawn", 27, Promise.READ_FILES, trusted=True,
    paths=(PathRule("spool/content", _READ), PathRule("snapshot/routes", _READ)), memory_mib=512, open_files=4096,
    when_asked=True,
)  # fmt: skip

# In the order they start: who is asked comes before who asks.
ROLES = (
    JOURNAL, LEDGER, RESOLVER, SOURCE, FETCHER, DIRECTORY, AUTHENTICATOR, CLEANER, STOREKEEPER, LOCALSPAWN, REPORTER,
    REMOTESPAWN, TRACER, BOUNCER, SCHEDULER, ENQUEUER, SIGNER, SUBMITTER, COMPILER, TLS, TLSSPAWN, SMTPD, SUBMISSIOND, SMTPDSPAWN,
    SUBMISSIONSPAWN, QMTPD, LISTENER, WEB,
)  # fmt: skip

# `local` is a role too, but localspawn makes it: one for each domain that has mail at the moment, under that domain's uid.
LOCAL = _role("local", 15, Promise.WRITE_FILES, open_files=256)

# And so is a cell: smtpdspawn makes one for each conversation, under a uid of the cells' range; so does submissionspawn.
CELL = Role("cell", 21, SMTPDSPAWN.module, frozenset({Promise.CONVERSE}), trusted=False, memory_mib=64, open_files=64)

# The same for TLS: a cell of tlsspawn shakes hands with one client and carries its octets.
TLS_CELL = Role(
    "tlscell", 22, TLSSPAWN.module, _QUIET | {Promise.CLIENT_SOCKETS}, trusted=False, memory_mib=64, open_files=64
)

# The nursery is remotespawn's first child, and remotes are the nursery's: one for each destination that has mail at the
# moment. All but SPAWN is for them: walls only ever get higher, so what they need must be allowed there too.
_OUTWARD = (Promise.CALL_OUT, Promise.CALL_FROM, Promise.CLIENT_SOCKETS)
NURSERY = _role(
    "nursery", 31, Promise.SPAWN, *_OUTWARD, module=f"{REMOTESPAWN.module}.nursery", pool=(REMOTE_UIDS_FROM, REMOTE_UIDS),
    memory_mib=128,
)  # fmt: skip
REMOTE = _role("remote", 28, *_OUTWARD, memory_mib=128)

# Nobody joins a second group. Where a folder has more than two kinds of users, its parent is closed to all, and only the
# roles that opened it before they gave root away hold it: "others" in its mode are those, and nobody else.
FOLDERS = (
    Folder("", "", "", 0o711),
    Folder("db", "web", "compiler", 0o2770),
    Folder("snapshot", "compiler", "compiler", 0o700),
    Folder("snapshot/recipients", "compiler", "compiler", 0o755),
    Folder("snapshot/credentials", "compiler", "compiler", 0o755),
    Folder("snapshot/certificates", "compiler", "compiler", 0o755),
    Folder("snapshot/sources", "compiler", "compiler", 0o755),
    Folder("snapshot/routes", "compiler", "compiler", 0o755),
    Folder("snapshot/signing", "compiler", "compiler", 0o755),
    Folder("spool", "", "", 0o700),
    Folder("spool/content", "enqueuer", "cleaner", 0o735),  # others: localspawn
    Folder("spool/envelope", "enqueuer", "cleaner", 0o735),  # others: scheduler
    Folder("spool/progress", "scheduler", "cleaner", 0o730),
    Folder("ledger", "ledger", "ledger", 0o700),
    Folder("policies", "", "", 0o700),  # fetcher holds its file in it, and nobody holds the folder
    Folder("reports", "", "", 0o700),  # the same for reporter
    Folder("mail", "storekeeper", "storekeeper", 0o711),  # an IMAP server passes, under the uid of one domain
    Folder("hooks", "", "", 0o755),  # operators' programs put their sockets here, and say themselves who may call them
    Folder("inject", "", "", 0o755),  # where programs of this machine's users hand in mail
    Folder("log", "journal", "journal", 0o750),
    Folder("trace", "tracer", "compiler", 0o2750),  # that group: web's too
    Folder("figures", "journal", "compiler", 0o2750),  # that group: web's too
    Folder("run", "", "", 0o700),
    Folder("run/empty", "", "", 0o555),  # the root directory of roles without files
    Folder("keys", "", "", 0o711),
)

EDGES = (
    Edge("listener", "smtpd"),
    Edge("listener", "smtpdspawn"),
    Edge("listener", "submissiond"),
    Edge("listener", "submissionspawn"),
    Edge("listener", "qmtpd"),
    Edge("qmtpd", "directory"),
    Edge("qmtpd", "enqueuer"),
    Edge("smtpd", "directory"),
    Edge("smtpd", "enqueuer"),
    Edge("smtpd", "tls"),
    Edge("submissiond", "directory"),
    Edge("submissiond", "authenticator"),
    Edge("submissiond", "submitter"),
    Edge("submissiond", "tls"),
    Edge("smtpdspawn", "directory"),  # where it introduces its cells
    Edge("smtpdspawn", "enqueuer"),
    Edge("smtpdspawn", "tlsspawn"),
    Edge("submissionspawn", "directory"),
    Edge("submissionspawn", "authenticator"),
    Edge("submissionspawn", "submitter"),
    Edge("submissionspawn", "tlsspawn"),
    Edge("tlsspawn", "tls"),
    Edge("submitter", "authenticator"),
    Edge("submitter", "signer"),
    Edge("submitter", "enqueuer"),
    Edge("directory", "ledger"),
    Edge("authenticator", "ledger"),
    Edge("ledger", "bouncer"),
    Edge("compiler", "bouncer"),
    Edge("compiler", "fetcher"),  # tells tenants' web servers of events
    Edge("directory", "resolver"),
    Edge("directory", "source"),
    Edge("source", "resolver"),
    Edge("fetcher", "resolver"),
    Edge("web", "source"),  # is a recipient of a relayed domain known, when who manages it tries
    Edge("web", "resolver"),  # is a record in DNS that proves whose a domain is?
    Edge("enqueuer", "ledger"),
    Edge("enqueuer", "scheduler"),
    Edge("scheduler", "directory"),
    Edge("scheduler", "ledger"),
    Edge("scheduler", "localspawn"),
    Edge("scheduler", "remotespawn"),
    Edge("scheduler", "bouncer"),
    Edge("scheduler", "cleaner"),
    Edge("remotespawn", "resolver"),  # where it introduces its remotes
    Edge("remotespawn", "fetcher"),
    Edge("remotespawn", "reporter"),
    Edge("reporter", "resolver"),
    Edge("reporter", "fetcher"),
    Edge("reporter", "signer"),
    Edge("reporter", "enqueuer"),
    Edge("localspawn", "storekeeper"),
    Edge("localspawn", "ledger"),
    Edge("bouncer", "enqueuer"),
    Edge("bouncer", "directory"),  # in which language somebody reads, and what a mailbox answers
    Edge("directory", "bouncer"),  # what stands in a header, where a forwarding asks for it
    Edge("bouncer", "signer"),  # of what a mailbox answers
    Edge("compiler", "storekeeper"),
    Edge("compiler", "ledger"),
    Edge("web", "authenticator"),
    Edge("web", "compiler"),
    Edge("web", "scheduler"),  # what waits, and what is to be done about it; envelopes, never content
    *(Edge(role.name, "journal") for role in ROLES if role is not JOURNAL),
)


def started_with(settings: Mapping[str, str]) -> tuple[Role, ...]:
    """The roles that exist with *settings* ("section.key" to its value), in the order they start."""
    return tuple(
        role
        for role in ROLES
        if _is_wanted(role, settings)
        and (not role.listens or any(settings.get(f"listen.{service}") for service in role.listens))
    )


def _is_wanted(role: Role, settings: Mapping[str, str]) -> bool:
    name, value = role.only_with
    return not name or (settings[name] == value if value else bool(settings.get(name)))


def beside_server(role: Role) -> Role:
    """*role*, of the control plane, where the database is no file of its own but a server."""
    if role not in (COMPILER, WEB):
        raise ValueError(f"{role.name} has no business with the database")
    return replace(role, promises=role.promises | {Promise.CALL_DATABASE})


def connections_of(role: Role, settings: Mapping[str, bytes] | Mapping[str, str]) -> int:
    """How many connections *role* is to be ready for; 0: the settings do not say."""
    return sum(int(settings[name]) for name in role.connections if name in settings)


def servers_of(role: Role) -> tuple[str, ...]:
    """Whom *role* may ask."""
    return tuple(edge.server for edge in EDGES if edge.client == role.name)


_SPARE_FILES, _SPARE_MIB = 256, 128


def open_files_of(role: Role, connections: int) -> int:
    """How many descriptors *role* may have where the appliance takes *connections* at once."""
    return max(role.open_files, _SPARE_FILES + connections * role.files_each) if role.files_each else role.open_files


def memory_mib_of(role: Role, connections: int) -> int:
    """How much memory, likewise."""
    return max(role.memory_mib, _SPARE_MIB + (connections * role.kib_each >> 10)) if role.kib_each else role.memory_mib


def role_named(name: str) -> Role:
    """The role called *name*.

    Raises:
        KeyError: there is none.
    """
    return _BY_NAME[name]


_BY_NAME = {role.name: role for role in (*ROLES, LOCAL, CELL, TLS_CELL, NURSERY, REMOTE)}
