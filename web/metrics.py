"""The metrics port: what the journal counted, as it wrote it, to whoever may reach the port.

A reader would otherwise get wrong: port and panel are one process and one server, and nothing of the panel is reachable
through the port, nor the other way round. Which of the two a request is for is told by the socket it came over.
"""

import ipaddress
from pathlib import Path

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

PATH = "/metrics"
FIGURES = "figures/metrics"  # below the state folder
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
MAX_OCTETS = 1 << 20  # the journal's labels are bounded; this is what we would believe of it


class MetricsPort:
    """Stands before *app* and answers what comes over the metrics sockets from *file*."""

    def __init__(self, app: ASGIApp, file: Path) -> None:
        self._app, self._file = app, file
        self._exactly: set[tuple[str, int]] = set()
        self._any_address: set[int] = set()

    def serve_on(self, address: str) -> None:
        """Requests to *address* ("host:port", as the supervisor writes it) are for the figures."""
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        if ipaddress.ip_address(host).is_unspecified:
            self._any_address.add(int(port))
        else:
            self._exactly.add((host, int(port)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        if scope["type"] == "http" and self._is_ours(scope):
            await self._answer(scope)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        host, port = scope["server"]
        return (host, port) in self._exactly or port in self._any_address

    def _answer(self, scope: Scope) -> PlainTextResponse:
        if scope["path"] != PATH:
            return PlainTextResponse(f"the figures are at {PATH}\n", 404)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("read only\n", 405, {"Allow": "GET, HEAD"})
        try:
            with self._file.open("rb") as file:
                return PlainTextResponse(file.read(MAX_OCTETS), headers={"Content-Type": CONTENT_TYPE})
        except OSError:
            return PlainTextResponse("no figures yet: the journal has not written any\n", 503, {"Retry-After": "2"})
