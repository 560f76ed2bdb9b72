"""Tenants and who administers them. Operators and resellers see those below them, a customer his own."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError, Forbidden
from appliance.services import accounts, authorisation, domains, passwords, tenants
from web.panel.desk import Desk, Managing, Signed
from web.panel.forms import Form, faults_of, number_in, stops_in
from web.panel.links import url
from web.panel.listing import PAGE_LENGTH, Asked, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

LIMITS = ("max_domains", "max_mailboxes", "max_aliases")
KINDS = (("customer", "Customer"), ("reseller", "Reseller"))
MAX_LISTED = 500


@router.get("/tenants")
def index(desk: Signed, asked: Asked) -> Response:
    """One's own tenant and those below it."""
    _require_reseller(desk)
    with desk.reading() as session:
        page = tenants.list_tenants(session, actor=desk.actor, limit=PAGE_LENGTH, cursor=asked.cursor)
        names = {tenant.id: tenant.name for tenant in page.items}
        for tenant in page.items:
            if tenant.parent_id is not None and tenant.parent_id not in names and desk.actor.sees_everything:
                names[tenant.parent_id] = tenants.get(session, tenant.parent_id, actor=desk.actor).name
    return show_list(desk, asked, page, "/tenants", ("tenants/index.html", "tenants/_list.html"), names=names)


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
    parents = [(tenant.id, tenant.name) for tenant in found if tenant.kind != "customer"]
    kinds = KINDS if desk.actor.sees_everything else KINDS[:1]
    faults = faults_of(refusal, "name", "kind", *LIMITS) if refusal else Typed()
    return desk.page("tenants/new.html", refusal=refusal, form=form, errors=faults, parents=parents, kinds=kinds)


@router.post("/tenants")
def create(desk: Signed, form: Form) -> Response:
    """Make a tenant, then show it: the next step is to give it an administrator."""
    _require_reseller(desk)
    try:
        limits: dict[str, Any] = {limit: number_in(form, limit) for limit in LIMITS}
        with desk.changing() as session:
            tenant = tenants.create(
                session,
                form["name"],
                form["kind"] or "customer",
                actor=desk.actor,
                parent_id=number_in(form, "parent_id"),
                **limits,
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
        limits = {limit: getattr(tenant, limit) for limit in LIMITS}
        if form is None:
            form = Typed(
                {limit: "" if value is None else str(value) for limit, value in limits.items()}, name=tenant.name,
                forwards_outside="yes" if tenant.forwards_outside else "",
            )  # fmt: skip
        return desk.page(
            "tenants/detail.html",
            refusal=refusal,
            form=form,
            errors=faults_of(refusal, "name", "account", *LIMITS) if refusal else Typed(),
            tenant=tenant,
            administrators=accounts.list_accounts(
                session, actor=desk.actor, tenant_id=tenant_id, limit=MAX_LISTED
            ).items,
            owned=domains.list_domains(session, actor=desk.actor, tenant_id=tenant_id, limit=PAGE_LENGTH),
            may_change=authorisation.allows(session, desk.actor, "tenant.update", tenant),
            may_appoint=authorisation.allows(session, desk.actor, "account.create", tenant),
        )


@router.post("/tenants/{tenant_id}")
def update(desk: Signed, tenant_id: int, form: Form) -> Response:
    """Change name, limits and the right to forward to other hosts; an empty limit is none."""
    try:
        limits: dict[str, Any] = {limit: number_in(form, limit) for limit in LIMITS}
        with desk.changing() as session:
            tenants.update(
                session, tenant_id, actor=desk.actor, name=form["name"], forwards_outside=bool(form["forwards_outside"]),
                **limits,
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
                session, form["account"], actor=desk.actor, tenant_id=tenant_id, sealed_hash=sealed, must_change=True
            )
    except ApplianceError as refusal:
        refusal.field = "account" if refusal.field == "name" else refusal.field
        return _detail(desk, tenant_id, None, refusal)
    return desk.page("tenants/administrator.html", account=account.name, password=password, tenant_id=tenant_id)


@router.post("/tenants/{tenant_id}/administrators/{account}/reset")
def reset_administrator(desk: Signed, tenant_id: int, account: str, form: Form) -> Response:
    """A new one-time password, shown this once; the account's sessions end."""
    password = passwords.one_time_password()
    sealed = desk.wiring.sealer.seal_password(password)
    with desk.changing() as session:
        accounts.reset_password(session, account, sealed, actor=desk.actor)
    return desk.page("tenants/administrator.html", account=account, password=password, tenant_id=tenant_id)


@router.post("/tenants/{tenant_id}/administrators/{account}/remove")
def remove_administrator(desk: Signed, tenant_id: int, account: str, form: Form) -> Response:
    """The account can sign in no more."""
    try:
        with desk.changing() as session:
            accounts.remove(session, account, actor=desk.actor)
    except ApplianceError as refusal:
        return _detail(desk, tenant_id, None, refusal)
    return desk.see_other(url("tenants", tenant_id), f"{account} can sign in no more.")
