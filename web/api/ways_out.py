"""Routes: where mail goes on to instead of by MX."""

from typing import Annotated

from fastapi import APIRouter, Path, Response

from appliance.services import routes
from appliance.services.routes import Wanted
from web.api.dependencies import Asking, Changing, DryRun, refusals, told
from web.api.schemas import DOMAIN, documented
from web.api.schemas.routes import Route, RouteChange, Routes

router = APIRouter(prefix="/routes")

Key = Annotated[
    str,
    Path(
        description="a domain, @domain, or *",
        json_schema_extra=documented(f"^([*]|@?{DOMAIN})$", 254, 1),
        examples=["*"],
    ),
]


@router.get("", summary="List routes", responses=refusals(422))
def list_routes(asking: Asking) -> Routes:
    """A domain's own come before `*`; of mail from a domain of ours to one that has a route, that one decides."""
    with asking.wiring.reading() as session:
        rows = routes.list_routes(session, actor=asking.actor)
        return Routes(items=[Route.model_validate(row) for row in rows])


@router.get("/{key}", summary="Show a route", responses=refusals(404, 422))
def show(asking: Asking, key: Key, response: Response) -> Route:
    """Without its password."""
    with asking.wiring.reading() as session:
        return told(response, Route.model_validate(routes.get(session, key, actor=asking.actor)))


@router.put("/{key}", summary="Make or change a route", responses=refusals(403, 404, 409, 412, 422))
def put(asking: Changing, key: Key, body: RouteChange, response: Response, dry_run: DryRun = False) -> Route:
    """In force within a second, also for what waits already. A new next hop forgets the login that the former one had."""
    sealed = asking.wiring.seals.route_secret(body.password) if body.password is not None else None
    wanted = Wanted(body.next_hop, body.tls, body.lmtp, body.login, sealed, body.source_address)
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: routes.get(session, key, actor=asking.actor))
        return told(response, Route.model_validate(routes.put(session, key, wanted, actor=asking.actor)))


@router.delete("/{key}", summary="Remove a route", status_code=204, responses=refusals(403, 404, 412, 422))
def remove(asking: Changing, key: Key, dry_run: DryRun = False) -> None:
    """Mail goes by the next best from then on, also what waits already."""
    with asking.wiring.changing(dry_run=dry_run) as session:
        asking.expect(lambda: routes.get(session, key, actor=asking.actor))
        routes.remove(session, key, actor=asking.actor)
