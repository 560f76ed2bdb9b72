"""What became of messages."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from appliance.services import messages, trace
from appliance.services.messages import Asked
from web.api.dependencies import Asking, Caller, Cursor, Limit, refusals
from web.api.schemas import Instant, Page
from web.api.schemas.messages import Message, TracedMessage

router = APIRouter(prefix="/messages")

_OURS = frozenset({"time", "role", "event", "queue_id", "session"})

Party = Annotated[
    str | None,
    Query(
        max_length=320, examples=["anna@example.com"],
        description="an address as it was given, or `@` and a domain",
    ),
]  # fmt: skip
State = Annotated[
    str | None,
    Query(
        max_length=20, json_schema_extra={"pattern": f"^({'|'.join(messages.STATES)})$"},
        description="only those that are so now: `failed`, say",
    ),
]  # fmt: skip
Bound = Annotated[Instant | None, Query()]


@router.get("", summary="List messages", responses=refusals(422))
def list_messages(
    asking: Asking,
    limit: Limit = 50,
    cursor: Cursor = None,
    sender: Party = None,
    recipient: Party = None,
    since: Bound = None,
    until: Bound = None,
    state: State = None,
) -> Page[Message]:
    """What was accepted or refused, newest first. A page may be short, or empty, while there is a `next`."""
    first, last = (moment.timestamp() if moment is not None else None for moment in (since, until))
    asked = Asked(sender, recipient, first, last, state)
    page = messages.list_messages(asking.wiring.traces, _scope(asking), asked, limit=limit, cursor=cursor)
    return Page(items=[Message.model_validate(each) for each in page.items], next=page.next)


@router.get("/{id}", summary="Follow a message", responses=refusals(404))
def get(asking: Asking, id: Annotated[str, Path(max_length=40)]) -> TracedMessage:  # noqa: A002 - its name in the path
    """One message, and everything that happened to it that concerns whoever asks."""
    found = messages.get(asking.wiring.traces, _scope(asking), id)
    return TracedMessage.model_validate({
        **Message.model_validate(found).model_dump(), "events": [_told(entry) for entry in found.events],
    })  # fmt: skip


def _scope(asking: Caller) -> messages.Scope:
    with asking.wiring.reading() as session:
        return messages.scope_of(session, asking.actor)


def _told(entry: trace.Entry) -> dict[str, Any]:
    words = {key: str(value) for key, value in entry.items() if key not in _OURS}
    return {
        "at": entry["time"], "role": entry["role"], "event": entry["event"], "text": trace.words(entry), "words": words,
    }  # fmt: skip
