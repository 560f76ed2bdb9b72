"""Wiring of the compiler: find the database, lose the rights, publish for ever."""

import importlib
import os
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

from appliance.compile.process import Compiler
from appliance.compile.publish import Publisher
from appliance.compile.source import open_source
from appliance.database import server
from mta import roster, sandbox
from mta.seal import WEBHOOK_SECRET, Opener, read_opener
from mta.wire import control
from mta.wire.channel import Channel
from mta.wire.loop import Loop

KEY = "keys/compiler.key"  # root's, and nobody else's: we read it before we give root away
_DEFAULT_URL = "sqlite:///var/postern.db"


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.COMPILER
    start = control.begin(role)
    url = database_url(Path(start.text("config")), Path(start.text("state")))
    signer = public_key(Path(start.text("state")) / "keys" / "signer.pub")
    opener = read_opener(start.path(KEY), WEBHOOK_SECRET)
    for name in ("idna", "idna.core", "idna.idnadata"):  # what render needs of it; inside, nothing can be loaded
        importlib.import_module(name)
    ports: tuple[int, ...] = ()
    if server.is_server(url):
        role, ports = roster.beside_server(role), (server.port_of(url),)
        server.preload()
    sandbox.enter(role, start, ports=ports)
    if not os.path.isabs(url.removeprefix("sqlite:///")) and url.startswith("sqlite:///"):  # noqa: PTH117
        url = f"sqlite:///{Path(start.text('state')) / url.removeprefix('sqlite:///')}"
    loop = Loop()
    compiler, peers = serve(loop, start, url, signer, opener)
    loop.run_until_idle()  # The journal should hear of the first publication.
    # Before we say that we serve: the first mail must not find a directory that knows nobody.
    compiler.begin()
    peers.ready()
    loop.run()
    return 0


def public_key(file: Path) -> bytes:
    """The key to which the domains' keys are sealed; nothing in an appliance that has none yet."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def serve(
    loop: Loop, start: control.Start, url: str, signer: bytes = b"", opener: Opener | None = None
) -> tuple[Compiler, control.Peers]:
    """Everything but the walls: the database at *url*, the compiler, its peers."""
    source = open_source(url)
    publisher = Publisher(source, Path(start.text("state")) / "snapshot", fixed_routes(start.settings))
    settings = start.settings
    panel = settings.get("host.panel_url", b"").decode()
    compiler = Compiler(loop, source, publisher, signer, settings.get(roster.CONSENT_KEY, b""), panel, opener)
    handlers = {
        "web": compiler.poked,
        "storekeeper": compiler.stores.answered,
        "ledger": compiler.outbox.answered,
        "bouncer": compiler.noticed,
        "fetcher": compiler.webhooks.answered,
    }

    def found(channel: Channel) -> None:
        if channel.peer == "storekeeper":
            compiler.stores.look()

    def lost(channel: Channel) -> None:
        if channel.peer == "storekeeper":
            compiler.stores.lost()
        elif channel.peer == "ledger":
            compiler.outbox.lost()
        elif channel.peer == "bouncer":
            compiler.consents.lost()
            compiler.recoveries.lost()
        elif channel.peer == "fetcher":
            compiler.webhooks.lost()

    def reload(settings: Mapping[str, bytes]) -> None:
        compiler.reroute(fixed_routes(settings))

    peers = compiler.peers = control.Peers(
        roster.COMPILER, start, loop, handlers, lost=lost, found=found, reload=reload
    )
    return compiler, peers


def fixed_routes(settings: Mapping[str, bytes]) -> dict[str, str]:
    """The setting [outbound] routes: next hops by domain."""
    pairs = (part.partition("=") for part in settings.get("outbound.routes", b"").decode().split())
    return {key: hop for key, _, hop in pairs}


def database_url(config: Path, state: Path) -> str:
    """The database's address in the settings file; a file below the state folder by its path from there.

    Not `appliance.config`: its library alone is larger than this process.

    Raises:
        OSError, tomllib.TOMLDecodeError: the supervisor read it a moment ago; now it is gone or spoiled.
    """
    with config.open("rb") as file:
        url = str(tomllib.load(file).get("database", {}).get("url", _DEFAULT_URL))
    if not url.startswith("sqlite:///"):
        return url
    # Where it really lies: the name may be a symbolic link whose other end is what the sandbox lets us reach.
    path = (config.parent / url.removeprefix("sqlite:///")).resolve()
    inside = state.resolve()
    return f"sqlite:///{path.relative_to(inside)}" if path.is_relative_to(inside) else f"sqlite:///{path}"


if __name__ == "__main__":
    sys.exit(main())
