"""Webhooks: whose web server is told of what happens here; made, tried out, looked at.

A reader would otherwise get wrong: nothing is sent from here. What is asked for - a test, a repetition - waits in the log until
whoever sends it has done so, and the log's part of the page asks for itself anew meanwhile.
"""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import authorisation, tenants, webhooks
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, addresses_in, faults_of, number_in
from web.panel.links import url
from web.panel.listing import PAGE_LENGTH, Asked, Wanted, show_list
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

MAX_OWNERS = 500


@router.get("/webhooks")
def index(desk: Managing, asked: Asked) -> Response:
    """Those of one's part."""
    with desk.reading() as session:
        page = webhooks.list_webhooks(
            session, actor=desk.actor, sort=asked.sort, limit=PAGE_LENGTH, cursor=asked.cursor
        )
    return show_list(desk, asked, page, "/webhooks", ("webhooks/index.html", "webhooks/index.html"))


@router.get("/webhooks/new")
def new(desk: Managing) -> Response:
    """The form for a new one."""
    return _new(desk, Typed(), None)


def _new(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        found = tenants.list_tenants(session, actor=desk.actor, limit=MAX_OWNERS).items
        form.setdefault("tenant_id", str(tenants.own(session, desk.actor).id))
    return desk.page(
        "webhooks/new.html", refusal=refusal, form=form, errors=faults_of(refusal, "url", "types") if refusal else Typed(),
        owners=[(tenant.id, tenant.name) for tenant in found],
    )  # fmt: skip


@router.post("/webhooks")
def create(desk: Managing, form: Form) -> Response:
    """Make it and show its secret, this once: so a post is not redirected here."""
    try:
        with desk.changing() as session:
            made = webhooks.create(
                session, form["url"].strip(), actor=desk.actor, seals=desk.wiring.seals,
                own=webhooks.own_hosts(desk.wiring.settings), tenant_id=number_in(form, "tenant_id"),
                types=addresses_in(form["types"]),
            )  # fmt: skip
    except ApplianceError as refusal:
        return _new(desk, form, refusal)
    return desk.page("webhooks/created.html", webhook=made.webhook, secret=made.secret)


@router.get("/webhooks/{public_id}")
def detail(desk: Managing, public_id: str, asked: Asked) -> Response:
    """A webhook and what it was told lately."""
    return _detail(desk, public_id, asked, None, None)


def _detail(
    desk: Desk, public_id: str, asked: Wanted, form: Typed | None, refusal: ApplianceError | None
) -> Response:  # fmt: skip
    with desk.reading() as session:
        hook = webhooks.get(session, public_id, actor=desk.actor)
        page = webhooks.deliveries(session, public_id, actor=desk.actor, limit=PAGE_LENGTH, cursor=asked.cursor)
        may_set = authorisation.allows(session, desk.actor, "webhook.set", hook)
    form = form or Typed(url=hook.url, types="\n".join(hook.types), enabled="yes" if hook.enabled else "")
    return show_list(
        desk, asked, page, url("webhooks", public_id), ("webhooks/detail.html", "webhooks/_deliveries.html"),
        refusal=refusal, webhook=hook, may_set=may_set, form=form,
        errors=faults_of(refusal, "url", "types") if refusal else Typed(),
    )  # fmt: skip


@router.post("/webhooks/{public_id}")
def update(desk: Managing, public_id: str, form: Form) -> Response:
    """Where to, of what, and whether."""
    try:
        with desk.changing() as session:
            webhooks.update(
                session, public_id, actor=desk.actor, own=webhooks.own_hosts(desk.wiring.settings),
                url=form["url"].strip(), types=addresses_in(form["types"]), enabled=bool(form["enabled"]),
            )  # fmt: skip
    except ApplianceError as refusal:
        return _detail(desk, public_id, Wanted("", None), form, refusal)
    return desk.see_other(
        url("webhooks", public_id), "The webhook is changed. What it was told in vain is tried again."
    )


@router.post("/webhooks/{public_id}/test")
def try_out(desk: Managing, public_id: str, form: Form) -> Response:
    """Tell it something at once that is no event."""
    with desk.changing() as session:
        webhooks.send_test(session, public_id, actor=desk.actor)
    return desk.see_other(url("webhooks", public_id), "A test is on its way. What came of it stands in the log below.")


@router.post("/webhooks/{public_id}/deliveries/{number:int}/repeat")
def repeat(desk: Managing, public_id: str, number: int, form: Form) -> Response:
    """Tell it the same once more."""
    with desk.changing() as session:
        webhooks.repeat(session, public_id, number, actor=desk.actor)
    return desk.see_other(url("webhooks", public_id), "It is told once more.")


@router.post("/webhooks/{public_id}/rotate")
def rotate(desk: Managing, public_id: str, form: Form) -> Response:
    """Another secret, shown this once; for a day both sign."""
    with desk.changing() as session:
        made = webhooks.rotate(session, public_id, actor=desk.actor, seals=desk.wiring.seals)
    return desk.page("webhooks/created.html", webhook=made.webhook, secret=made.secret)


@router.post("/webhooks/{public_id}/remove")
def remove(desk: Managing, public_id: str, form: Form) -> Response:
    """With its log."""
    with desk.changing() as session:
        webhooks.remove(session, public_id, actor=desk.actor)
    return desk.see_other("/webhooks", "The webhook is gone.")
