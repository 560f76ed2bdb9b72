"""Addresses that a mailbox's owner makes for himself.

A reader would otherwise get wrong: these routes stand before those of mailboxes, whose addresses take the rest of the path.
"""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Response

from appliance.database.session import Session
from appliance.services import disposables
from web.api.dependencies import Asking, Caller, Changing, DryRun, Making, given, refusals, seconds, told
from web.api.schemas import Page
from web.api.schemas.disposables import Disposable, DisposableChange, NewDisposable
from web.api.schemas.removals import Removed

router = APIRouter(prefix="/mailboxes/{address:path}/disposables")

Address = Annotated[str, Path(description="the mailbox's whole address", examples=["anna@example.com"])]
Own = Annotated[str, Path(description="the whole address that its owner made", examples=["shop.4f7k2q@example.com"])]


@router.get("", summary="List addresses that the owner made", responses=refusals(404, 422))
def list_disposables(asking: Asking, address: Address, response: Response) -> Page[Disposable]:
    """The newest first. They are aliases, too, and stand among those of the domain."""
    with asking.wiring.reading() as session:
        rows = disposables.get(session, address, actor=asking.actor)
        return told(response, Page(items=[Disposable.model_validate(row) for row in rows], next=None))


@router.post("", summary="Make an address", status_code=201, responses=refusals(403, 404, 409, 422))
def add(
    asking: Making, address: Address, body: NewDisposable, response: Response, dry_run: DryRun = False
) -> Disposable:
    """An address of a few signs that nobody chose, behind a word if one is given; it counts as an alias."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        made = disposables.add(posting.session, address, actor=asking.actor, **seconds(body.model_dump()))
        shown = Disposable.model_validate(made)
        return posting.answer(shown, location=f"/mailboxes/{quote(address, safe='@')}/disposables")


@router.patch("/{disposable}", summary="Change such an address", responses=refusals(403, 404, 409, 412, 422))
def change(
    asking: Changing, address: Address, disposable: Own, body: DisposableChange, response: Response,
    dry_run: DryRun = False,
) -> Disposable:  # fmt: skip
    """Switches it on and off, says what it is for, and until when it is there."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: _find(asking, session, address, disposable))
        row = disposables.update(session, address, disposable, actor=asking.actor, **seconds(given(body)))
        return told(response, Disposable.model_validate(row))


@router.delete("/{disposable}", summary="Remove such an address", responses=refusals(403, 404, 412, 422))
def remove(asking: Changing, address: Address, disposable: Own, dry_run: DryRun = False) -> Removed:
    """Mail to it is then refused as unknown, unless a pattern or the catch-all takes it."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: _find(asking, session, address, disposable))
        days = asking.wiring.settings.limits.trash_days
        return Removed.model_validate(disposables.remove(session, address, disposable, actor=asking.actor, days=days))


def _find(asking: Caller, session: Session, address: str, disposable: str) -> disposables.Alias:
    return disposables.find(session, address, disposable, actor=asking.actor)
