"""Plans: named sets of limits and defaults, made by an operator or reseller for the tenants below him.

A reader would otherwise get wrong: a plan is not copied. What it says holds for all that have it from the moment it is changed;
what is there already stays, and only more is refused.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Taken
from appliance.models import Plan, Tenant
from appliance.services import audit, authorisation, changes, limits, tenants
from appliance.services.actor import Actor
from appliance.services.common import check_name
from appliance.services.paging import Orders, Page, as_read, page_in_order

__all__ = ["SAYS", "Plan", "create", "get", "holders", "list_plans", "remove", "update"]

SAYS = (*limits.OF_TENANTS, "sends_per_hour", "sends_per_day", "default_quota_bytes")
_NO_LIMIT = (1 << 63) - 1
_ORDERS = Orders(
    Plan.id, "created", {"created": Plan.id},
    {
        "name": as_read(Plan.name),
        **{f"-{name}": func.coalesce(getattr(Plan, name), _NO_LIMIT) for name in (*limits.OF_TENANTS, "sends_per_day")},
    },
)  # fmt: skip


def create(session: Session, name: str, *, actor: Actor, tenant_id: int | None = None, **says: int | None) -> Plan:
    """A plan of *tenant_id* (the actor's own when not given), that *says* some of SAYS.

    Raises:
        Invalid: a limit makes no sense.
        Taken: it has a plan of that name.
        NotFound, Forbidden: the tenant is not the actor's, or has nobody below it.
    """
    chosen = session.get(Tenant, tenant_id) if tenant_id is not None else tenants.own(session, actor)
    owner = authorisation.require(session, actor, "plan.create", chosen, f"tenant {tenant_id}")
    limits.check(says)
    plan = Plan(tenant_id=owner.id, name=_free_name(session, name, owner.id), **says)
    session.add(plan)
    session.flush()
    _tell(session, actor, "plan.created", plan, after=_describe(plan))
    return plan


def get(session: Session, number: int, *, actor: Actor) -> Plan:
    """The plan with this id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return _for(session, actor, "plan.see", number)


def list_plans(
    session: Session, *, actor: Actor, sort: str | None = None, limit: int = 50, cursor: str | None = None
) -> Page[Plan]:
    """Plans in the actor's part, oldest first.

    *sort*: created, name, or one of `limits.OF_TENANTS`; what has no limit is the largest.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Plan), actor, Plan)
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def holders(session: Session, found: Sequence[Plan]) -> dict[int, int]:
    """For each plan's id, how many tenants have it."""
    told = dict.fromkeys([plan.id for plan in found], 0)
    counted = select(Tenant.plan_id, func.count()).where(Tenant.plan_id.in_(list(told))).group_by(Tenant.plan_id)
    for number, count in session.execute(counted):
        if number is not None:
            told[number] = count
    return told


def update(session: Session, number: int, *, actor: Actor, name: str | None = None, **says: int | None) -> Plan:
    """Change what is given; None takes a limit away. In force for all that have it.

    Raises:
        Invalid, Taken, NotFound, Forbidden: as for `create`.
    """
    plan = _for(session, actor, "plan.update", number)
    before = _describe(plan)
    limits.check(says)
    if name is not None and check_name(name) != plan.name:
        plan.name = _free_name(session, name, plan.tenant_id)
    for key, value in says.items():
        setattr(plan, key, value)
    before, after = audit.difference(before, _describe(plan))
    if after:
        plan.version += 1
        having = select(Tenant.id).where(Tenant.plan_id == plan.id)
        for tenant_id in session.scalars(having).all():
            changes.announce(session, changes.TENANT, str(tenant_id))
        _tell(session, actor, "plan.changed", plan, before=before, after=after)
    return plan


def remove(session: Session, number: int, *, actor: Actor) -> None:
    """Remove a plan that nobody has.

    Raises:
        Conflict: somebody has it.
        NotFound, Forbidden: it is not the actor's to remove.
    """
    plan = _for(session, actor, "plan.remove", number)
    having = session.scalar(select(func.count()).select_from(Tenant).where(Tenant.plan_id == plan.id)) or 0
    if having:
        raise Conflict(f"{having} tenants have the plan {plan.name}", code="plan_in_use")
    _tell(session, actor, "plan.removed", plan, before=_describe(plan))
    session.delete(plan)
    session.flush()


def _for(session: Session, actor: Actor, action: str, number: int) -> Plan:
    return authorisation.require(session, actor, action, session.get(Plan, number), f"plan {number}")


def _free_name(session: Session, name: str, tenant_id: int) -> str:
    name = check_name(name)
    if session.scalar(select(Plan.id).where(Plan.tenant_id == tenant_id, Plan.name == name)) is not None:
        raise Taken(f"there is already a plan {name}", code="plan_taken", field="name")
    return name


def _describe(plan: Plan) -> dict[str, Any]:
    return {"name": plan.name, **{name: getattr(plan, name) for name in SAYS}}


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    plan: Plan,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(session, actor, action, f"plan {plan.name}", tenant_id=plan.tenant_id, before=before, after=after)
