"""Routes: the list, and one form that makes or changes a route by its key."""

from fastapi import APIRouter
from starlette.responses import Response

from appliance.errors import ApplianceError
from appliance.services import routes
from appliance.services.routes import Wanted
from web.panel.desk import Desk, Managing
from web.panel.forms import Form, faults_of
from web.panel.rendering import Typed

router = APIRouter(include_in_schema=False)

FIELDS = ("key", "next_hop", "tls", "login", "password", "source_address")
DEMANDS = (
    ("may", "TLS when it can be had"),
    ("verify", "a certificate that holds"),
    ("dane", "a certificate by DANE"),
    ("none", "no TLS"),
)


@router.get("/routes")
def index(desk: Managing) -> Response:
    """Where mail goes on to instead of by MX."""
    return _index(desk, Typed(tls="may"), None)


def _index(desk: Desk, form: Typed, refusal: ApplianceError | None) -> Response:
    with desk.reading() as session:
        rows = routes.list_routes(session, actor=desk.actor)
    faults = faults_of(refusal, *FIELDS) if refusal else Typed()
    return desk.page(
        "routes/index.html", refusal=refusal, form=form, errors=faults, routes=rows, demands=DEMANDS,
        is_operator=desk.actor.sees_everything,
    )  # fmt: skip


@router.post("/routes")
def put(desk: Managing, form: Form) -> Response:
    """Make it, or change the one that has this key."""
    try:
        secret = form["password"]
        sealed = desk.wiring.seals.route_secret(secret) if secret else None
        # Whoever may not say from which address mail goes was not shown the field either.
        source = form["source_address"] if desk.actor.sees_everything else None
        wanted = Wanted(form["next_hop"], form["tls"], bool(form["lmtp"]), form["login"], sealed, source)
        with desk.changing() as session:
            made = routes.put(session, form["key"], wanted, actor=desk.actor)
            key = made.key
    except ApplianceError as refusal:
        # The password does not come back into the page: it would stand in the browser's memory and history.
        kept = Typed({name: form[name] for name in (*FIELDS, "lmtp") if name != "password"})
        return _index(desk, kept, refusal)
    return desk.see_other("/routes", f"The route {key} is in force from now on.")


@router.post("/routes/remove")
def remove(desk: Managing, form: Form) -> Response:
    """Mail goes by the next best from then on."""
    with desk.changing() as session:
        routes.remove(session, form["key"], actor=desk.actor)
    return desk.see_other("/routes", "The route is gone.")
