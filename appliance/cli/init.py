"""`postern init`: from nothing to something that `postern up` can serve.

A reader would otherwise get wrong: it may be run again after it broke off half way, and goes on from there. The database's
first rows are written in one transaction and last, so until then nothing counts as initialised.
"""

import os
import socket
from pathlib import Path

from appliance.cli.house import Switch, actor, options, read_password, say
from appliance.cli.welcome import Created, welcome
from appliance.config import VARIABLE, Database, Host, Settings, load_settings, write_settings
from appliance.database import schema
from appliance.database.engine import open_engine
from appliance.database.session import reading, unit_of_work
from appliance.errors import Conflict, Invalid, SettingsError, Unable
from appliance.provision import directories, keys, os_users
from appliance.services import certificates, founding
from appliance.services.passwords import Sealer, check_password, one_time_password
from appliance.services.seals import Seals
from mta.vocabulary import is_domain


def init(
    *,
    state: str | None = None,
    operator: str = "operator",
    operator_password_stdin: Switch = False,
    hostname: str | None = None,
) -> None:
    """Write postern.toml, the state folder, keys and the database with a first operator; refuses a second time."""
    path = Path(options.config or os.environ.get(VARIABLE) or "postern.toml").absolute()
    password = read_password() if operator_password_stdin else one_time_password()
    check_password(password)  # Before anything is written: a refusal should leave nothing behind.
    settings = _settings(path, state, hostname)
    directories.prepare(settings)
    try:
        keys.make_keys(settings.state)
    except OSError as error:
        raise Unable(f"{settings.state}/keys cannot be written: {error.strerror}", code="state_folder") from error
    created = Created(operator, None if operator_password_stdin else password)
    instance = _found(settings, operator, password, must_change=not operator_password_stdin)
    say(
        {"config": str(path), "state": str(settings.state), "instance": instance, "operator": operator,
         "password": created.password},
        f"wrote {path} and {settings.state}",
        *welcome(settings, created).splitlines()[:_first_lines(settings)],
    )  # fmt: skip


def _first_lines(settings: Settings) -> int:
    """Panel, operator, password: ports and the line to try belong to `up`, which serves them."""
    return len(settings.listen.panel) + 2


def _settings(path: Path, state: str | None, hostname: str | None) -> Settings:
    if path.exists():
        settings = load_settings(path)
        _refuse_second_time(settings)
        if (state is not None and state != settings.host.state) or hostname not in (None, settings.host.name):
            raise Conflict(f"{path} is already there and says otherwise", code="already_initialised")
        return settings
    state = state or "var"
    name = hostname.strip().lower().removesuffix(".") if hostname is not None else own_name()
    if not is_domain(name):
        raise Invalid(f"{name!r} is not a full host name such as mx.example.net", field="hostname")
    url = f"sqlite:///{state.rstrip('/')}/{directories.DATABASE}"
    settings = Settings(host=Host(name=name, state=state), database=Database(url=url), file=path)
    _refuse_second_time(settings)  # Somebody else's state folder, whose postern.toml lies elsewhere.
    return write_settings(path, Host(name=name, state=state, uid_base=os_users.choose_uid_base()), Database(url=url))


def _refuse_second_time(settings: Settings) -> None:
    file = settings.database_file
    if file is not None and not file.exists():
        return
    engine = open_engine(settings.database_url)
    with reading(engine) as session:
        founded = schema.version_of(session) > 0 and founding.instance_id(session) is not None
    engine.dispose()
    if founded:
        raise Conflict(f"{settings.state} is initialised already; nothing was changed", code="already_initialised")


def own_name() -> str:
    """What this machine calls itself, made into a full name where it is none."""
    for name in (socket.getfqdn(), f"{socket.gethostname()}.localdomain"):
        plain = name.strip().lower().removesuffix(".")
        if is_domain(plain) and not plain.rpartition(".")[2].isdigit() and not plain.endswith(".arpa"):
            return plain
    return "postern.localdomain"


def _found(settings: Settings, operator: str, password: str, *, must_change: bool) -> str:
    sealed_hash = Sealer.of(settings.state).seal_password(password)
    certificate = certificates.make_self_signed(settings.host.name)
    sealed_key = Seals.of(settings.state).tls_key(certificate.key)
    file = settings.database_file
    if file is not None and not file.resolve().parent.is_dir():
        raise SettingsError(f"{settings.file}: database.url: there is no folder {file.parent}", field="database.url")
    engine = open_engine(settings.database_url, create=True)
    schema.migrate(engine)
    with unit_of_work(engine) as session:
        instance = founding.found(
            session, host_name=settings.host.name, operator=operator, sealed_hash=sealed_hash,
            must_change=must_change, actor=actor(), certificate=(certificate, sealed_key),
        )  # fmt: skip
    engine.dispose()
    if file is not None:
        directories.give_database(settings)
    return instance
