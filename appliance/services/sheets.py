"""Mailboxes, aliases and forwardings as a sheet (CSV, RFC 4180): written, read, and taken in line by line.

    kind     address   display_name  quota_bytes  password_hash  targets           keep_copy  expires_at
    mailbox  required  may be        may be       may be
    alias    required                                            some, by spaces              may be
    forward  required                                            some, by spaces   yes or no

A reader would otherwise get wrong: programs that show sheets take a cell that begins with = + - @ for a formula and carry it out.
What we write has an apostrophe before such a cell, and what we read may have one.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from appliance.database.session import Session
from appliance.errors import Invalid, Refused
from appliance.services import aliases, forwardings, mailboxes
from appliance.services.actor import Actor
from appliance.services.passwords import Sealer

__all__ = ["COLUMNS", "MAX_LINES", "Outcome", "Row", "read", "take_in", "write"]

COLUMNS = ("kind", "address", "display_name", "quota_bytes", "password_hash", "targets", "keep_copy", "expires_at")
KINDS = ("mailbox", "alias", "forward")  # in this order they are taken in: what is led to before what leads there
MAX_LINES = 10_000
MAX_FAULTS = 100  # told at once
LONGEST_CELL = 100_000  # a thousand targets
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV injection"
_WORDS = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Row:
    """One line: where it stands, what it is about, and what is said of it, as the API would be told."""

    line: int  # of the text, from 1; of the last one where a cell goes over several
    kind: str
    address: str
    said: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one line."""

    row: Row
    refusal: Refused | None = None


def write(document: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    """The lines of the sheet for what `holdings.give_out` tells; without passwords."""
    yield _line(COLUMNS)
    for box in document["mailboxes"]:
        yield _row("mailbox", box["address"], display_name=box["display_name"], quota_bytes=box["quota_bytes"])
    for alias in document["aliases"]:
        ends = alias.get("expires_at", "")
        yield _row("alias", alias["address"], targets=" ".join(alias["targets"]), expires_at=ends)
    for box in document["mailboxes"]:
        sent_on = box.get("forwarding")
        if sent_on is not None and sent_on["enabled"]:
            keeps = "yes" if sent_on["keep_copy"] else "no"
            yield _row("forward", box["address"], targets=" ".join(sent_on["targets"]), keep_copy=keeps)


def _row(kind: str, address: str, **said: object) -> str:
    told = {"kind": kind, "address": address, **said}
    return _line([str(told.get(name, "")) for name in COLUMNS])


def _line(cells: Sequence[str]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow([f"'{cell}" if cell.startswith((*_FORMULAS, "'")) else cell for cell in cells])
    return out.getvalue()


def read(text: str) -> list[Row]:
    """The rows of a sheet; its first line names the columns, in any order, and may leave some out.

    Raises:
        Invalid: it is no such sheet; the sentence names the lines, and what is wrong there.
    """
    cells = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    faults: list[str] = []
    rows: list[Row] = []
    try:
        names = _header(next(cells, []))
        for cell in cells:
            if not any(cell):
                continue
            try:
                rows.append(_read(cells.line_num, names, cell))
            except Invalid as fault:
                faults.append(f"line {cells.line_num}: {fault.sentence}")
            if len(rows) + len(faults) > MAX_LINES:
                raise Invalid(f"a sheet has at most {MAX_LINES} lines", code="too_many_lines", field="csv")
            if len(faults) == MAX_FAULTS:
                break
    except csv.Error as error:
        faults.append(f"line {cells.line_num}: {error}")
    if faults:
        raise Invalid("; ".join(faults), code="bad_sheet", field="csv")
    return rows


def _header(cells: Sequence[str]) -> list[str]:
    names = [cell.strip().lower() for cell in cells]
    unknown = sorted(set(names) - set(COLUMNS))
    if unknown or len(set(names)) != len(names) or not {"kind", "address"} <= set(names):
        raise Invalid(
            f"line 1: the columns are some of {', '.join(COLUMNS)}, each once, kind and address among them"
            + (f"; {unknown[0][:40]!r} is none" if unknown else ""),
            code="bad_sheet", field="csv",
        )  # fmt: skip
    return names


def _read(line: int, names: Sequence[str], cells: Sequence[str]) -> Row:
    if len(cells) != len(names):
        raise Invalid(f"{len(cells)} cells instead of {len(names)}")
    told = {name: _plain(cell) for name, cell in zip(names, cells, strict=True) if cell.strip()}
    kind, address = told.pop("kind", "").lower(), told.pop("address", "")
    if kind not in KINDS:
        raise Invalid(f"kind is one of {', '.join(KINDS)}")
    if not address:
        raise Invalid("there is no address")
    known = _SAID[kind]
    strange = sorted(set(told) - set(known))
    if strange:
        raise Invalid(f"of a {kind} {strange[0]} is not said")
    if kind != "mailbox" and "targets" not in told:
        raise Invalid("there are no targets")
    return Row(line, kind, address, {name: known[name](text) for name, text in told.items()})


def _plain(cell: str) -> str:
    if len(cell) > LONGEST_CELL:
        raise Invalid("a cell is too long")
    text = cell.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith((*_FORMULAS, "'")) else text


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise Invalid("quota_bytes is a number of octets")
    return int(text)


def _word(text: str) -> bool:
    found = _WORDS.get(text.lower())
    if found is None:
        raise Invalid("keep_copy is yes or no")
    return found


def _moment(text: str) -> str:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid("expires_at is a moment such as 2030-12-31T00:00:00Z") from error
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


_SAID: dict[str, dict[str, Callable[[str], Any]]] = {
    "mailbox": {"display_name": str, "quota_bytes": _number, "password_hash": str},
    "alias": {"targets": str.split, "expires_at": _moment},
    "forward": {"targets": str.split, "keep_copy": _word},
}


def in_order(rows: Iterable[Row]) -> list[Row]:
    """As they are taken in."""
    return sorted(rows, key=lambda row: KINDS.index(row.kind))


def take_in(
    session: Session, rows: Iterable[Row], *, actor: Actor, sealer: Sealer, default_quota: int = 0
) -> list[Outcome]:
    """Make all of *rows* that can be made; what is refused refuses nothing else. In the order of their lines."""
    outcomes = [_take(session, row, actor, sealer, default_quota) for row in in_order(rows)]
    return sorted(outcomes, key=lambda outcome: outcome.row.line)


def _take(session: Session, row: Row, actor: Actor, sealer: Sealer, default_quota: int) -> Outcome:
    said = dict(row.said)
    try:
        with session.begin_nested():
            if row.kind == "mailbox":
                phc = said.pop("password_hash", None)
                sealed = sealer.seal_hash(phc) if phc is not None else None
                mailboxes.create(
                    session, row.address, actor=actor, sealed_hash=sealed, default_quota=default_quota, **said
                )
            elif row.kind == "alias":
                ends = said.pop("expires_at", None)
                moment = int(datetime.fromisoformat(ends).timestamp()) if ends else None
                aliases.create(session, row.address, said["targets"], actor=actor, expires_at=moment)
            else:
                forwardings.put(session, row.address, actor=actor, **said)
    except Refused as refusal:
        return Outcome(row, refusal)
    return Outcome(row)
