"""Tenants: operator > reseller > customer."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import func, select

from appliance.database.session import Session
from appliance.errors import Conflict, Forbidden, Invalid, Taken, Unable
from appliance.models import Account, ApiKey, Domain, Plan, Tenant, Webhook
from appliance.services import audit, authorisation, certificates, changes, limits, removals
from appliance.services.actor import Actor
from appliance.services.authorisation import EVERYTHING
from appliance.services.common import UNCHANGED, Unchanged, check_name
from appliance.services.paging import Orders, Page, as_read, page_in_order

__all__ = [
    "KINDS",
    "Tenant",
    "create",
    "find",
    "first_below",
    "get",
    "list_tenants",
    "operator",
    "own",
    "remove",
    "resume",
    "suspend",
    "update",
]

MOST_DAYS = 3650
_ORDERS = Orders(Tenant.id, "created", {"created": Tenant.id}, {"name": as_read(Tenant.name)})
KINDS = {"reseller": ("operator",), "customer": ("operator", "reseller")}  # kind: kinds it may stand below


def operator(session: Session) -> Tenant:
    """The root of the tree.

    Raises:
        Unable: the database was never initialised.
    """
    root = session.scalar(select(Tenant).where(Tenant.kind == "operator"))
    if root is None:
        raise Unable("there is no operator: run `postern init`", code="not_initialised")
    return root


def own(session: Session, actor: Actor) -> Tenant:
    """The tenant the actor stands for: his own, or the operator's."""
    return session.get_one(Tenant, actor.tenant_id) if actor.tenant_id is not None else operator(session)


def create(
    session: Session,
    name: str,
    kind: str = "customer",
    *,
    actor: Actor,
    parent_id: int | None = None,
    plan_id: int | None = None,
    forwards_outside: bool = True,
    skips_proof: bool = False,
    trace_days: int | None = None,
    **given: int | None,
) -> Tenant:
    """A new tenant below *parent_id* (the actor's own tenant when not given); *given* are some of `limits.OF_TENANTS`.

    Raises:
        Invalid: no such kind, or a limit makes no sense.
        Conflict: the parent's kind has none of this kind.
        Taken: a tenant beside it has the name.
        NotFound, Forbidden: the parent is not the actor's.
    """
    chosen = session.get(Tenant, parent_id) if parent_id is not None else own(session, actor)
    parent = authorisation.require(session, actor, "tenant.create", chosen, f"tenant {parent_id}")
    if kind not in KINDS:
        raise Invalid("a tenant is a reseller or a customer", field="kind")
    if parent.kind not in KINDS[kind]:
        raise Conflict(f"a {parent.kind} has no {kind}s: operator > reseller > customer", field="kind")
    limits.check(given)
    _require_plan(session, actor, plan_id, kind)
    _require_word(actor, skips_proof)
    _check_days(trace_days)
    tenant = Tenant(plan_id=plan_id, name=_free_name(session, name, parent.id), kind=kind, parent_id=parent.id, **given)
    tenant.forwards_outside, tenant.skips_proof, tenant.trace_days = forwards_outside, skips_proof, trace_days
    session.add(tenant)
    session.flush()
    _tell(session, actor, "tenant.created", tenant, after=_describe(tenant))
    return tenant


def get(session: Session, tenant_id: int, *, actor: Actor) -> Tenant:
    """The tenant with this id.

    Raises:
        NotFound: there is none, or it is not in the actor's part.
    """
    return authorisation.require(session, actor, "tenant.see", session.get(Tenant, tenant_id), f"tenant {tenant_id}")


def find(session: Session, name_or_id: str, *, actor: Actor) -> Tenant:
    """The tenant by its id, or by its name when only one that the actor sees has it.

    Raises:
        NotFound: there is none.
        Conflict: several have this name.
    """
    wanted = authorisation.restrict(select(Tenant), actor, Tenant).where(Tenant.name == name_or_id)
    found = list(session.scalars(wanted.limit(2)))
    if len(found) > 1:
        raise Conflict(f"several tenants are called {name_or_id}: give the id", code="ambiguous")
    if not found and name_or_id.isascii() and name_or_id.isdigit() and len(name_or_id) < 19:
        return get(session, int(name_or_id), actor=actor)
    return authorisation.require(session, actor, "tenant.see", found[0] if found else None, f"tenant {name_or_id}")


def list_tenants(
    session: Session,
    *,
    actor: Actor,
    parent_id: int | None = None,
    search: str = "",
    sort: str | None = None,
    limit: int = 50,
    cursor: str | None = None,
) -> Page[Tenant]:
    """Tenants in the actor's part, oldest first; with *parent_id*, those directly below it; or with *search* in the name.

    *sort*: created, name.

    Raises:
        Invalid: a bad limit or cursor.
    """
    wanted = authorisation.restrict(select(Tenant), actor, Tenant)
    if parent_id is not None:
        wanted = wanted.where(Tenant.parent_id == parent_id)
    if search:
        wanted = wanted.where(func.lower(Tenant.name).contains(search.strip().lower(), autoescape=True))
    return page_in_order(session, wanted, _ORDERS, sort, limit, cursor)


def first_below(session: Session, found: Sequence[Tenant], most: int) -> dict[int, tuple[list[Tenant], int]]:
    """Of each of *found*, by its id: the first *most* directly below it, and how many there are."""
    place = func.row_number().over(partition_by=Tenant.parent_id, order_by=Tenant.id).label("place")
    total = func.count().over(partition_by=Tenant.parent_id).label("total")
    inner = select(Tenant.id, place, total).where(Tenant.parent_id.in_([tenant.id for tenant in found])).subquery()
    wanted = select(Tenant, inner.c.total).join(inner, inner.c.id == Tenant.id).where(inner.c.place <= most)
    told: dict[int, tuple[list[Tenant], int]] = {}
    for tenant, count in session.execute(wanted.order_by(Tenant.id)):
        told.setdefault(tenant.parent_id, ([], count))[0].append(tenant)
    return told


def update(
    session: Session,
    tenant_id: int,
    *,
    actor: Actor,
    name: str | None = None,
    plan_id: int | Unchanged | None = UNCHANGED,
    forwards_outside: bool | None = None,
    skips_proof: bool | None = None,
    trace_days: int | Unchanged | None = UNCHANGED,
    **given: int | Unchanged | None,
) -> Tenant:
    """Change what is given of `limits.OF_TENANTS` and the rest; a limit of None is what its plan says, or none.

    Without *forwards_outside* no mail for the tenant, or for anybody below, goes on to other hosts: from now on, whatever
    was forwarded before.

    Raises:
        Invalid, Taken, NotFound, Forbidden: as for `create`.
    """
    tenant = _for(session, actor, "tenant.update", tenant_id)
    before = _describe(tenant)
    changed = {key: value for key, value in given.items() if not isinstance(value, Unchanged)}
    limits.check(changed)
    if name is not None and check_name(name) != tenant.name:
        tenant.name = _free_name(session, name, tenant.parent_id)
    for key, value in changed.items():
        setattr(tenant, key, value)
    if not isinstance(plan_id, Unchanged) and plan_id != tenant.plan_id:
        _require_plan(session, actor, plan_id, tenant.kind)
        tenant.plan_id = plan_id
        session.flush()
        session.expire(tenant, ["plan"])
    tenant.forwards_outside = tenant.forwards_outside if forwards_outside is None else forwards_outside
    if skips_proof is not None and skips_proof != tenant.skips_proof:
        _require_word(actor, True)
        tenant.skips_proof = skips_proof
    if not isinstance(trace_days, Unchanged):
        _check_days(trace_days)
        tenant.trace_days = trace_days
    before, after = audit.difference(before, _describe(tenant))
    if after:
        tenant.version += 1
        _tell(session, actor, "tenant.changed", tenant, before=before, after=after)
    return tenant


def suspend(session: Session, tenant_id: int, *, actor: Actor, what: Collection[str] = EVERYTHING) -> Tenant:
    """Stop mail and log-ins of the tenant and all below it. One change entry, whatever hangs on it.

    Raises:
        NotFound, Forbidden: it is not the actor's to suspend.
    """
    tenant = _for(session, actor, "tenant.suspend", tenant_id)
    if tenant.kind == "operator":
        raise Forbidden("the operator cannot be suspended")
    if authorisation.suspend(tenant, actor, what):
        _tell(session, actor, "tenant.suspended", tenant, after={"suspended_for": tenant.suspended_for})
    return tenant


def resume(session: Session, tenant_id: int, *, actor: Actor, what: Collection[str] = EVERYTHING) -> Tenant:
    """Undo `suspend`.

    Raises:
        NotFound, Forbidden: it is not the actor's, or someone above suspended it.
    """
    tenant = _for(session, actor, "tenant.suspend", tenant_id)
    if authorisation.resume(tenant, actor, f"tenant {tenant.name}", what):
        _tell(session, actor, "tenant.resumed", tenant, after={"suspended_for": tenant.suspended_for})
    return tenant


def remove(session: Session, tenant_id: int, *, actor: Actor) -> None:
    """Remove a tenant that has nothing left, with its accounts, keys and certificates.

    Raises:
        Conflict: it still has domains or tenants.
        NotFound, Forbidden: it is not the actor's to remove.
    """
    tenant = _for(session, actor, "tenant.remove", tenant_id)
    if tenant.kind == "operator":
        raise Forbidden("the operator cannot be removed")
    authorisation.require_not_held(tenant, actor, f"tenant {tenant.name}")
    for model, noun in ((Domain.tenant_id, "domains"), (Tenant.parent_id, "tenants")):
        left = session.scalar(select(func.count()).where(model == tenant.id)) or 0
        if left:
            raise Conflict(f"the tenant {tenant.name} still has {left} {noun}", code="tenant_not_empty")
    for account in session.scalars(select(Account).where(Account.tenant_id == tenant.id)).all():
        changes.announce(session, changes.ACCOUNT, account.name)
        session.delete(account)
    for key in session.scalars(select(ApiKey).where(ApiKey.tenant_id == tenant.id)).all():
        changes.announce(session, changes.KEY, key.public_id)
        session.delete(key)
    certificates.remove_all(session, tenant)
    for webhook in session.scalars(select(Webhook).where(Webhook.tenant_id == tenant.id)).all():
        session.delete(webhook)
    if tenant.parent_id is not None:  # What was removed of his is for who stands above him to bring back.
        removals.move(session, tenant.id, tenant.parent_id)
    _tell(session, actor, "tenant.removed", tenant, before=_describe(tenant))
    session.flush()
    session.delete(tenant)
    session.flush()


def _for(session: Session, actor: Actor, action: str, tenant_id: int) -> Tenant:
    return authorisation.require(session, actor, action, session.get(Tenant, tenant_id), f"tenant {tenant_id}")


def _require_word(actor: Actor, wanted: bool) -> None:
    """Go on when nothing special is wanted, or the operator wants it."""
    if wanted and not actor.sees_everything:
        raise Forbidden("only the operator may let a tenant do without proofs", code="operators_word")


def _check_days(days: int | None) -> None:
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise Invalid(f"trace_days is a number from 1 to {MOST_DAYS}, or none", field="trace_days")


def _require_plan(session: Session, actor: Actor, plan_id: int | None, kind: str) -> None:
    """Go on when tenants of this *kind* may have it: it is in the actor's part, and not for the operator himself."""
    if plan_id is not None:
        authorisation.require(session, actor, "plan.see", session.get(Plan, plan_id), f"plan {plan_id}")
        if kind == "operator":
            raise Invalid("the operator has no plan", field="plan_id")


def _free_name(session: Session, name: str, parent_id: int | None) -> str:
    name = check_name(name)
    if session.scalar(select(Tenant.id).where(Tenant.parent_id == parent_id, Tenant.name == name)) is not None:
        raise Taken(f"there is already a tenant {name}", code="tenant_taken", field="name")
    return name


def _describe(tenant: Tenant) -> dict[str, Any]:
    return {
        "name": tenant.name,
        "kind": tenant.kind,
        **{name: getattr(tenant, name) for name in limits.OF_TENANTS},
        "plan": tenant.plan.name if tenant.plan is not None else None,
        "forwards_outside": tenant.forwards_outside,
        "skips_proof": tenant.skips_proof,
        "trace_days": tenant.trace_days,
    }


def _tell(
    session: Session,
    actor: Actor,
    action: str,
    tenant: Tenant,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    audit.record(session, actor, action, f"tenant {tenant.name}", tenant_id=tenant.id, before=before, after=after)
    changes.announce(session, changes.TENANT, str(tenant.id))
