"""Domains, mailboxes, aliases and forwardings as a sheet (CSV, RFC 4180): written, read, and taken in line by line.

    kind     address   display_name  quota_bytes  password_hash  targets           keep_copy  expires_at
    domain   its name
    mailbox  required  may be        may be       may be
    alias    required                                            some, by spaces              may be
    forward  required                                            some, by spaces   yes or no

A reader would otherwise get wrong: programs that show sheets take a cell that begins with = + - @ for a formula and carry it out.
What we write has an apostrophe before such a cell, and what we read may have one. Some of them write semicolons where the decimal
sign is a comma, so the first line says what stands between cells.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import IO, Any

from appliance.database.session import Session
from appliance.errors import Invalid, Refused
from appliance.services import aliases, domains, forwardings, mailboxes
from appliance.services.actor import Actor
from appliance.services.passwords import Sealer

__all__ = [
    "COLUMNS",
    "KINDS",
    "MAX_LINES",
    "Fault",
    "Outcome",
    "Row",
    "each",
    "line",
    "lines_of",
    "read",
    "take_in",
    "write",
]

COLUMNS = ("kind", "address", "display_name", "quota_bytes", "password_hash", "targets", "keep_copy", "expires_at")
KINDS = (
    "domain",
    "mailbox",
    "alias",
    "forward",
)  # in this order they are taken in: what is led to before what leads there
MAX_LINES = 10_000
MAX_FAULTS = 100  # told at once
LONGEST_ADDRESS = 320  # that is repeated
LONGEST_CELL = 100_000  # a thousand targets
_BETWEEN = (",", ";", "\t")  # cells
_UNDECODED = re.compile("[\udc80-\udcff]")  # as which `surrogateescape` keeps an octet that is no UTF-8
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
class Fault:
    """A line that makes no sense, and why."""

    line: int
    address: str  # as far as it can be read
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one line."""

    row: Row
    refusal: Refused | None = None


def write(document: Mapping[str, Iterable[Mapping[str, Any]]]) -> Iterator[str]:
    """The lines of the sheet for what `holdings.give_out` tells; without passwords."""
    yield line(COLUMNS)
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
    return line([str(told.get(name, "")) for name in COLUMNS])


def line(cells: Sequence[str]) -> str:
    """One line of a sheet, in which no cell is a formula."""
    out = io.StringIO()
    csv.writer(out).writerow([f"'{cell}" if cell.startswith((*_FORMULAS, "'")) else cell for cell in cells])
    return out.getvalue()


def read(text: str) -> list[Row]:
    """The rows of a sheet; its first line names the columns, in any order, and may leave some out.

    Raises:
        Invalid: it is no such sheet; the sentence names the lines, and what is wrong there.
    """
    faults: list[str] = []
    rows: list[Row] = []
    for one in each(io.StringIO(text, newline="")):
        if isinstance(one, Row):
            rows.append(one)
        else:
            faults.append(f"line {one.line}: {one.reason}")
        if len(rows) + len(faults) > MAX_LINES:
            raise Invalid(f"a sheet has at most {MAX_LINES} lines", code="too_many_lines", field="csv")
        if len(faults) == MAX_FAULTS:
            break
    if faults:
        raise Invalid("; ".join(faults), code="bad_sheet", field="csv")
    return rows


def lines_of(octets: IO[bytes]) -> Iterator[str]:
    """The lines of a file, from its beginning; what is no UTF-8 is for `each` to complain of, by its line.

    Raises:
        Invalid: it is a text in another encoding altogether.
    """
    octets.seek(0)
    start = octets.read(2)
    if start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"PK"):
        raise Invalid("This is no CSV file in UTF-8: save it as one.", code="bad_sheet", field="csv")
    octets.seek(0)
    for line in octets:
        yield line.decode("utf-8", "surrogateescape")


def each(lines: Iterable[str]) -> Iterator[Row | Fault]:
    """The rows of a sheet one after the other, and in their places the lines that make no sense.

    Raises:
        Invalid: the first line does not name the columns.
    """
    rest = iter(lines)
    first = next(rest, "").removeprefix("\ufeff")
    between = max(_BETWEEN, key=first.count)
    names = _header(next(csv.reader([first], delimiter=between), []))
    cells = csv.reader(rest, delimiter=between, strict=True)
    while True:
        try:
            cell = next(cells, None)
        except csv.Error as error:
            yield Fault(cells.line_num + 1, "", str(error))
            continue
        if cell is None:
            return
        if any(cell):
            yield _row_or_fault(cells.line_num + 1, names, cell)


def _row_or_fault(line: int, names: Sequence[str], cell: Sequence[str]) -> Row | Fault:
    try:
        if _UNDECODED.search("".join(cell)):
            raise Invalid("this is no UTF-8 text")
        return _read(line, names, cell)
    except Invalid as fault:
        told = dict(zip(names, cell, strict=False)).get("address", "").strip()
        return Fault(line, _UNDECODED.sub("\ufffd", told)[:LONGEST_ADDRESS], fault.sentence)


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
    if kind in ("alias", "forward") and "targets" not in told:
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
    "domain": {},
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
            if row.kind == "domain":
                domains.create(session, row.address, actor=actor)
            elif row.kind == "mailbox":
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
