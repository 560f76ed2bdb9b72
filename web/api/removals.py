"""What was removed, and having it back.

A reader would otherwise get wrong: these are no trash cans to be filled. A removal comes into being by removing something, and is
gone when it is undone, or when its time is over.
"""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from appliance.services import removals
from web import LARGEST
from web.api.dependencies import Asking, Changing, Cursor, DryRun, Limit, Ordering, Search, refusals, told
from web.api.schemas import Page
from web.api.schemas.removals import Removal

router = APIRouter(prefix="/removals")
Number = Annotated[int, Path(ge=0, le=LARGEST)]
Kind = Annotated[Literal["domain", "mailbox", "alias"] | None, Query(description="only these")]


@router.get("", summary="List removals", responses=refusals(422))
def list_removals(
    asking: Asking, limit: Limit = 50, cursor: Cursor = None, search: Search = "", kind: Kind = None
) -> Page[Removal]:
    """What can be had back, the newest first."""
    with asking.wiring.reading() as session:
        page = removals.list_removals(session, actor=asking.actor, kind=kind, search=search, limit=limit, cursor=cursor)
        return Page(items=[Removal.model_validate(row) for row in page.items], next=page.next)


@router.get("/{number}", summary="Show a removal", responses=refusals(404, 422))
def show(asking: Asking, number: Number, response: Response) -> Removal:
    """By its id."""
    with asking.wiring.reading() as session:
        return told(response, Removal.model_validate(removals.get(session, number, actor=asking.actor)))


@router.post("/{number}/undo", summary="Undo a removal", responses=refusals(403, 404, 409, 412, 422))
def undo(asking: Ordering, number: Number, response: Response, dry_run: DryRun = False) -> Removal:
    """Brings everything back as it was, with passwords, forwardings and mail. Limits hold as for new ones."""
    with asking.posting(response, dry_run=dry_run) as posting:
        asking.expect(lambda: removals.get(posting.session, number, actor=asking.actor))
        return posting.answer(Removal.model_validate(removals.undo(posting.session, number, actor=asking.actor)))


@router.delete("/{number}", summary="Make a removal final", status_code=204, responses=refusals(403, 404, 412, 422))
def end(asking: Changing, number: Number, dry_run: DryRun = False) -> None:
    """What was kept goes now, and the name is free as soon as its mail is put away."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: removals.get(session, number, actor=asking.actor))
        removals.end(session, number, actor=asking.actor)
