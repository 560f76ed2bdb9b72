"""Plans: named sets of limits and defaults."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from appliance.services import plans
from web import LARGEST
from web.api.dependencies import Asking, Changing, Cursor, DryRun, Limit, Making, given, refusals, told
from web.api.schemas import Page
from web.api.schemas.plans import NewPlan, Plan, PlanChange

router = APIRouter(prefix="/plans")
Number = Annotated[int, Path(ge=0, le=LARGEST)]


@router.get("", summary="List plans", responses=refusals(422))
def list_plans(asking: Asking, limit: Limit = 50, cursor: Cursor = None) -> Page[Plan]:
    """The key's tenant's own and those of tenants below it, oldest first."""
    with asking.wiring.reading() as session:
        page = plans.list_plans(session, actor=asking.actor, limit=limit, cursor=cursor)
        return Page(items=[Plan.model_validate(row) for row in page.items], next=page.next)


@router.post("", summary="Add a plan", status_code=201, responses=refusals(403, 404, 409, 422))
def create(asking: Making, body: NewPlan, response: Response, dry_run: DryRun = False) -> Plan:
    """For an operator or a reseller, to be given to tenants below him."""
    with asking.posting(response, body, dry_run=dry_run) as posting:
        plan = Plan.model_validate(plans.create(posting.session, actor=asking.actor, **body.model_dump()))
        return posting.answer(plan, location=f"/plans/{plan.id}")


@router.get("/{number}", summary="Show a plan", responses=refusals(404, 422))
def show(asking: Asking, number: Number, response: Response) -> Plan:
    """By its id."""
    with asking.wiring.reading() as session:
        return told(response, Plan.model_validate(plans.get(session, number, actor=asking.actor)))


@router.patch("/{number}", summary="Change a plan", responses=refusals(403, 404, 409, 412, 422))
def change(asking: Changing, number: Number, body: PlanChange, response: Response, dry_run: DryRun = False) -> Plan:
    """At once for all that have it; what they have already they keep."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: plans.get(session, number, actor=asking.actor))
        return told(response, Plan.model_validate(plans.update(session, number, actor=asking.actor, **given(body))))


@router.delete("/{number}", summary="Remove a plan", status_code=204, responses=refusals(403, 404, 409, 412, 422))
def remove(asking: Changing, number: Number, dry_run: DryRun = False) -> None:
    """Only one that nobody has."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: plans.get(session, number, actor=asking.actor))
        plans.remove(session, number, actor=asking.actor)
