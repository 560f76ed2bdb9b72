"""The queue: what waits, why, and what may be done about it.

A reader would otherwise get wrong: what is done is done at once, and not by the transaction around it. That writes the audit entry
and the answer down; a repeated request finds it there before anything is done again.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from appliance.services import waiting
from web.api.dependencies import Asking, Cursor, DryRun, Limit, Making, refusals
from web.api.schemas import DOMAIN, Page, documented
from web.api.schemas.queue import Done, Everything, OfDomain, OfSender, QueuedMessage, ShownMessage, Which

router = APIRouter(prefix="/queue")

QueueId = Annotated[str, Path(max_length=40, examples=["00064b6e3f2a1c400000"])]
Deed = Literal["hold", "release", "retry"]
Deeds = Literal["hold", "release", "retry", "remove"]
InDomain = Annotated[
    str | None,
    Query(
        max_length=254, json_schema_extra=documented(f"^{DOMAIN}$", 253, 4), examples=["example.com"],
        description="with a recipient in this domain, or sent by one of its users",
    ),
]  # fmt: skip
BySender = Annotated[
    str | None,
    Query(
        max_length=320, examples=["anna@example.com"],
        description="of this reverse-path, or of the mailbox that submitted it",
    ),
]  # fmt: skip


@router.get("", summary="List what waits", responses=refusals(404, 422))
def list_messages(
    asking: Asking, limit: Limit = 50, cursor: Cursor = None, domain: InDomain = None, sender: BySender = None
) -> Page[QueuedMessage]:
    """The oldest first: what one's own domains send, and are sent. A page may be short, or empty, while there is a `next`."""
    with asking.wiring.reading() as session:
        page = waiting.list_messages(
            session, asking.wiring.queued, actor=asking.actor, domain=domain, sender=sender, limit=limit, cursor=cursor
        )
        return Page(items=[QueuedMessage.model_validate(one) for one in page.items], next=page.next)


@router.post("/{deed}", summary="Do something to many messages", responses=refusals(403, 404, 409, 422))
def change_many(asking: Making, deed: Deeds, body: Which, response: Response, dry_run: DryRun = False) -> Done:
    """To all that are to a domain, or of a sender. Others than the operator: to those that are theirs, a hundred at a time."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        done = waiting.change_many(
            posting.session, asking.wiring.queued, deed, actor=asking.actor, dry_run=dry_run,
            domain=body.domain if isinstance(body, OfDomain) else None,
            sender=body.sender if isinstance(body, OfSender) else None, everything=isinstance(body, Everything),
        )  # fmt: skip
        return posting.answer(Done(messages=done))


@router.get("/{queue_id}", summary="Show a message that waits", responses=refusals(404, 422))
def show(asking: Asking, queue_id: QueueId) -> ShownMessage:
    """With what the last attempt for each recipient came to. What happened to it before tells `GET /messages/{id}`."""
    with asking.wiring.reading() as session:
        return ShownMessage.model_validate(waiting.get(session, asking.wiring.queued, queue_id, actor=asking.actor))


@router.delete("/{queue_id}", summary="Take a message out", status_code=204, responses=refusals(403, 404, 422))
def remove(asking: Asking, queue_id: QueueId, dry_run: DryRun = False) -> None:
    """For good. Nobody is told: neither sender nor recipient hears of it."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        waiting.change(session, asking.wiring.queued, "remove", queue_id, actor=asking.actor, dry_run=dry_run)


@router.post("/{queue_id}/{deed}", summary="Do something to a message", responses=refusals(403, 404, 409, 422))
def change(asking: Making, queue_id: QueueId, deed: Deed, response: Response, dry_run: DryRun = False) -> Done:
    """Hold it, which stops its clock; release it; try it now. 0: it was so already."""
    with asking.posting(response, dry_run=dry_run) as posting:
        done = waiting.change(
            posting.session, asking.wiring.queued, deed, queue_id, actor=asking.actor, dry_run=dry_run
        )
        return posting.answer(Done(messages=done))
