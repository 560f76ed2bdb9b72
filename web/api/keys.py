"""API keys."""

from fastapi import APIRouter, Response

from appliance.services import keys
from web.api.dependencies import Asking, Changing, Cursor, DryRun, Limit, Making, TenantId, refusals, told
from web.api.schemas import Page
from web.api.schemas.keys import Key, MadeKey, NewKey

router = APIRouter(prefix="/keys")


@router.get("", summary="List keys", responses=refusals(422))
def list_keys(asking: Asking, limit: Limit = 50, cursor: Cursor = None, tenant_id: TenantId = None) -> Page[Key]:
    """Revoked ones too, oldest first."""
    with asking.wiring.reading() as session:
        page = keys.list_keys(session, actor=asking.actor, tenant_id=tenant_id, limit=limit, cursor=cursor)
        return Page(items=[Key.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Make a key", status_code=201, responses=refusals(403, 404, 422))
def create(asking: Making, body: NewKey, response: Response, dry_run: DryRun = False) -> MadeKey:
    """The answer holds the secret, this once: repeated with its Idempotency-Key, it comes without. Good within a second."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        until = None if body.expires_at is None else int(body.expires_at.timestamp())
        scope = keys.Scope(body.actions, body.addresses, body.networks, until)
        made = keys.create(posting.session, actor=asking.actor, tenant_id=body.tenant_id, name=body.name, scope=scope)
        shown = MadeKey(**Key.model_validate(made.key).model_dump(), secret=made.secret)
        return posting.answer(shown, location=f"/keys/{shown.id}")


@router.get("/{public_id}", summary="Show a key", responses=refusals(404))
def show(asking: Asking, public_id: str, response: Response) -> Key:
    """Without its secret, which nobody has but its owner."""
    with asking.wiring.reading() as session:
        return told(response, Key.model_validate(keys.get(session, public_id, actor=asking.actor)))


@router.delete("/{public_id}", summary="Revoke a key", status_code=204, responses=refusals(403, 404, 412))
def revoke(asking: Changing, public_id: str, dry_run: DryRun = False) -> None:
    """From the answer on it opens nothing. It stays in the list."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: Key.model_validate(keys.get(session, public_id, actor=asking.actor)))
        keys.revoke(session, public_id, actor=asking.actor)
