"""What happened, as a feed that can be read again from any place: the audit log, oldest first.

A reader would otherwise get wrong: numbers have gaps, since everybody sees his own part only; but they never come late. Writers
take turns, so who has read up to a number has missed nothing below it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select

from appliance.database.session import Session
from appliance.errors import Invalid
from appliance.models import AuditEntry
from appliance.services import authorisation
from appliance.services.actor import Actor
from appliance.services.paging import check_limit

MAX_TYPES = 50
LONGEST_TYPE = 100


@dataclass(frozen=True, slots=True)
class Feed:
    """A piece of it. *last*: what to give as `after` to go on; *more*: there are others already."""

    items: list[AuditEntry]
    last: int
    more: bool


def feed(session: Session, *, actor: Actor, after: int = 0, types: Sequence[str] = (), limit: int = 50) -> Feed:
    """Events of the actor's part after number *after*; of *types* only, such as `mailbox.created`, or `mailbox.` for all of a noun.

    Raises:
        Invalid: a bad limit or type.
    """
    wanted = authorisation.restrict(select(AuditEntry), actor, AuditEntry).where(AuditEntry.id > after)
    if types:
        wanted = wanted.where(of_types(types))
    rows = session.scalars(wanted.order_by(AuditEntry.id).limit(check_limit(limit) + 1)).all()
    items = list(rows[:limit])
    return Feed(items, items[-1].id if items else after, len(rows) > limit)


def check_types(types: Sequence[str]) -> list[str]:
    """*types*, each once.

    Raises:
        Invalid: too many, or one is none.
    """
    if len(types) > MAX_TYPES:
        raise Invalid(f"at most {MAX_TYPES} types", field="types")
    for name in types:
        noun, dot, deed = name.partition(".")
        if not dot or not _is_word(noun) or not (deed == "" or _is_word(deed)) or len(name) > LONGEST_TYPE:
            raise Invalid(
                "a type is such as mailbox.created; or mailbox. for all of them", code="bad_type", field="types"
            )
    return sorted(set(types))


def _is_word(text: str) -> bool:
    return text.isascii() and text.replace("_", "").isalpha()


def of_types(types: Sequence[str]) -> ColumnElement[bool]:
    """Is an entry of one of *types*?

    Raises:
        Invalid: as `check_types`.
    """
    return or_(
        *(
            AuditEntry.action.startswith(name, autoescape=True) if name.endswith(".") else AuditEntry.action == name
            for name in check_types(types)
        )
    )
