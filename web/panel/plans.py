"""Plans: named sets of limits and defaults, for operators and resellers.

A reader would otherwise get wrong: a plan is changed for all that have it at once, so its page says how many they are.
"""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError, Forbidden
from appliance.services import authorisation, plans
from appliance.services.plans import SAYS
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, faults_of, limits_as_typed, limits_in
from web.panel.links import url
from web.panel.listing import PAGE_LENGTH, Asked, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)


@router.get("/plans")
def index(desk: Managing, asked: Asked) -> Response:
    """All plans in one's part, with how many have each."""
    _require_reseller(desk)
    with desk.reading() as session:
        page = plans.list_plans(session, actor=desk.actor, sort=asked.sort, limit=PAGE_LENGTH, cursor=asked.cursor)
        holders = plans.holders(session, page.items)
    return show_list(desk, asked, page, "/plans", ("plans/index.html", "plans/index.html"), holders=holders)


def _require_reseller(desk: Desk) -> None:
    if not desk.me.may_add_tenants:
        raise Forbidden("Plans are the business of operators and resellers.")


@router.get("/plans/new")
def new(desk: Managing) -> Response:
    """The form for a new plan."""
    return _new(desk, Typed(), None)


def _new(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    _require_reseller(desk)
    faults = faults_of(refusal, "name", *SAYS) if refusal else Typed()
    return desk.page(
        "plans/form.html", refusal=refusal, form=form, errors=faults, plan=None, holders=0, may_change=True
    )


@router.post("/plans")
def create(desk: Managing, form: Form) -> Response:
    """Make a plan, to be given to tenants."""
    _require_reseller(desk)
    try:
        says: dict[str, Any] = limits_in(form, SAYS)
        with desk.changing() as session:
            plan = plans.create(session, form["name"], actor=desk.actor, **says)
    except ApplianceError as refusal:
        return _new(desk, form, refusal)
    return desk.see_other("/plans", f"The plan {plan.name} can be given to tenants now.")


@router.get("/plans/{number:int}")
def detail(desk: Managing, number: int) -> Response:
    """A plan."""
    return _detail(desk, number, None, None)


def _detail(desk: Desk, number: int, form: Typed | None, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        plan = plans.get(session, number, actor=desk.actor)
        return desk.page(
            "plans/form.html", refusal=refusal, errors=faults_of(refusal, "name", *SAYS) if refusal else Typed(),
            form=Typed(limits_as_typed(plan, SAYS), name=plan.name) if form is None else form,
            plan=plan, holders=plans.holders(session, [plan])[plan.id],
            may_change=authorisation.allows(session, desk.actor, "plan.update", plan),
        )  # fmt: skip


@router.post("/plans/{number:int}")
def update(desk: Managing, number: int, form: Form) -> Response:
    """For all that have it, from now on."""
    try:
        says: dict[str, Any] = limits_in(form, SAYS)
        with desk.changing() as session:
            plan = plans.update(session, number, actor=desk.actor, name=form["name"], **says)
    except ApplianceError as refusal:
        return _detail(desk, number, form, refusal)
    return desk.see_other(url("plans", number), f"The plan {plan.name} is changed for all that have it.")


@router.post("/plans/{number:int}/remove")
def remove(desk: Managing, number: int, form: Form) -> Response:
    """One that nobody has."""
    try:
        with desk.changing() as session:
            plans.remove(session, number, actor=desk.actor)
    except ApplianceError as refusal:
        return _detail(desk, number, None, refusal)
    return desk.see_other("/plans", "The plan is gone.")
