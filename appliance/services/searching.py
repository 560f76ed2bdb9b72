"""Local-parts that hold a text, found by an index of their grams: every three characters in a row.

A reader would otherwise get wrong: a text of one or two characters is looked for where names begin, one of three or more
anywhere. Before each name the index has START twice, which no address holds, so that both are the same question. Triggers of the
migrations keep the index, whoever writes: SQLite's is a full-text table beside each table, PostgreSQL's an index over arrays
that needs no extension.
"""

import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, Text, cast, column, func, literal_column, select, table
from sqlalchemy.dialects.postgresql import ARRAY

from appliance.database.session import Session
from appliance.models import Alias, Mailbox
from mta.vocabulary import fold_local_part

GRAM = 3
START = "\x02"
# Found names, up to which they are fetched and sorted. Of more, the next page is met within so many rows of the table as are
# quickly walked through in their order: at a million, a row that is fetched costs as much as thirty that are walked past.
FEW = 1500

Kind = type[Mailbox] | type[Alias]


class Found(NamedTuple):
    """Where a name stands in the order of lists."""

    domain_id: int
    folded: str
    id: int


def text_of(typed: str) -> str:
    """What is looked for, when *typed* is a part of an address; empty: nothing is."""
    return fold_local_part(typed.strip().partition("@")[0])


def few(
    session: Session, kind: Kind, wanted: Select[Mailbox] | Select[Alias], text: str, *, domain_id: int | None
) -> list[Found] | None:
    """The names in *wanted* that hold *text*, in their order; None: there are too many to fetch them all.

    *domain_id*: that of the only domain from which they can be.
    """
    if any(unicodedata.category(character)[0] == "C" for character in text):
        return []  # No address has such a character, and neither database takes all of them.
    # The index knows nothing of domains: in a small one it would find names of all the others first.
    if domain_id is not None and _are_few(session, kind, kind.domain_id == domain_id):
        held = holds_in_walking(kind, text)
    else:
        held = _holds(session, kind, _needle(text))
        if not _are_few(session, kind, held):
            return None
    # Unsorted and without limit: what else could tempt a planner away from the index of grams?
    rows = session.execute(wanted.with_only_columns(kind.domain_id, kind.folded, kind.id).where(held))
    return sorted(Found(*row) for row in rows)


def _are_few(session: Session, kind: Kind, held: ColumnElement[bool]) -> bool:
    some = select(literal_column("1")).select_from(kind).where(held).limit(FEW + 1).subquery()
    return (session.scalar(select(func.count()).select_from(some)) or 0) <= FEW


def holds_in_walking(kind: Kind, text: str) -> ColumnElement[bool]:
    """The same question without the index, for who goes through all names in their order."""
    if len(text) < GRAM:
        return kind.folded.startswith(text, autoescape=True)
    return kind.folded.contains(text, autoescape=True)


def _needle(text: str) -> str:
    return START * (GRAM - len(text)) + text


def _holds(session: Session, kind: Kind, needle: str) -> ColumnElement[bool]:
    if session.get_bind().dialect.name == "sqlite":
        index = table(f"{kind.__tablename__}_search", column("rowid"))
        phrase = '"{}"'.format(needle.replace('"', '""'))
        found = select(index.c.rowid).where(literal_column(index.name).op("MATCH")(phrase))
        return kind.id.in_(found)
    grams = cast(_grams(needle), ARRAY(Text))
    # Grams may stand apart from one another; SQLite's phrase says by itself that they do not.
    return func.search_grams(kind.folded).op("@>")(grams) & holds_in_walking(kind, needle.lstrip(START))


def _grams(needle: str) -> Sequence[str]:
    return sorted({needle[at : at + GRAM] for at in range(len(needle) - GRAM + 1)})
