"""`postern plan`: named sets of limits and defaults."""

from typing import Any

from cyclopts import App

from appliance.cli.house import actor, changing, every, looking, say, say_one, say_rows
from appliance.cli.tenant import limit_of
from appliance.errors import Invalid
from appliance.services import plans
from appliance.services.common import Unchanged
from appliance.services.plans import SAYS, Plan

app = App(name="plan", help="Named sets of limits and defaults.")


def describe(plan: Plan) -> dict[str, Any]:
    """A plan as plain values."""
    return {
        "id": plan.id,
        "name": plan.name,
        "tenant_id": plan.tenant_id,
        **{name: getattr(plan, name) for name in SAYS},
    }


def _said(words: list[str]) -> dict[str, int | None]:
    said: dict[str, int | None] = {}
    for word in words:
        name, _, text = word.partition("=")
        limit = limit_of(text or None)
        if name not in SAYS or isinstance(limit, Unchanged):
            raise Invalid(f"{word!r} is not NAME=NUMBER with a name of {', '.join(SAYS)}")
        said[name] = limit
    return said


@app.command
def add(name: str, *says: str) -> None:
    """Add a plan of the operator's, such as `plan add Small max_mailboxes=10 default_quota_bytes=1073741824`."""
    with changing() as session:
        plan = plans.create(session, name, actor=actor(), **_said(list(says)))
    say(describe(plan), f"added the plan {plan.name} with the id {plan.id}")


@app.command(name="list")
def list_() -> None:
    """List all plans."""
    with looking() as session:
        say_rows(map(describe, every(plans.list_plans, session)), "id", "name", "tenant_id")


@app.command
def show(plan_id: int) -> None:
    """Show one."""
    with looking() as session:
        say_one(describe(plans.get(session, plan_id, actor=actor())))


@app.command(name="set")
def set_(plan_id: int, *says: str, name: str | None = None) -> None:
    """Change what is given, for all that have it."""
    with changing() as session:
        plan = plans.update(session, plan_id, actor=actor(), name=name, **_said(list(says)))
    say(describe(plan), f"changed the plan {plan.name}")


@app.command
def remove(plan_id: int) -> None:
    """Remove a plan that nobody has."""
    with changing() as session:
        described = describe(plans.get(session, plan_id, actor=actor()))
        plans.remove(session, plan_id, actor=actor())
    say(described, f"removed the plan {described['name']}")
