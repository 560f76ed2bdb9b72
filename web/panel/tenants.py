"""Tenants and who administers them. Operators and resellers see those below them, a customer his own."""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

from fastapi import APIRouter, Query
from starlette.responses import Response

from appliance.database.session import Session
from appliance.errors import ApplianceError, Forbidden, NotFound
from appliance.services import accounts, appointments, authorisation, domains, limits, passwords, plans, tenants
from web import LARGEST
from web.panel.desk import Desk, Managing, Signed
from web.panel.forms import Form, faults_of, limits_as_typed, limits_in, number_in, stops_in
from web.panel.links import url
from web.panel.listing import PAGE_LENGTH, Asked, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

LIMITS = limits.OF_TENANTS
KINDS = (("customer", "Customer"), ("reseller", "Reseller"))
MAX_LISTED = 500
BRANCHES = 15  # on a page of the tree, each with SHOWN_BELOW more: a first visit stays below 100 KiB
SHOWN_BELOW = 4  # of a reseller's customers, in the tree; the others are a click away


class Branch(NamedTuple):
    """A line of the tree. *more*: so many stand below it that are not shown."""

    tenant: tenants.Tenant
    depth: int
    more: int = 0


@router.get("/tenants")
def index(desk: Signed, asked: Asked, under: Annotated[int | None, Query(ge=0, le=LARGEST)] = None) -> Response:
    """The tree from one's own tenant downward, or from the one that it is looked at *under*."""
    _require_reseller(desk)
    with desk.reading() as session:
        top = tenants.own(session, desk.actor) if under is None else tenants.get(session, under, actor=desk.actor)
        page = tenants.list_tenants(
            session, actor=desk.actor, parent_id=None if asked.search else top.id, search=asked.search,
            sort=asked.sort, limit=PAGE_LENGTH if asked.search else BRANCHES, cursor=asked.cursor,
        )  # fmt: skip
        tree = _tree(session, top, page.items, is_search=bool(asked.search))
        own = tenants.own(session, desk.actor).id
        tickable = {branch.tenant.id for branch in tree} - {own}  # nobody chooses a plan for himself
    query = {} if under is None else {"under": str(under)}
    templates = ("tenants/index.html", "tenants/_list.html")
    return show_list(
        desk, asked, page, "/tenants", templates, query, tree=tree, top=top, under=under, tickable=tickable
    )


def _tree(
    session: Session, top: tenants.Tenant, found: Sequence[tenants.Tenant], *, is_search: bool
) -> list[Branch]:  # fmt: skip
    if is_search:
        return [Branch(tenant, 0) for tenant in found]
    below = tenants.first_below(session, found, SHOWN_BELOW)
    tree = [Branch(top, 0)]
    for tenant in found:
        shown, total = below.get(tenant.id, ([], 0))
        tree += [Branch(tenant, 1, total - len(shown)), *(Branch(child, 2) for child in shown)]
    return tree


def _require_reseller(desk: Desk) -> None:
    if not desk.me.may_add_tenants:
        raise Forbidden("Tenants are the business of operators and resellers.")


@router.get("/tenants/new")
def new(desk: Signed) -> Response:
    """The form for a new tenant."""
    return _new(desk, Typed(kind="customer"), None)


def _new(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    _require_reseller(desk)
    with desk.reading() as session:
        found = tenants.list_tenants(session, actor=desk.actor, limit=MAX_LISTED).items
        form.setdefault("parent_id", str(tenants.own(session, desk.actor).id))
        offered = _plans(session, desk)
    parents = [(tenant.id, tenant.name) for tenant in found if tenant.kind != "customer"]
    kinds = KINDS if desk.actor.sees_everything else KINDS[:1]
    faults = faults_of(refusal, "name", "kind", "plan_id", *LIMITS) if refusal else Typed()
    return desk.page(
        "tenants/new.html", refusal=refusal, form=form, errors=faults, parents=parents, kinds=kinds, plans=offered
    )


def _plans(session: Session, desk: Desk) -> list[tuple[str, str]]:
    """What may be chosen as a plan."""
    found = plans.list_plans(session, actor=desk.actor, limit=MAX_LISTED).items
    return [("", "No plan"), *((str(plan.id), plan.name) for plan in found)]


@router.post("/tenants")
def create(desk: Signed, form: Form) -> Response:
    """Make a tenant, then show it: the next step is to give it an administrator."""
    _require_reseller(desk)
    try:
        wanted: dict[str, Any] = limits_in(form, LIMITS)
        with desk.changing() as session:
            tenant = tenants.create(
                session,
                form["name"],
                form["kind"] or "customer",
                actor=desk.actor,
                parent_id=number_in(form, "parent_id"),
                plan_id=number_in(form, "plan_id"),
                **wanted,
            )
    except ApplianceError as refusal:
        return _new(desk, form, refusal)
    return desk.see_other(url("tenants", tenant.id), f"{tenant.name} is here. Give it an administrator next.")


@router.get("/tenants/{tenant_id}")
def detail(desk: Managing, tenant_id: int) -> Response:
    """A tenant, its limits and its administrators."""
    return _detail(desk, tenant_id, None, None)


def _detail(desk: Desk, tenant_id: int, form: Typed | None, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        tenant = tenants.get(session, tenant_id, actor=desk.actor)
        form = _of_tenant(tenant) if form is None else form
        return desk.page(
            "tenants/detail.html",
            refusal=refusal,
            form=form,
            errors=faults_of(refusal, "name", "account", "holder", "plan_id", "trace_days", *LIMITS)
            if refusal
            else Typed(),
            tenant=tenant,
            trace_days=desk.wiring.settings.limits.trace_days,
            use=_use(session, tenant),
            by_plan={f"max_{noun}": "" for noun in limits.NOUNS}
            if tenant.plan is None
            else limits_as_typed(tenant.plan, LIMITS),
            plans=_plans(session, desk),
            below=tenants.first_below(session, [tenant], PAGE_LENGTH).get(tenant.id, ([], 0)),
            above=tenants.get(session, tenant.parent_id, actor=desk.actor)
            if tenant.parent_id is not None and tenants.own(session, desk.actor).id != tenant.id
            else None,
            appointed=[
                (row, appointments.holder_of(row))
                for row in appointments.list_appointments(
                    session, actor=desk.actor, tenant_id=tenant_id, limit=MAX_LISTED
                ).items
            ],
            administrators=accounts.list_accounts(
                session, actor=desk.actor, tenant_id=tenant_id, limit=MAX_LISTED
            ).items,
            owned=domains.list_domains(session, actor=desk.actor, tenant_id=tenant_id, limit=PAGE_LENGTH),
            may_change=authorisation.allows(session, desk.actor, "tenant.update", tenant),
            may_appoint=authorisation.allows(session, desk.actor, "account.create", tenant),
        )


def _of_tenant(tenant: tenants.Tenant) -> Typed:
    return Typed(
        limits_as_typed(tenant, LIMITS), name=tenant.name, plan_id=str(tenant.plan_id or ""),
        forwards_outside="yes" if tenant.forwards_outside else "", skips_proof="yes" if tenant.skips_proof else "",
        trace_days="" if tenant.trace_days is None else str(tenant.trace_days),
    )  # fmt: skip


def _use(session: Session, tenant: tenants.Tenant) -> list[tuple[str, int | None, int | None]]:
    """Of each noun, how much is used of how much. Only what is limited is counted: the operator's own would take seconds."""
    told: list[tuple[str, int | None, int | None]] = []
    for noun in limits.NOUNS:
        limit = limits.limit_of(tenant, f"max_{noun}")
        told.append((noun, None if limit is None else limits.count(session, tenant.id, noun), limit))
    return told


@router.post("/tenants/{tenant_id}")
def update(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Change name, limits and the right to forward to other hosts; an empty limit is none."""
    try:
        wanted: dict[str, Any] = limits_in(form, LIMITS)
        with desk.changing() as session:
            tenants.update(
                session, tenant_id, actor=desk.actor, name=form["name"], forwards_outside=bool(form["forwards_outside"]),
                plan_id=number_in(form, "plan_id"), trace_days=number_in(form, "trace_days"),
                skips_proof=bool(form["skips_proof"]) if desk.actor.sees_everything else None,
                **wanted,
            )  # fmt: skip
    except ApplianceError as refusal:
        return _detail(desk, tenant_id, form, refusal)
    return desk.see_other(url("tenants", tenant_id), "Saved.")


@router.post("/tenants/{tenant_id}/suspend")
def suspend(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Stop mail and sign-ins of the tenant and all below it."""
    with desk.changing() as session:
        tenant = tenants.suspend(session, tenant_id, actor=desk.actor, what=stops_in(form))
    return desk.see_other(url("tenants", tenant_id), f"{tenant.name} is suspended, with everything below it.")


@router.post("/tenants/{tenant_id}/resume")
def resume(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Let mail flow again."""
    with desk.changing() as session:
        tenant = tenants.resume(session, tenant_id, actor=desk.actor, what=stops_in(form))
    return desk.see_other(url("tenants", tenant_id), f"{tenant.name} is active again.")


@router.post("/tenants/{tenant_id}/remove")
def remove(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Remove a tenant that has nothing left."""
    try:
        with desk.changing() as session:
            tenants.remove(session, tenant_id, actor=desk.actor)
    except ApplianceError as refusal:
        return _detail(desk, tenant_id, None, refusal)
    return desk.see_other("/tenants", "The tenant is gone.")


@router.post("/tenants/{tenant_id}/administrators")
def add_administrator(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Make an account and show its one-time password, this once."""
    password = passwords.one_time_password()
    sealed = desk.wiring.sealer.seal_password(password)
    try:
        with desk.changing() as session:
            account = accounts.create(
                session, form["account"], actor=desk.actor, tenant_id=tenant_id, sealed_hash=sealed, must_change=True,
                support=bool(form["support"]),
            )  # fmt: skip
    except ApplianceError as refusal:
        refusal.field = "account" if refusal.field == "name" else refusal.field
        return _detail(desk, tenant_id, None, refusal)
    return desk.page(
        "tenants/administrator.html", account=account.name, password=password, where=url("tenants", tenant_id)
    )


@router.post("/tenants/{tenant_id}/administrators/{account}/reset")
def reset_administrator(desk: Signed, tenant_id: int, account: str, form: Form) -> Response:
    """A new one-time password, shown this once; the account's sessions end."""
    password = passwords.one_time_password()
    sealed = desk.wiring.sealer.seal_password(password)
    with desk.changing() as session:
        accounts.reset_password(session, account, sealed, actor=desk.actor)
    return desk.page("tenants/administrator.html", account=account, password=password, where=url("tenants", tenant_id))


@router.post("/tenants/{tenant_id}/administrators/{account}/remove")
def remove_administrator(desk: Signed, tenant_id: int, account: str, form: Form) -> Response:
    """The account can sign in no more."""
    try:
        with desk.changing() as session:
            accounts.remove(session, account, actor=desk.actor)
    except ApplianceError as refusal:
        return _detail(desk, tenant_id, None, refusal)
    return desk.see_other(url("tenants", tenant_id), f"{account} can sign in no more.")


@router.post("/tenants/{tenant_id}/appointments")
def appoint(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Somebody who has an account or a mailbox already."""
    holder = form["holder"].strip()
    try:
        with desk.changing() as session:
            appointments.appoint(
                session, holder, actor=desk.actor, tenant_id=tenant_id, support=bool(form["appointed_support"])
            )
    except ApplianceError as refusal:
        refusal.field = "holder"
        return _detail(desk, tenant_id, None, refusal)
    return desk.see_other(url("tenants", tenant_id), f"{holder} is appointed, from the next request on.")


@router.post("/tenants/{tenant_id}/appointments/{number:int}/dismiss")
def dismiss(desk: Signed, tenant_id: int, number: int, form: Form) -> Response:
    """Take the appointment away; account or mailbox stay."""
    with desk.changing() as session:
        found = appointments.get(session, number, actor=desk.actor)
        if found.tenant_id != tenant_id or found.domain_id is not None:
            raise NotFound(f"there is no appointment {number} to this tenant")
        holder = appointments.holder_of(found)
        appointments.dismiss(session, number, actor=desk.actor)
    return desk.see_other(url("tenants", tenant_id), f"{holder} is dismissed.")
