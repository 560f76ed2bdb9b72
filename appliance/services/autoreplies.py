"""Autoreplies: what a mailbox answers by itself while its owner is away.

A reader would otherwise get wrong: whom it answers, and how often, is not asked here. That is the same for everybody
(`mta.message.autoreply`); here stand only the words, and from when until when.
"""

from typing import Any

from sqlalchemy import select

from appliance.database.session import Session
from appliance.errors import Invalid, NotFound
from appliance.models import Autoreply, Domain, Mailbox
from appliance.models.base import now
from appliance.services import addresses, audit, changes, mailboxes
from appliance.services.actor import Actor

__all__ = [
    "LONGEST_SUBJECT",
    "LONGEST_TEXT",
    "Autoreply",
    "clear",
    "describe",
    "find",
    "get",
    "of_domain",
    "parse",
    "put",
]

LONGEST_SUBJECT = 150  # characters
LONGEST_TEXT = 4000
MAX_MOMENT = 253_402_300_799  # seconds since 1970: the end of the year 9999


def put(
    session: Session,
    address: str,
    *,
    actor: Actor,
    text: str,
    subject: str = "",
    starts_at: int | None = None,
    ends_at: int | None = None,
    enabled: bool = True,
) -> Autoreply:
    """Answer the mailbox's mail with *text*, from *starts_at* until *ends_at* (seconds since 1970; None: open).

    Raises:
        Invalid: no text, or too much of it; an end that is not behind the beginning.
        NotFound, Forbidden: the mailbox is not the actor's.
    """
    mailbox = mailboxes.find(session, actor, "autoreply.set", address)
    before = describe(mailbox.autoreply)
    after = parse(text=text, subject=subject, starts_at=starts_at, ends_at=ends_at, enabled=enabled)
    autoreply = mailbox.autoreply
    if autoreply is None:
        autoreply = mailbox.autoreply = Autoreply(mailbox_id=mailbox.id)
    for name, value in after.items():
        setattr(autoreply, name, value)
    autoreply.changed_at = now()
    session.flush()
    if after != before:
        _tell(session, actor, "autoreply.set", mailbox, before=before, after=after)
    return autoreply


def parse(
    *, text: str, subject: str = "", starts_at: int | None = None, ends_at: int | None = None, enabled: bool = True
) -> dict[str, Any]:
    """What would be saved, as `describe` tells it.

    Raises:
        Invalid: as `put`.
    """
    _require_order(starts_at, ends_at)
    return {
        "enabled": enabled, "subject": _subject(subject), "text": _text(text), "starts_at": starts_at, "ends_at": ends_at,
    }  # fmt: skip


def of_domain(session: Session, domain: Domain) -> dict[int, Autoreply]:
    """All autoreplies in *domain*, by the ids of their mailboxes."""
    wanted = select(Autoreply).join(Mailbox, Mailbox.id == Autoreply.mailbox_id).where(Mailbox.domain_id == domain.id)
    return {row.mailbox_id: row for row in session.scalars(wanted)}


def get(session: Session, address: str, *, actor: Actor) -> Autoreply:
    """The autoreply of a mailbox.

    Raises:
        NotFound: the mailbox is not the actor's, or has none.
    """
    found = find(session, address, actor=actor)
    if found is None:
        raise NotFound(f"there is no autoreply of {addresses.show(addresses.parse_address(address))}")
    return found


def find(session: Session, address: str, *, actor: Actor) -> Autoreply | None:
    """The autoreply of a mailbox, if it has one.

    Raises:
        NotFound: the mailbox is not the actor's.
    """
    return mailboxes.find(session, actor, "autoreply.see", address).autoreply


def clear(session: Session, address: str, *, actor: Actor) -> None:
    """Answer no more; without an autoreply, nothing happens.

    Raises:
        NotFound, Forbidden: the mailbox is not the actor's.
    """
    mailbox = mailboxes.find(session, actor, "autoreply.set", address)
    if mailbox.autoreply is None:
        return
    before = describe(mailbox.autoreply)
    mailbox.autoreply = None
    session.flush()
    _tell(session, actor, "autoreply.cleared", mailbox, before=before)


def describe(autoreply: Autoreply | None) -> dict[str, Any] | None:
    """What an autoreply says, as plain values."""
    if autoreply is None:
        return None
    return {
        "enabled": autoreply.enabled, "subject": autoreply.subject, "text": autoreply.text,
        "starts_at": autoreply.starts_at, "ends_at": autoreply.ends_at,
    }  # fmt: skip


def _text(text: str) -> str:
    """*text* with plain line ends and no blanks at the end of a line, or at its own."""
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ").split("\n")]
    words = "\n".join(lines).strip("\n")
    if not words or len(words) > LONGEST_TEXT or not all(line.isprintable() for line in lines):
        raise Invalid(f"the text of an autoreply has 1 to {LONGEST_TEXT} characters that can be seen", field="text")
    return words


def _subject(subject: str) -> str:
    words = " ".join(subject.split())
    if len(words) > LONGEST_SUBJECT or not words.isprintable():
        raise Invalid(f"a subject is a text of at most {LONGEST_SUBJECT} characters", field="subject")
    return words


def _require_order(starts_at: int | None, ends_at: int | None) -> None:
    for name, moment in (("starts_at", starts_at), ("ends_at", ends_at)):
        if moment is not None and not 0 <= moment <= MAX_MOMENT:
            raise Invalid(f"{name} is no moment that a calendar has", field=name)
    if starts_at is not None and ends_at is not None and ends_at <= starts_at:
        raise Invalid("an autoreply ends after it begins", field="ends_at")


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    mailbox: Mailbox,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    mailbox.version += 1
    key = addresses.key_of(mailbox.address)
    audit.record(
        session, actor, action, key,
        tenant_id=mailbox.domain.tenant_id, domain_id=mailbox.domain_id, before=before, after=after,
    )  # fmt: skip
    changes.announce(session, changes.AUTOREPLY, key)
