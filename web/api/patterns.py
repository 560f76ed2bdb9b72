"""Patterns of a mailbox: addresses that begin alike.

A reader would otherwise get wrong: these routes stand before those of mailboxes, whose addresses take the rest of the path.
"""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from appliance.services import patterns
from web.api.dependencies import Asking, Changing, DryRun, refusals, told
from web.api.schemas.patterns import NewPatterns, Patterns

router = APIRouter(prefix="/mailboxes/{address:path}/patterns")

Address = Annotated[str, Path(description="the whole address", examples=["anna@example.com"])]


def _shown(rows: list[patterns.Pattern]) -> Patterns:
    return Patterns(patterns=[row.text for row in rows])


@router.get("", summary="Show the patterns", responses=refusals(404, 422))
def show(asking: Asking, address: Address, response: Response) -> Patterns:
    """An exact name comes before any of them, and a tag; of several the longest counts."""
    with asking.wiring.reading() as session:
        return told(response, _shown(patterns.get(session, address, actor=asking.actor)))


@router.put("", summary="Set the patterns", responses=refusals(403, 404, 409, 412, 422))
def put(asking: Changing, address: Address, body: NewPatterns, response: Response, dry_run: DryRun = False) -> Patterns:
    """Those that it has are what the body says, and no others. Each counts as an alias."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: _shown(patterns.get(session, address, actor=asking.actor)))
        return told(response, _shown(patterns.put(session, address, body.patterns, actor=asking.actor)))
