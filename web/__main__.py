"""The web process: takes its control channel, gives everything else away, serves.

A reader would otherwise get wrong: the sockets are bound and listening already when the supervisor hands them, and the
sandbox has no listen(). asyncio insists on calling it, so the sockets it is given answer that call with nothing.
"""

import asyncio
import ctypes
import gc
import importlib
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import anyio.to_thread
import uvicorn

from appliance.config import Settings, load_settings
from appliance.database import server as database
from appliance.database.engine import open_engine
from appliance.database.place import url_inside
from appliance.peers import WebPeers
from appliance.services import certificates
from appliance.services.dns_page import Found
from appliance.services.passwords import Sealer
from appliance.services.queue import Which
from appliance.services.seals import Seals
from mta import roster, sandbox
from mta.wire import control
from web.api.docs import Described
from web.app import create_app
from web.kept import FOLDER, kept
from web.metrics import FIGURES, MetricsPort
from web.worker import Worker

# Requests served at the same time. Each holds a thread and its share of memory; the database has one writer anyway.
THREADS = 8
SETTLE_SECONDS = 0.05
GOODBYE_SECONDS = 2  # for requests in hand when we are told to stop
# Python's own, but for the last: to look through everything takes 100 ms once all pages were shown. At every 10th time that the
# youngest were looked through one request in 160 waited for it; so it is one in three thousand.
COLLECT_EVERY = (700, 10, 200)

DESCRIPTION = Path(__file__).parent / FOLDER / "description"  # of the API, for people and programs
# What libraries import on first use, when no file of the checkout can be opened any more. tests/web/test_process.py looks
# for those that are missing here.
LATE = (
    "anyio._backends._asyncio",
    "encodings.punycode",  # international domain names
    "idna.uts46data",
    "jinja2.debug",
)
_M_MMAP_THRESHOLD, _M_ARENA_MAX = -3, -8  # malloc.h


class HandedSocket(socket.socket):
    """A socket that listens already."""

    def listen(self, backlog: int = 0, /) -> None:
        """Nothing: the supervisor did, before it handed the socket over."""


class Process:
    """Peers, sockets and server of this process, tied to one another's beginning and end."""

    def __init__(self, start: control.Start, server: uvicorn.Server, metrics: MetricsPort) -> None:
        self.sockets: list[socket.socket] = []
        self._metrics = metrics
        self.server = server
        self.peers = WebPeers(start, on_socket=self._take, on_stop=self._stop)

    def _take(self, service: str, address: str, descriptor: int) -> None:
        if service == "metrics":
            self._metrics.serve_on(address)
        self.sockets.append(HandedSocket(fileno=descriptor))

    def _stop(self) -> None:
        self.server.should_exit = True

    async def serve(self) -> None:
        """Until the supervisor says stop."""
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._announce())
            await self.server.serve(self.sockets)

    async def _announce(self) -> None:
        await self._until(lambda: self.server.started or self.server.should_exit)
        self.peers.ready()

    async def _until(self, condition: Callable[[], bool]) -> None:
        # uvicorn has no event for either, and looks at its own flags in this way too.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


class Peers:
    """Stands for the peers while the application is made: they come over the control channel only inside the sandbox."""

    def __init__(self) -> None:
        self.real: WebPeers | None = None

    def _there(self) -> WebPeers:
        if self.real is None:
            raise RuntimeError("asked before the process serves")
        return self.real

    def verify_password(self, scope: str, name: str, password: str) -> bool:
        """As `appliance.peers.Authenticator`."""
        return self._there().verify_password(scope, name, password)

    def verify_key(self, key_id: str, secret: str) -> bool:
        """As `appliance.peers.Authenticator`."""
        return self._there().verify_key(key_id, secret)

    def check_code(self, sealed: str, code: str) -> int:
        """As `appliance.peers.Authenticator`."""
        return self._there().check_code(sealed, code)

    def look_up(self, questions: Sequence[tuple[str, str]]) -> list[Found]:
        """As `appliance.peers.Resolver`."""
        return self._there().look_up(questions)

    def order(self, what: str, which: Which, after: str, count: int) -> list[dict[str, str]]:
        """As `appliance.peers.Queue`."""
        return self._there().order(what, which, after, count)

    def look_for(self, address: str) -> str:
        """As `appliance.peers.Sources`."""
        return self._there().look_for(address)

    def standing(self) -> list[dict[str, str]]:
        """As `appliance.peers.Supervisor`."""
        return self._there().standing()

    def try_walls(self) -> None:
        """As `appliance.peers.Supervisor`."""
        self._there().try_walls()

    def poke(self) -> None:
        """As `appliance.peers.Compiler`."""
        self._there().poke()


def make_server(settings: Settings, state: str, peers: Peers) -> tuple[uvicorn.Server, MetricsPort, Worker]:
    """Everything that needs files, before they are out of reach.

    Raises:
        Unable: the appliance's public key is not there.
    """
    sealer = Sealer.of(settings.state)
    sealer.seal_password("what the cryptographic library loads on first use")
    certificates.make_self_signed(settings.host.name)  # for the same reason
    engine, seals = open_engine(url_inside(settings, state)), Seals.of(settings.state)
    app = create_app(
        settings,
        engine=engine,
        authenticator=peers,
        compiler=peers,
        resolver=peers,
        scheduler=peers,
        sources=peers,
        sealer=sealer,
        seals=seals,
        state=Path(state),
    )
    app.state.wiring = replace(app.state.wiring, supervisor=peers)
    packed = kept(DESCRIPTION, lambda: in_a_child(lambda: Described.of(app).packed()))
    app.state.described = Described.unpacked(packed)
    metrics = MetricsPort(app, Path(state, FIGURES))
    config = uvicorn.Config(
        metrics,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GOODBYE_SECONDS,
    )
    config.load()
    return uvicorn.Server(config), metrics, Worker(app, app.state.wiring)


def in_a_child(work: Callable[[], bytes]) -> bytes:
    """What *work* answers, while the memory it takes ends with a child. Before there are threads.

    For the description of the API: the slowest thing the process ever builds, and eight megabytes of objects for one as text.

    Raises:
        RuntimeError: the child did not finish.
    """
    reading, writing = os.pipe2(os.O_CLOEXEC)
    pid = os.fork()
    if pid == 0:
        try:
            with os.fdopen(writing, "wb") as stream:
                stream.write(work())
            os._exit(os.EX_OK)
        finally:
            os._exit(os.EX_SOFTWARE)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(pid, 0)
    if status != os.EX_OK:
        raise RuntimeError("the description of the API could not be made")
    return answer


def economise() -> None:
    """Have memory given back when it is free again. Before there are threads, and before there is much of it.

    A password hash takes 19 MiB for a moment. glibc learns from the first such block to keep them, in every thread's own
    arena; a fixed threshold keeps it from learning, and two arenas are enough for what waits on one database writer.
    """
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 1 << 20)
    libc.mallopt(_M_ARENA_MAX, 2)


def main() -> int:
    """Serve until told to stop.

    Raises:
        SettingsError, Unable: what `postern up` has checked is different now.
    """
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")  # standard error leads to the journal
    economise()
    start = control.begin(roster.WEB)
    settings = load_settings(start.text("config"))
    state = "/" if start.number("root") == 1 else start.text("state")
    peers = Peers()
    server, metrics, worker = make_server(settings, state, peers)
    for name in LATE:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)
    role, ports = roster.WEB, tuple[int, ...]()
    if database.is_server(settings.database_url):
        role, ports = roster.beside_server(role), (database.port_of(settings.database_url),)
        database.preload()
    sandbox.enter(role, start, ports=ports)
    process = Process(start, server, metrics)
    peers.real = process.peers
    process.peers.settle(SETTLE_SECONDS)
    process.peers.start()
    worker.start()
    asyncio.run(process.serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
