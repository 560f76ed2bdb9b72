"""API keys: making one (its secret is shown once) and revoking it."""

import datetime as dt
import time

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import authorisation, keys, tenants
from appliance.services.keys import Scope
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, addresses_in, day_in, faults_of, number_in
from web.panel.listing import PAGE_LENGTH, Asked, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

MAX_OWNERS = 500
SCOPES = ("actions", "addresses", "networks")


@router.get("/keys")
def index(desk: Managing, asked: Asked) -> Response:
    """All keys in one's part of the house."""
    with desk.reading() as session:
        page = keys.list_keys(session, actor=desk.actor, sort=asked.sort, limit=PAGE_LENGTH, cursor=asked.cursor)
    return show_list(desk, asked, page, "/keys", ("keys/index.html", "keys/index.html"), now=int(time.time()))


@router.get("/keys/new")
def new(desk: Managing) -> Response:
    """The form for a new key."""
    return _new(desk, Typed(), None)


def _new(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        found = tenants.list_tenants(session, actor=desk.actor, limit=MAX_OWNERS).items
        form.setdefault("tenant_id", str(tenants.own(session, desk.actor).id))
    owners = [(tenant.id, tenant.name) for tenant in found]
    faults = faults_of(_as_typed(refusal), "name", *SCOPES, "expires") if refusal else Typed()
    form.setdefault("may", "everything")
    return desk.page(
        "keys/new.html", refusal=refusal, form=form, errors=faults, owners=owners,
        known=sorted(authorisation.ACTIONS - authorisation.UNLIMITED),
    )  # fmt: skip


def _as_typed(refusal: ApplianceError) -> ApplianceError:
    """The refusal, of the field as the form calls it: people type a day, services take a moment."""
    refusal.field = "expires" if refusal.field == "expires_at" else refusal.field
    return refusal


def _scope(form: Typed, zone: dt.tzinfo) -> Scope:
    """What the key shall be limited to; what is left empty is no limit.

    Raises:
        Invalid: a day that is none.
    """
    actions = {"everything": None, "look": ["*.see"]}.get(form["may"] or "everything", addresses_in(form["actions"]))
    return Scope(
        actions,
        addresses_in(form["addresses"]) or None,
        addresses_in(form["networks"]) or None,
        day_in(form, "expires", zone),
    )


@router.post("/keys")
def create(desk: Managing, form: Form) -> Response:
    """Make a key and show it, this once: so here, and only here, a post is not redirected."""
    try:
        with desk.changing() as session:
            made = keys.create(
                session,
                actor=desk.actor,
                tenant_id=number_in(form, "tenant_id"),
                name=form["name"],
                scope=_scope(form, desk.me.zone),
            )
    except ApplianceError as refusal:
        return _new(desk, form, refusal)
    base = str(desk.request.base_url).rstrip("/")
    return desk.page("keys/created.html", name=made.key.name, secret=made.secret, base=base)


@router.post("/keys/{public_id}/revoke")
def revoke(desk: Managing, public_id: str, form: Form) -> Response:
    """From now on it opens nothing."""
    with desk.changing() as session:
        key = keys.revoke(session, public_id, actor=desk.actor)
    return desk.see_other("/keys", f"The key {key.name or key.public_id} opens nothing any more.")
