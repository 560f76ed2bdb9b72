"""What commands share: the settings, the database, who is asking, and how answers are written.

A reader would otherwise get wrong: with `--json`, standard output holds one JSON value and nothing else.
"""

import getpass
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from cyclopts import Parameter

from appliance.config import Settings, find_settings, load_settings, parse_size
from appliance.database.engine import Engine, open_engine
from appliance.database.schema import require_current
from appliance.database.session import Session, reading, unit_of_work
from appliance.errors import Invalid
from appliance.services import removals
from appliance.services.actor import Actor, from_command_line
from appliance.services.authorisation import EVERYTHING
from appliance.services.paging import MAX_PAGE, Page
from appliance.services.passwords import Sealer
from appliance.services.removals import Removal, Removed

T = TypeVar("T")

Switch = Annotated[bool, Parameter(negative_bool=())]  # `--no-` before it would say nothing


Discard = Annotated[
    bool,
    Parameter(
        negative_bool=(), help="one that was removed under this name cannot be had back any more, and its mail goes"
    ),
]
Stops = Annotated[tuple[str, ...], Parameter(help="of receive, send, log-in; all of it when not given")]


class WrongUsage(Exception):
    """The command line makes no sense; exit code 2."""


@dataclass
class Options:
    """What stands before, after or between the verbs."""

    config: str | None = None
    json: bool = False


options = Options()


def take_options(arguments: Sequence[str], into: Options) -> list[str]:
    """*arguments* without `--config FILE` and `--json`, which are noted in *into*.

    Raises:
        WrongUsage: `--config` without a file.
    """
    into.config, into.json = None, False
    rest: list[str] = []
    waiting = iter(arguments)
    for argument in waiting:
        if argument == "--":
            return [*rest, argument, *waiting]
        if argument == "--json":
            into.json = True
        elif argument == "--config":
            into.config = next(waiting, None)
            if into.config is None:
                raise WrongUsage("--config takes a file")
        elif argument.startswith("--config="):
            into.config = argument.partition("=")[2]
        else:
            rest.append(argument)
    return rest


def settings() -> Settings:
    """The settings that this command is about.

    Raises:
        SettingsError: none, or wrong ones.
    """
    return load_settings(find_settings(options.config))


def actor() -> Actor:
    """Whoever runs the command, as the audit log will call him."""
    try:
        return from_command_line(getpass.getuser())
    except (KeyError, OSError):
        return from_command_line("unknown")  # A uid without a name, as containers have.


def engine_of(given: Settings) -> Engine:
    """The database of *given*, when its schema is ours.

    Raises:
        DatabaseUnavailable: missing, empty, or of another schema.
    """
    engine = open_engine(given.database_url)
    require_current(engine)
    return engine


@contextmanager
def changing(*, dry_run: bool = False) -> Iterator[Session]:
    """One writing transaction; for a *dry_run* everything is taken back.

    Raises:
        ApplianceError: no settings, no database.
    """
    with unit_of_work(engine_of(settings()), dry_run=dry_run) as session:
        yield session


@contextmanager
def looking() -> Iterator[Session]:
    """One look at the database.

    Raises:
        ApplianceError: no settings, no database.
    """
    with reading(engine_of(settings())) as session:
        yield session


def every(list_page: Callable[..., Page[T]], session: Session, **wanted: Any) -> Iterator[T]:  # noqa: ANN401 - passed on
    """All rows of a list, page after page."""
    cursor: str | None = None
    while True:
        page = list_page(session, actor=actor(), limit=MAX_PAGE, cursor=cursor, **wanted)
        yield from page.items
        if page.next is None:
            return
        cursor = page.next


def sealed(*, from_stdin: bool, phc: str | None, address: str = "") -> str | None:
    """The sealed hash for a password on standard input or a hash given; None for neither. *address*: whose mailbox it is for.

    Made before the transaction begins: hashing takes as long as a hundred writes.

    Raises:
        Invalid: both, or a bad one.
    """
    if from_stdin and phc is not None:
        raise Invalid("give a password or a hash, not both")
    if phc is not None:
        return Sealer.of(settings().state).seal_hash(phc)
    if from_stdin:
        return Sealer.of(settings().state).seal_password(read_password(), address)
    return None


def read_password() -> str:
    """The first line of standard input.

    Raises:
        Invalid: it is not text.
    """
    try:
        return sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise Invalid("the password on standard input is not UTF-8", code="bad_password") from error


def octets(size: str | None) -> int | None:
    """The octets in a size as typed; `none` is 0.

    Raises:
        Invalid: it is not a size.
    """
    if size is None:
        return None
    try:
        return 0 if size.lower() == "none" else parse_size(size)
    except ValueError as error:
        raise Invalid(f"{size!r} is not a size such as 500MiB or 2GiB", field="quota") from error


def stops(only: Sequence[str]) -> Sequence[str]:
    """What shall stand still or go on, as typed."""
    return [word.replace("-", "_") for part in only for word in part.split(",")] or EVERYTHING


def say(data: Any, *lines: str) -> None:  # noqa: ANN401 - whatever JSON can say
    """Answer with *data* when `--json` was asked for, else with *lines*."""
    if options.json:
        json.dump(data, sys.stdout, ensure_ascii=False)
        sys.stdout.write("\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines)


def say_rows(rows: Iterable[dict[str, Any]], *columns: str) -> None:
    """Answer with a list: JSON has everything, a line has the *columns*."""
    if options.json:
        say(list(rows))
        return
    for row in rows:
        sys.stdout.write("\t".join(_cell(row[column]) for column in columns).rstrip() + "\n")


def say_one(row: dict[str, Any]) -> None:
    """Answer with one thing: a line for each of its properties."""
    say(row, *(f"{name}: {_cell(value)}" for name, value in row.items()))


def say_removed(removed: Removed, *, dry_run: bool = False) -> None:
    """Answer what is gone, until when it can be had back, and who still sends to it."""
    removal = removed.removal
    until = datetime.fromtimestamp(removal.until, UTC).isoformat(timespec="minutes")
    contents = f" with {removal.mailboxes} mailboxes and {removal.aliases} aliases" if removal.kind == "domain" else ""
    if dry_run:
        lines = [f"would remove {removal.name}{contents}; until {until} it could be had back"]
    else:
        lines = [f"removed {removal.name}{contents}", f"until {until}: postern {removal.kind} restore {removal.name}"]
    say(
        {"name": removal.name, **describe_removal(removal), "forwarded_by": removed.forwarded_by, "dry_run": dry_run},
        *lines,
        *(f"{who} still forwards to it" for who in removed.forwarded_by),
    )


def restore(kind: str, name: str, *, dry_run: bool) -> None:
    """Undo the newest removal of the *kind* called *name*."""
    with changing(dry_run=dry_run) as session:
        found = removals.find(session, kind, name, actor=actor())
        back = removals.undo(session, found.id, actor=actor())
        described = {**describe_removal(back), "dry_run": dry_run}
    say(described, f"{'would restore' if dry_run else 'restored'} {back.name}")


def describe_removal(removal: Removal) -> dict[str, Any]:
    """A removal as plain values."""
    return {
        "removal": removal.id, "kind": removal.kind, "name": removal.name, "tenant_id": removal.tenant_id,
        "removed_by": removal.removed_by, "removed_at": removal.created_at, "until": removal.until,
        "mailboxes": removal.mailboxes, "aliases": removal.aliases, "used_bytes": removal.used_bytes,
    }  # fmt: skip


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "-"
    if isinstance(value, dict):
        return " ".join(f"{name}={one}" for name, one in value.items()) or "-"
    return str(value)


def moment(text: str | None) -> int | None:
    """Seconds since 1970 of a day, or of a moment in ISO 8601; without a zone it is UTC.

    Raises:
        Invalid: it is neither.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid(
            f"{text!r} is neither a day such as 2030-12-31 nor a moment of ISO 8601", field="expires"
        ) from error
    return int((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
