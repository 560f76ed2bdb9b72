"""Rows out of a database dump as text: of MySQL, MariaDB, PostgreSQL (COPY or INSERT) or SQLite.

A reader would otherwise get wrong: nothing is executed. Statements that are no INSERT, COPY or CREATE TABLE of a wanted table are
passed over; in MySQL's dumps a backslash escapes, in the others' strings it stands for itself.
"""

import re
from collections.abc import Collection, Iterator

Row = dict[str, str | None]

_NAME = r"(?:[\w$]+\.)?[\"`]?(?:[\w$]+[\"`]?\.[\"`]?)?([\w$]+)[\"`]?"
_INSERT = re.compile(
    rf"\s*(?:INSERT|REPLACE)(?:\s+IGNORE)?\s+INTO\s+{_NAME}\s*(\(([^)]*)\))?\s*VALUES\s*", re.IGNORECASE
)
_CREATE = re.compile(rf"\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{_NAME}\s*\(", re.IGNORECASE)
_COPY = re.compile(rf"COPY\s+{_NAME}\s*\(([^)]*)\)\s+FROM\s+stdin;", re.IGNORECASE)
_COLUMN = re.compile(r"\s*[\"`]?(\w+)[\"`]?\s+\w")
_NO_COLUMN = re.compile(r"\s*(PRIMARY|UNIQUE|KEY|CONSTRAINT|FOREIGN|INDEX|FULLTEXT|CHECK)\b", re.IGNORECASE)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a", "f": "\f", "v": "\v"}
_WORD = re.compile(r"[^,()\s']+")


class DumpError(Exception):
    """It cannot be read on; the text says where."""


def rows(text: str, tables: Collection[str]) -> Iterator[tuple[str, Row]]:
    """Each row of *tables* (their names in small letters), in the order of the dump.

    Raises:
        DumpError: a statement about one of them makes no sense.
    """
    escapes = (
        re.search(r"^-- (MySQL|MariaDB) dump|ENGINE=(InnoDB|MyISAM|Aria)|^INSERT INTO `", text, re.MULTILINE)
        is not None
    )
    columns: dict[str, list[str]] = {}
    at = 0
    while at < len(text):
        copy, insert, create = (form.match(text, at) for form in (_COPY, _INSERT, _CREATE))
        if copy is not None:
            table, names = copy[1].lower(), _names(copy[2])
            end = _end_of_copy(text, copy.end())
            if table in tables:
                for line in text[copy.end() : end].splitlines()[1:]:
                    yield table, _row(names, [_unescape_copy(cell) for cell in line.split("\t")])
            at = _next_line(text, end)
        elif insert is not None and insert[1].lower() in tables:
            table = insert[1].lower()
            names = _names(insert[3]) if insert[3] else columns.get(table, [])
            at, found = _values(text, insert.end(), escapes)
            for cells in found:
                yield table, _row(names, cells)
        else:
            if create is not None and create[1].lower() in tables:
                columns[create[1].lower()] = _columns(text, create.end())
            at = _end_of_statement(text, at, escapes) if insert is not None else _next_line(text, at)


def _names(listed: str) -> list[str]:
    return [name.strip().strip('"`').lower() for name in listed.split(",")]


def _columns(text: str, at: int) -> list[str]:
    """Of a CREATE TABLE whose bracket was opened before *at*."""
    found, depth, begin = [], 1, at
    while depth and at < len(text):
        letter = text[at]
        if letter == "'":
            at = _string(text, at, escapes=False)[0]
            continue
        depth += (letter == "(") - (letter == ")")
        if (letter == "," and depth == 1) or not depth:
            column = _COLUMN.match(text, begin, at)
            if column is not None and _NO_COLUMN.match(text, begin, at) is None:
                found.append(column[1].lower())
            begin = at + 1
        at += 1
    return found


def _row(names: list[str], cells: list[str | None]) -> Row:
    if len(names) != len(cells):
        raise DumpError(f"a row with {len(cells)} values where {len(names)} columns are known")
    return dict(zip(names, cells, strict=True))


def _values(text: str, at: int, escapes: bool) -> tuple[int, list[list[str | None]]]:
    """The tuples from *at* on, and where their statement ends."""
    found: list[list[str | None]] = []
    while True:
        at = _skip(text, at, " \t\r\n,")
        if at >= len(text) or text[at] != "(":
            return _next_line(text, at), found
        at, cells = _tuple(text, at + 1, escapes)
        found.append(cells)


def _tuple(text: str, at: int, escapes: bool) -> tuple[int, list[str | None]]:
    cells: list[str | None] = []
    while True:
        at = _skip(text, at, " \t\r\n,")
        if at >= len(text):
            raise DumpError("the dump ends within a row")
        if text[at] == ")":
            return at + 1, cells
        word = _WORD.match(text, at)
        quoted = (
            at
            if text[at] == "'"
            else word.end()
            if word is not None and text[word.end() : word.end() + 1] == "'"
            else -1
        )
        if quoted >= 0:  # also E'…' and _binary'…'
            at, cell = _string(text, quoted, escapes or text[at] in "eE")
            cells.append(cell)
        elif word is None:
            raise DumpError(f"{text[at : at + 20]!r} is no value")
        else:
            at = word.end()
            if word[0].startswith("_") and text[_skip(text, at, " ")] == "'":
                continue  # _binary 'x': the string follows
            cells.append(
                None if word[0].upper() == "NULL" else {"true": "1", "false": "0"}.get(word[0].lower(), word[0])
            )


def _string(text: str, at: int, escapes: bool) -> tuple[int, str]:
    parts: list[str] = []
    special = re.compile(r"['\\]" if escapes else "'")
    at += 1
    while True:
        met = special.search(text, at)
        if met is None:
            raise DumpError("the dump ends within a text")
        parts.append(text[at : met.start()])
        follows = text[met.end() : met.end() + 1]
        if met[0] == "\\":
            parts.append(_ESCAPED.get(follows, follows))
        elif follows == "'":
            parts.append("'")
        else:
            return met.end(), "".join(parts)
        at = met.end() + 1


def _end_of_statement(text: str, at: int, escapes: bool) -> int:
    """Behind an INSERT that nobody wants, whose texts may hold anything."""
    special = re.compile("[';]")
    while (met := special.search(text, at)) is not None:
        if met[0] == ";":
            return met.end()
        at = _string(text, met.start(), escapes)[0]
    return len(text)


def _end_of_copy(text: str, at: int) -> int:
    end = text.find("\n\\.", at)
    if end < 0:
        raise DumpError("the dump ends within a table")
    return end + 1


def _unescape_copy(cell: str) -> str | None:
    if cell == "\\N":
        return None
    return re.sub(r"\\(.)", lambda met: _ESCAPED.get(met[1], met[1]), cell)


def _skip(text: str, at: int, letters: str) -> int:
    while at < len(text) and text[at] in letters:
        at += 1
    return at


def _next_line(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end + 1
