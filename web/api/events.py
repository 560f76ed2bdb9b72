"""Events: what happened, as a feed that can be read again."""

from typing import Annotated

from fastapi import APIRouter, Query

from appliance.services import events
from web import LARGEST
from web.api.dependencies import Asking, Limit, refusals
from web.api.schemas.events import Event, Events

router = APIRouter(prefix="/events")

After = Annotated[
    int, Query(ge=0, le=LARGEST, description="the number of the last event that was seen; 0: from the beginning")
]
_WORD = "[a-z]{1,20}(_[a-z]{1,20}){0,3}"
_TYPE = rf"{_WORD}\.({_WORD})?"
Types = Annotated[
    str | None,
    Query(
        max_length=1000, pattern=rf"^{_TYPE}(,{_TYPE}){{0,49}}$", examples=["mailbox.,domain.suspended"],
        description="only these, separated by commas: `mailbox.created`, or `mailbox.` for all about mailboxes",
    ),
]  # fmt: skip


@router.get("", summary="Read events", responses=refusals(422))
def read(asking: Asking, after: After = 0, types: Types = None, limit: Limit = 50) -> Events:
    """In the order in which they happened. Ask again with `after` set to `last`, and nothing is missed or told twice."""
    wanted = types.split(",") if types else []
    with asking.wiring.reading() as session:
        feed = events.feed(session, actor=asking.actor, after=after, types=wanted, limit=limit)
        return Events(
            items=[Event.model_validate(row) for row in feed.items],
            next=str(feed.last) if feed.more else None,
            last=feed.last,
        )
