"""What an operator who has just begun does next. It stands on each page of his way, until he needs it no more."""

from dataclasses import dataclass

from appliance.database.session import Session
from appliance.errors import DatabaseUnavailable
from appliance.services import first_steps, messages
from appliance.services.first_steps import FirstSteps
from web.panel.desk import Desk


@dataclass(frozen=True, slots=True)
class Guide:
    """The four steps: *done* of them are, *line* sends a message, *message* is the first that came."""

    there: FirstSteps
    line: str
    message: str
    done: int


def guide_for(desk: Desk, session: Session) -> Guide | None:
    """The guide of whoever sits at *desk*, or None."""
    there = first_steps.look(session, actor=desk.actor)
    if there is None:
        return None
    message = _first_message(desk, session, there.mailbox) if there.mailbox else ""
    line = first_steps.curl_line(desk.wiring.settings, there.mailbox) if there.mailbox else ""
    return Guide(there, line, message, bool(there.domain) + bool(there.mailbox) + bool(message))


def _first_message(desk: Desk, session: Session, mailbox: str) -> str:
    scope = messages.scope_of(session, desk.actor)
    try:
        found = messages.list_messages(desk.wiring.traces, scope, messages.Asked(recipient=mailbox), limit=1).items
    except DatabaseUnavailable:  # The page is about something else, and is there without this.
        return ""
    return found[0].id if found else ""
