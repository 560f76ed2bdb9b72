"""create_app(): the wiring of the web process, nothing else.

A reader would otherwise get wrong: nothing here opens a file or a socket later on. What the process needs of the checkout is
read in here, before it enters its sandbox.
"""

import re
from pathlib import Path

from fastapi import FastAPI
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.config import Settings
from appliance.database.engine import Engine
from appliance.peers import Authenticator, Compiler, Queue, Resolver, Sources
from appliance.services import messages
from appliance.services.passwords import Sealer
from appliance.services.seals import Seals
from web import VERSION, client_files, errors
from web.allowance import Allowance, TellStanding
from web.api import routes as api
from web.api.document import describe
from web.dry_run import ShowEffect
from web.errors import LastResort
from web.metrics import FIGURES
from web.panel import routes as panel
from web.panel.rendering import Renderer
from web.security import SecurityHeaders
from web.static_files import StaticFiles
from web.throttle import LoginThrottle
from web.wiring import Wiring

MAX_BODY_OCTETS = 1 << 20  # a thousand targets of the longest address fit in a quarter of it
MAX_BATCH_OCTETS = 8 << 20  # ten thousand mailboxes with a hash each are three quarters of it
MAX_LIST_OCTETS = 32 << 20  # of recipients, kept as they are read; and of a sheet, 200,000 lines of 160 octets
_LISTS = re.compile(r"(?:/api/v1/domains/[^/]+/recipients(?:/remove)?|/import)\Z")
_BATCHES = re.compile(r"/api/v1/(?:batch|apply|import)\Z")


class BodyLimit:
    """Refuses bodies that are larger than any of ours, lists, sheets and batches apart."""

    def __init__(self, app: ASGIApp) -> None:
        self._others = RequestBodyLimitMiddleware(app, MAX_BODY_OCTETS)
        self._batches = RequestBodyLimitMiddleware(app, MAX_BATCH_OCTETS)
        self._lists = RequestBodyLimitMiddleware(app, MAX_LIST_OCTETS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        path = scope["path"] if scope["type"] == "http" else ""
        limited = self._lists if _LISTS.match(path) else self._batches if _BATCHES.match(path) else self._others
        await limited(scope, receive, send)


def create_app(
    settings: Settings,
    *,
    engine: Engine,
    authenticator: Authenticator,
    compiler: Compiler,
    resolver: Resolver,
    scheduler: Queue,
    sealer: Sealer,
    seals: Seals,
    sources: Sources | None = None,
    state: Path | None = None,
) -> FastAPI:
    """The application; *authenticator*, *compiler*, *resolver*, *scheduler* and *sources* are the peers, real or fake.

    *state*: the state folder, when we can use it by another path than the settings'.
    """
    static = StaticFiles()
    app = FastAPI(
        title="Postern",
        version=VERSION,
        summary="Tenants, domains, mailboxes and aliases of a mail appliance.",
        # web.api.docs serves the document, and a page of it: FastAPI's own pages load scripts from elsewhere.
        openapi_url=None, docs_url=None, redoc_url=None,
        redirect_slashes=False,
    )  # fmt: skip
    app.state.renderer = Renderer(static, version=VERSION, host=settings.host.name)
    app.state.wiring = Wiring(
        settings=settings,
        engine=engine,
        authenticator=authenticator, compiler=compiler, resolver=resolver, scheduler=scheduler,
        sources=sources,
        sealer=sealer, seals=seals, renderer=app.state.renderer,
        throttle=LoginThrottle(settings.limits.logins_per_minute),
        traces=(state or settings.state) / messages.FILE,
        figures=(state or settings.state) / FIGURES,
        allowance=Allowance(settings.limits.api_requests_per_minute),
    )  # fmt: skip
    errors.install(app)
    # The last one added stands outermost.
    app.add_middleware(ShowEffect)
    app.add_middleware(BodyLimit)
    app.add_middleware(LastResort)
    app.add_middleware(TellStanding)
    app.add_middleware(SecurityHeaders)
    app.include_router(api.router)
    app.include_router(client_files.router)
    app.include_router(panel.router)
    describe(app)

    @app.get("/static/{name:path}", include_in_schema=False)
    async def static_file(request: Request, name: str) -> Response:
        return static.answer(request, name)

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> Response:
        """This process serves. It says nothing of the database: mail flows without it, and so must a load balancer think."""
        return JSONResponse({"status": "ok"})

    return app
