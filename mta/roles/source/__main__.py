"""Wiring of source: read the private key and the authorities, open the sources' snapshot, lose the rights, serve."""

import functools
import ssl
import sys
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from mta import roster, sandbox
from mta.record import dataclass
from mta.roles.source.callahead import NextHop
from mta.roles.source.desk import Backend, Desk
from mta.roles.source.hook import Hook
from mta.roles.source.ldap import Directory, Login, Search
from mta.roles.source.memory import Memory
from mta.roles.source.places import Places, split_host_port
from mta.seal import SOURCE_SECRET, NotOpened, Opener, read_opener
from mta.snapshot.reader import Snapshot
from mta.snapshot.records import Source
from mta.streams import Address
from mta.wire import control
from mta.wire.asking import Asking
from mta.wire.loop import Loop

KEY = "keys/source.key"  # root's, and nobody else's: we read it before we give root away
HOOKS = "hooks"  # below the state folder: where operators' programs put their sockets
SMTP_PORT, LDAP_PORT, LDAPS_PORT = 25, 389, 636

Found = Callable[[Address | None], None]


def main() -> int:
    """Serve until told to stop; answers the exit status."""
    role = roster.SOURCE
    start = control.begin(role)
    state = start.text("state")
    opener = read_opener(start.path(KEY), SOURCE_SECRET)
    authorities = ssl.create_default_context()
    authorities.options |= ssl.OP_NO_RENEGOTIATION
    folder = start.folder("snapshot/sources")
    sandbox.enter(role, start, keep=(folder,), ports=None)
    loop = Loop()
    hooks = Hooks(f"{state}/{HOOKS}", f"{start.text('state').rstrip('/')}/{HOOKS}")
    peers = serve(loop, start, folder, Makers(loop, start.settings["host.name"], hooks, opener, authorities))
    peers.ready()
    loop.run()
    return 0


@dataclass(frozen=True, slots=True)
class Hooks:
    """The folder of the operators' sockets: as he names it, and as we reach it."""

    named: str
    reached: str

    def locate(self, path: str, found: Found) -> None:
        """The socket at *path*; None: it lies elsewhere, where we cannot reach."""
        folder, _, name = path.rpartition("/")
        found(f"{self.reached}/{name}" if folder == self.named and name not in ("", ".", "..") else None)


class Makers:
    """Makes what a `Source` describes."""

    def __init__(
        self, loop: Loop, name: bytes, hooks: Hooks, opener: Opener | None, authorities: ssl.SSLContext
    ) -> None:
        """*name*: what we call ourselves towards next hops."""
        self.asking = Asking(loop)
        self._loop, self._name, self._hooks, self._opener, self._authorities = loop, name, hooks, opener, authorities
        self._places = Places(self.asking)

    def make(self, source: Source) -> Backend:
        """Whom to ask.

        Raises:
            ValueError: the settings make no sense.
        """
        makers: dict[bytes, Callable[[dict[bytes, bytes]], Backend]] = {
            b"call-ahead": self._next_hop,
            b"ldap": self._directory,
            b"hook": self._hook,
        }
        maker = makers.get(source.kind)
        if maker is None:
            raise ValueError("no such source")
        try:
            return maker(dict(zip(source.pairs[::2], source.pairs[1::2], strict=True)))
        except (KeyError, NotOpened) as error:
            raise ValueError(f"a setting is missing or cannot be read: {error}") from error

    def _next_hop(self, settings: dict[bytes, bytes]) -> NextHop:
        host, port = split_host_port(settings[b"next_hop"].decode(), SMTP_PORT)
        return NextHop(self._loop, self._places, self._name, host, port)

    def _hook(self, settings: dict[bytes, bytes]) -> Hook:
        address = settings[b"address"].decode()
        if address.startswith("/"):
            return Hook(self._loop, functools.partial(self._hooks.locate, address))
        return Hook(self._loop, self._at(*split_host_port(address, SMTP_PORT)))

    def _directory(self, settings: dict[bytes, bytes]) -> Directory:
        url = urlsplit(settings[b"url"].decode())
        host = url.hostname or ""
        is_secure = url.scheme == "ldaps"
        locate = self._at(host, url.port or (LDAPS_PORT if is_secure else LDAP_PORT))
        password = b""
        if settings.get(b"sealed_password"):
            if self._opener is None:
                raise ValueError(f"{KEY} cannot be read, so neither can the password")
            password = self._opener.open(settings[b"sealed_password"])
        login = Login(settings.get(b"bind_dn", b"").decode(), password.decode())
        search = Search(settings[b"base"].decode(), settings.get(b"filter", b"(mail=%s)").decode())
        secure = functools.partial(self._authorities.wrap_bio, server_hostname=host) if is_secure else None
        return Directory(self._loop, locate, login, search, secure)

    def _at(self, host: str, port: int) -> Callable[[Found], None]:
        def locate(found: Found) -> None:
            # Only an operator names such a place, so it may lie in his own network.
            self._places.find(host, lambda address: found((address, port) if address else None), public_only=False)

        return locate


def serve(loop: Loop, start: control.Start, folder: int, makers: Makers) -> control.Peers:
    """Everything but the walls."""
    desk = Desk(loop, Snapshot(folder), Memory(time.monotonic), makers.make, time.monotonic)
    handlers = {"directory": desk.asked, "web": desk.asked, "resolver": makers.asking.answered}
    peers = control.Peers(roster.SOURCE, start, loop, handlers, lost=lambda channel: makers.asking.lost(channel.peer))
    desk.peers = makers.asking.peers = peers
    return peers


if __name__ == "__main__":
    sys.exit(main())
