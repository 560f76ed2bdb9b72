"""Aliases."""

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Path, Response

from appliance.services import aliases
from web.api.dependencies import Asking, Changing, Cursor, DryRun, Limit, Making, Search, given, refusals, seconds, told
from web.api.schemas import Page
from web.api.schemas.aliases import Alias, AliasChange, NewAlias
from web.api.schemas.removals import Removed

router = APIRouter(prefix="/aliases")

Address = Annotated[str, Path(description="the whole address", examples=["sales@example.com"])]


@router.get("", summary="List aliases", responses=refusals(404, 422))
def list_aliases(
    asking: Asking, limit: Limit = 50, cursor: Cursor = None, search: Search = "", domain: str | None = None
) -> Page[Alias]:
    """A domain after another; of one domain, or with *search* in the local-part."""
    with asking.wiring.reading() as session:
        page = aliases.list_aliases(
            session, actor=asking.actor, domain=domain, search=search, limit=limit, cursor=cursor
        )
        return Page(items=[Alias.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Add an alias", status_code=201, responses=refusals(403, 404, 409, 422))
def create(asking: Making, body: NewAlias, response: Response, dry_run: DryRun = False) -> Alias:
    """Targets must be addresses on this host that somebody answers for."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        alias = Alias.model_validate(aliases.create(posting.session, actor=asking.actor, **seconds(body.model_dump())))
        return posting.answer(alias, location=f"/aliases/{quote(alias.address, safe='@')}")


@router.get("/{address:path}", summary="Show an alias", responses=refusals(404, 422))
def show(asking: Asking, address: Address, response: Response) -> Alias:
    """The alias of exactly this address."""
    with asking.wiring.reading() as session:
        return told(response, Alias.model_validate(aliases.get(session, address, actor=asking.actor)))


@router.patch("/{address:path}", summary="Change an alias", responses=refusals(403, 404, 409, 412, 422))
def change(asking: Changing, address: Address, body: AliasChange, response: Response, dry_run: DryRun = False) -> Alias:
    """Replaces all its targets, says anew until when it is there, and who may write to it."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: aliases.get(session, address, actor=asking.actor))
        return told(
            response, Alias.model_validate(aliases.update(session, address, actor=asking.actor, **seconds(given(body))))
        )


@router.delete("/{address:path}", summary="Remove an alias", responses=refusals(403, 404, 412, 422))
def remove(asking: Changing, address: Address, dry_run: DryRun = False) -> Removed:
    """Mail to it is then refused as unknown. Until the moment that is told, the removal can be undone while nobody else has it."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: aliases.get(session, address, actor=asking.actor))
        days = asking.wiring.settings.limits.trash_days
        return Removed.model_validate(aliases.remove(session, address, actor=asking.actor, days=days))
