"""Recipients of relayed domains: lists of a hundred thousand, taken in as they arrive.

A reader would otherwise get wrong: these endpoints read the body themselves, line by line. Only its addresses are kept, and
nothing is asked of the database before the last one is there - but whether the caller may do this at all.
"""

import codecs
import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from appliance.errors import Invalid
from appliance.services import domains, recipients
from web.api.dependencies import Asking, Caller, Changing, Cursor, DryRun, Limit, Ordering, Search, refusals
from web.api.schemas import Page
from web.api.schemas.recipients import Asked, Recipient, Tried, Uploaded

router = APIRouter(prefix="/domains/{name}/recipients")

_LONGEST_LINE = 1000  # characters; no address is nearly so long
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "an address a line, or its local-part alone; UTF-8",
        "content": {"text/plain": {"schema": {"type": "string"}, "example": "anna@example.com\nben@example.com\n"}},
    }
}


@router.get("", summary="List a relayed domain's recipients", responses=refusals(404, 422))
def list_recipients(
    asking: Asking, name: str, limit: Limit = 50, cursor: Cursor = None, search: Search = ""
) -> Page[Recipient]:
    """Those of the uploaded list, by local-part."""
    with asking.wiring.reading() as session:
        domain = domains.get(session, name, actor=asking.actor)
        page = recipients.list_recipients(session, name, actor=asking.actor, search=search, limit=limit, cursor=cursor)
        return Page(items=[Recipient(address=f"{row.folded}@{domain.name}") for row in page.items], next=page.next)


@router.get("/test", summary="Try a relayed domain's recipient", responses=refusals(403, 404, 409, 422))
def try_one(
    asking: Asking,
    name: str,
    address: Annotated[
        str | None,
        Query(max_length=254, description="an address of the domain, or its local-part; left out: postmaster"),
    ] = None,
) -> Tried:
    """Asks who knows it - the list, the directory, the next hop, the hook - as the SMTP port would, and for itself alone."""
    with asking.wiring.reading() as session:
        trial = recipients.try_one(session, name, address, actor=asking.actor)
    word = trial.word or asking.wiring.look_for(trial.address)
    return Tried.model_validate({"address": trial.address, "source": trial.source, "word": word})


@router.put(
    "",
    summary="Replace a relayed domain's recipients",
    responses=refusals(403, 404, 409, 412, 422),
    openapi_extra=_BODY,
)
async def replace(asking: Changing, name: str, request: Request, dry_run: DryRun = False) -> Uploaded:
    """The list is what the body says, and nothing else; all of it or, when a line is no address, none."""
    folded = await _read(asking, name, request)

    def act() -> Uploaded:
        with asking.wiring.changing(dry_run=dry_run) as session:
            asking.expect(lambda: domains.get(session, name, actor=asking.actor))
            return Uploaded.model_validate(recipients.apply(session, name, folded, "replace", actor=asking.actor))

    return await run_in_threadpool(act)


@router.post(
    "", summary="Add to a relayed domain's recipients", responses=refusals(403, 404, 409, 412, 422), openapi_extra=_BODY
)
async def add(asking: Ordering, name: str, request: Request, response: Response, dry_run: DryRun = False) -> Uploaded:
    """Those that are there already stay."""
    return await _order(asking, name, request, response, "add", dry_run=dry_run)


@router.post(
    "/remove", summary="Remove some of a relayed domain's recipients",
    responses=refusals(403, 404, 409, 412, 422), openapi_extra=_BODY,
)  # fmt: skip
async def remove(
    asking: Ordering, name: str, request: Request, response: Response, dry_run: DryRun = False
) -> Uploaded:
    """Those that are not there are no mistake."""
    return await _order(asking, name, request, response, "remove", dry_run=dry_run)


async def _order(
    asking: Caller, name: str, request: Request, response: Response, mode: recipients.Mode, *, dry_run: bool
) -> Uploaded:
    folded = await _read(asking, name, request)

    def act() -> Uploaded:
        digest = hashlib.blake2b("\n".join(folded).encode(), digest_size=16).hexdigest()
        with asking.posting(response, Asked(mode=mode, digest=digest), dry_run=dry_run) as posting:
            asking.expect(lambda: domains.get(posting.session, name, actor=asking.actor))
            done = recipients.apply(posting.session, name, folded, mode, actor=asking.actor)
            return posting.answer(Uploaded.model_validate(done))

    return await run_in_threadpool(act)


async def _read(asking: Caller, name: str, request: Request) -> list[str]:
    """The local-parts in the body.

    Raises:
        NotFound, Forbidden: the domain is not the caller's; found out before anything is read.
        Invalid: a line is no address of the domain.
    """

    def look() -> str:
        with asking.wiring.reading() as session:
            return domains.find(session, asking.actor, "recipient.set", name).name

    reader = recipients.ListReader(await run_in_threadpool(look))
    async for line in _lines(request):
        reader.take(line)
    return reader.finish()


async def _lines(request: Request) -> AsyncIterator[str]:
    decoder, rest = codecs.getincrementaldecoder("utf-8")(), ""
    try:
        async for octets in request.stream():
            *lines, rest = (rest + decoder.decode(octets)).split("\n")
            for line in lines:
                yield line
            if len(rest) > _LONGEST_LINE:
                raise Invalid("this is not a list with an address a line", code="bad_recipients", field="recipients")
        yield rest + decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise Invalid("the list is not UTF-8", code="bad_recipients", field="recipients") from error
