"""`postern tenant`: resellers and customers."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from appliance.cli.house import (
    Stops,
    actor,
    changing,
    every,
    looking,
    say,
    say_one,
    say_rows,
    stops,
)
from appliance.errors import Invalid
from appliance.services import tenants
from appliance.services.common import UNCHANGED, Unchanged
from appliance.services.tenants import Tenant

app = App(name="tenant", help="Resellers and customers.")
ForwardsOutside = Annotated[
    bool, Parameter(help="may mail be forwarded to other hosts? Not by anybody below either, without")
]
SkipsProof = Annotated[
    bool, Parameter(help="may its domains, and those below, be served without a proof whose they are?")
]
PlanId = Annotated[str | None, Parameter(help="the id of a plan, or `none`")]
Limit = Annotated[str | None, Parameter(help="a number, or `none`")]
Days = Annotated[
    str | None,
    Parameter(help="for so many days it is remembered what became of messages; `none`: as who stands above says"),
]


def describe(tenant: Tenant) -> dict[str, Any]:
    """A tenant as plain values."""
    return {
        "id": tenant.id,
        "name": tenant.name,
        "kind": tenant.kind,
        "parent": tenant.parent_id,
        "suspended": tenant.suspended,
        "suspended_for": tenant.suspended_for,
        "max_domains": tenant.max_domains,
        "max_mailboxes": tenant.max_mailboxes,
        "max_aliases": tenant.max_aliases,
        "max_forwards": tenant.max_forwards,
        "max_storage_bytes": tenant.max_storage_bytes,
        "plan": tenant.plan.name if tenant.plan is not None else None,
        "forwards_outside": tenant.forwards_outside,
        "skips_proof": tenant.skips_proof,
        "trace_days": tenant.trace_days,
    }


def limit_of(text: str | None) -> int | Unchanged | None:
    """A limit as typed; nothing typed changes nothing.

    Raises:
        Invalid: it is not a number.
    """
    if text is None:
        return UNCHANGED
    if text == "none":
        return None
    if not text.isascii() or not text.isdigit():
        raise Invalid(f"{text!r} is not a limit: a number, or none")
    return int(text)


def _first(text: str | None) -> int | None:
    limit = limit_of(text)
    return None if isinstance(limit, Unchanged) else limit


@app.command
def add(  # noqa: PLR0913 - all that may be said of one
    name: str,
    *,
    kind: str = "customer",
    parent: str | None = None,
    max_domains: Limit = None,
    max_mailboxes: Limit = None,
    max_aliases: Limit = None,
    max_forwards: Limit = None,
    max_storage_bytes: Limit = None,
    plan: PlanId = None,
    forwards_outside: ForwardsOutside = True,
    skips_proof: SkipsProof = False,
    trace_days: Days = None,
) -> None:
    """Add a reseller or customer, below the operator or --parent."""
    with changing() as session:
        above = tenants.find(session, parent, actor=actor()).id if parent else None
        tenant = tenants.create(
            session, name, kind, actor=actor(), parent_id=above, max_domains=_first(max_domains),
            max_mailboxes=_first(max_mailboxes), max_aliases=_first(max_aliases), forwards_outside=forwards_outside,
            max_forwards=_first(max_forwards), max_storage_bytes=_first(max_storage_bytes), plan_id=_first(plan),
            skips_proof=skips_proof, trace_days=_first(trace_days),
        )  # fmt: skip
    say(describe(tenant), f"added {tenant.kind} {tenant.name} with the id {tenant.id}")


@app.command(name="list")
def list_() -> None:
    """List all tenants."""
    with looking() as session:
        say_rows(map(describe, every(tenants.list_tenants, session)), "id", "name", "kind", "parent", "suspended")


@app.command
def show(tenant: str) -> None:
    """Show one, by name or id."""
    with looking() as session:
        say_one(describe(tenants.find(session, tenant, actor=actor())))


@app.command(name="set")
def set_(  # noqa: PLR0913 - all that may be said of one
    tenant: str,
    *,
    name: str | None = None,
    max_domains: Limit = None,
    max_mailboxes: Limit = None,
    max_aliases: Limit = None,
    max_forwards: Limit = None,
    max_storage_bytes: Limit = None,
    plan: PlanId = None,
    forwards_outside: ForwardsOutside | None = None,
    skips_proof: SkipsProof | None = None,
    trace_days: Days = None,
) -> None:
    """Change what is given."""
    with changing() as session:
        found = tenants.find(session, tenant, actor=actor())
        changed = tenants.update(
            session, found.id, actor=actor(), name=name, max_domains=limit_of(max_domains),
            max_mailboxes=limit_of(max_mailboxes), max_aliases=limit_of(max_aliases), forwards_outside=forwards_outside,
            max_forwards=limit_of(max_forwards), max_storage_bytes=limit_of(max_storage_bytes), plan_id=limit_of(plan),
            skips_proof=skips_proof, trace_days=limit_of(trace_days),
        )  # fmt: skip
    say(describe(changed), f"changed {changed.name}")


@app.command
def suspend(tenant: str, *, only: Stops = ()) -> None:
    """Stop mail and log-ins of the tenant and all below it."""
    with changing() as session:
        found = tenants.suspend(
            session, tenants.find(session, tenant, actor=actor()).id, actor=actor(), what=stops(only)
        )
    say(describe(found), f"suspended {found.name}")


@app.command
def resume(tenant: str, *, only: Stops = ()) -> None:
    """Undo suspend."""
    with changing() as session:
        found = tenants.resume(
            session, tenants.find(session, tenant, actor=actor()).id, actor=actor(), what=stops(only)
        )
    say(describe(found), f"resumed {found.name}")


@app.command
def remove(tenant: str) -> None:
    """Remove a tenant that has neither domains nor tenants left."""
    with changing() as session:
        found = tenants.find(session, tenant, actor=actor())
        described = describe(found)
        tenants.remove(session, found.id, actor=actor())
    say(described, f"removed {described['name']}")
