"""The audit log."""

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

from appliance.services import audit
from appliance.services.audit import Search
from web.api.dependencies import Asking, Cursor, Limit, refusals
from web.api.schemas import Instant, Page
from web.api.schemas.audit import AuditEntry

router = APIRouter(prefix="/audit")


def search(
    subject: Annotated[str | None, Query(max_length=1000, description="only those to exactly this thing")] = None,
    actor: Annotated[
        str | None, Query(max_length=1000, description="only by him: a login, or `key:` and a key's id")
    ] = None,
    action: Annotated[
        str | None,
        Query(
            max_length=100,
            pattern=r"^[a-z_]{1,50}[.][a-z_]{0,50}$",
            description="only `mailbox.created`, say; `mailbox.` for all about mailboxes",
        ),
    ] = None,
    since: Annotated[Instant | None, Query(description="not before")] = None,
    until: Annotated[Instant | None, Query(description="before")] = None,
) -> Search:
    """Which entries are asked for."""
    first, last = (int(moment.timestamp()) if moment is not None else None for moment in (since, until))
    return Search(subject, actor, action, first, last)


Searching = Annotated[Search, Depends(search)]


@router.get("", summary="List deeds", responses=refusals(422))
def list_entries(asking: Asking, wanted: Searching, limit: Limit = 50, cursor: Cursor = None) -> Page[AuditEntry]:
    """Who did what, newest first. Each entry was written in the transaction of its deed."""
    with asking.wiring.reading() as session:
        page = audit.list_entries(session, actor=asking.actor, search=wanted, limit=limit, cursor=cursor)
        return Page(items=[AuditEntry.model_validate(row) for row in page.items], next=page.next)


_LINES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}, "description": "one entry a line"}
}


@router.get("/export", summary="Export deeds", response_class=StreamingResponse, responses={**refusals(422), **_LINES})
def export(asking: Asking, wanted: Searching) -> StreamingResponse:
    """The same, oldest first and all at once, at most a million: one JSON object a line, its times in seconds since 1970.

    `digest` is the SHA-256 (hexadecimal) of the digest of the entry before, followed by the entry as JSON: without `id`,
    `digest` and what is null, its keys in order, without spaces, everything beyond ASCII escaped. Of all entries, the first
    is tied to 64 zeros.
    """

    def lines() -> Iterator[str]:
        with asking.wiring.reading() as session:
            yield from audit.export(session, actor=asking.actor, search=wanted)

    return StreamingResponse(lines(), media_type="application/x-ndjson")
