"""How a connection to one host is protected: decided before it is made, judged when the handshake is done.

A reader would otherwise get wrong: without a policy TLS is taken when it is there and whoever stands at the other end is
believed (RFC 7435): that keeps out who only listens. A certificate is looked at where a route or the domain's own policy
wants it, and then a host that does not come up to it gets nothing, never the same in the clear.
"""

import enum
import ssl
from collections.abc import Callable
from typing import Protocol

from mta.record import dataclass
from mta.roles.remote.hosts import Host
from mta.roles.remote.outcome import Outcome


class Level(enum.Enum):
    """What a host must show; as the routes name them."""

    NONE = b"none"
    MAY = b"may"
    VERIFY = b"verify"
    DANE = b"dane"


class Contexts:
    """What handshakes are made of; before the walls are up, since it reads the machine's list of authorities.

    *authorities*: a file of further ones.
    """

    def __init__(self, authorities: str = "") -> None:
        self.trusting = ssl.create_default_context()
        self.trusting.check_hostname = False
        self.trusting.verify_mode = ssl.CERT_NONE
        self.verifying = ssl.create_default_context()
        if authorities:
            self.verifying.load_verify_locations(authorities)
        for context in (self.trusting, self.verifying):
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.options |= ssl.OP_NO_RENEGOTIATION


@dataclass(frozen=True, slots=True)
class Security:
    """For one host. `judge` sees the connection after the handshake: empty when it is good, else why it is not.

    `note` is told the same at the end of each try, and why there was no handshake where TLS was wanted. *weaker* is what may
    be tried instead, over a connection of its own, when TLS failed; None: nothing may.
    """

    level: Level
    context: ssl.SSLContext
    server_name: str
    judge: Callable[[ssl.SSLObject], str] = lambda _tls: ""
    note: Callable[[str], None] = lambda _why: None
    weaker: "Security | None" = None
    is_authenticated: bool = False  # whoever passes is the host that the domain's owner named (RFC 8689 4.2.1)

    @property
    def is_demanded(self) -> bool:
        """Nothing goes in the clear."""
        return self.level in (Level.VERIFY, Level.DANE) and self.weaker is None

    def begin(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO) -> ssl.SSLObject:
        """The client's side of a handshake.

        Raises:
            ValueError: the host's name is none that TLS could ask for.
        """
        return self.context.wrap_bio(incoming, outgoing, server_hostname=self.server_name or None)


class Guard(Protocol):
    """Who decides."""

    def decide(self, host: Host, hear: Callable[[Security | Outcome], None]) -> None:
        """Tell *hear* once how a connection to *host* is protected, or why there must be none; at once, or after look-ups."""


class RouteGuard:
    """What a route says; without one, TLS where it is offered."""

    def __init__(self, level: Level, contexts: Contexts) -> None:
        self._level, self._contexts = level, contexts

    def decide(self, host: Host, hear: Callable[[Security | Outcome], None]) -> None:
        """As in `Guard`."""
        name = host.name.decode("ascii", "replace")
        # No DNSSEC here: who wants DANE and gets nobody who knows it, gets what is nearest.
        if self._level in (Level.VERIFY, Level.DANE):
            hear(Security(Level.VERIFY, self._contexts.verifying, name, is_authenticated=True))
        else:
            clear = Security(Level.NONE, self._contexts.trusting, name)
            hear(
                Security(Level.MAY, self._contexts.trusting, name, weaker=clear) if self._level is Level.MAY else clear
            )
