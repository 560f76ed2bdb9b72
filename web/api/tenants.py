"""Tenants."""

from fastapi import APIRouter, Response

from appliance.services import tenants
from web.api.dependencies import (
    Asking,
    Changing,
    Cursor,
    DryRun,
    Limit,
    Making,
    Ordering,
    TenantId,
    TenantNumber,
    given,
    refusals,
    told,
)
from web.api.schemas import Page, Standstill, stopping
from web.api.schemas.tenants import NewTenant, Tenant, TenantChange

router = APIRouter(prefix="/tenants")


@router.get("", summary="List tenants", responses=refusals(422))
def list_tenants(asking: Asking, limit: Limit = 50, cursor: Cursor = None, parent_id: TenantId = None) -> Page[Tenant]:
    """The key's own and those below it, oldest first; with *parent_id*, those directly below that one."""
    with asking.wiring.reading() as session:
        page = tenants.list_tenants(session, actor=asking.actor, parent_id=parent_id, limit=limit, cursor=cursor)
        return Page(items=[Tenant.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Add a tenant", status_code=201, responses=refusals(403, 404, 409, 422))
def create(asking: Making, body: NewTenant, response: Response, dry_run: DryRun = False) -> Tenant:
    """A reseller below the operator, or a customer below either."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        tenant = Tenant.model_validate(tenants.create(posting.session, actor=asking.actor, **body.model_dump()))
        return posting.answer(tenant, location=f"/tenants/{tenant.id}")


@router.get("/{tenant_id}", summary="Show a tenant", responses=refusals(404, 422))
def show(asking: Asking, tenant_id: TenantNumber, response: Response) -> Tenant:
    """By its id."""
    with asking.wiring.reading() as session:
        return told(response, Tenant.model_validate(tenants.get(session, tenant_id, actor=asking.actor)))


@router.patch("/{tenant_id}", summary="Change a tenant", responses=refusals(403, 404, 409, 412, 422))
def change(
    asking: Changing, tenant_id: TenantNumber, body: TenantChange, response: Response, dry_run: DryRun = False
) -> Tenant:
    """What is left out stays as it is; null takes a limit away."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: tenants.get(session, tenant_id, actor=asking.actor))
        return told(
            response, Tenant.model_validate(tenants.update(session, tenant_id, actor=asking.actor, **given(body)))
        )


@router.delete("/{tenant_id}", summary="Remove a tenant", status_code=204, responses=refusals(403, 404, 409, 412, 422))
def remove(asking: Changing, tenant_id: TenantNumber, dry_run: DryRun = False) -> None:
    """Only one that has nothing left; its accounts and keys go with it."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: tenants.get(session, tenant_id, actor=asking.actor))
        tenants.remove(session, tenant_id, actor=asking.actor)


@router.post("/{tenant_id}/suspend", summary="Suspend a tenant", responses=refusals(403, 404, 412, 422))
def suspend(
    asking: Ordering,
    tenant_id: TenantNumber,
    response: Response,
    body: Standstill | None = None,
    dry_run: DryRun = False,
) -> Tenant:
    """Stops mail and log-ins of it and all below it."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: tenants.get(posting.session, tenant_id, actor=asking.actor))
        return posting.answer(
            Tenant.model_validate(tenants.suspend(posting.session, tenant_id, actor=asking.actor, **stopping(body)))
        )


@router.post("/{tenant_id}/resume", summary="Resume a tenant", responses=refusals(403, 404, 412, 422))
def resume(
    asking: Ordering,
    tenant_id: TenantNumber,
    response: Response,
    body: Standstill | None = None,
    dry_run: DryRun = False,
) -> Tenant:
    """Lets mail flow again."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        asking.expect(lambda: tenants.get(posting.session, tenant_id, actor=asking.actor))
        return posting.answer(
            Tenant.model_validate(tenants.resume(posting.session, tenant_id, actor=asking.actor, **stopping(body)))
        )
