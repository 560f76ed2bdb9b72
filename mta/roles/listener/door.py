"""Who may come in, and after how long a wait. Values in, values out; the clock is handed in.

A reader would otherwise get wrong: what a domain may choose about (DNS lists, greylisting) is not decided here but at RCPT.
At the door there is only what the host's administrator says, the same for all.
"""

from collections.abc import Callable, Mapping

from mta.relaying import LOCAL_USERS
from mta.roles.listener.buckets import Buckets
from mta.roles.listener.networks import Networks, Who
from mta.roles.listener.refusals import DENIED, NOT_LISTED, TOO_OFTEN, TOO_OFTEN_OF_NETWORK, Refusal

_LOCAL_USERS = Networks(str(LOCAL_USERS))
KNOWN_SECONDS = 86_400.0  # a client that waited as it should need not wait again for so long
MAX_KNOWN = 50_000  # clients remembered for that
SERVICE_OF_PROGRAMS = b"local"  # a socket in the file system, where the kernel says whose program it is
SERVICES_FOR_LISTED = (b"qmtp", b"qmqp")  # for whom `smtpd.<service>_clients` names, and nobody else
SERVICE_WITH_DELAY = b"smtp"  # where TLS comes first the client rightly speaks first, and users are not made to wait


class Door:
    """The rules of the moment, and what was seen of clients lately."""

    def __init__(self, settings: Mapping[str, bytes], clock: Callable[[], float]) -> None:
        self._clock = clock
        self._of_client = Buckets(0, clock)
        self._of_network = Buckets(0, clock)
        self._known: dict[bytes, float] = {}  # client: until when; the one who comes due first is first
        self.heed(settings)

    def heed(self, settings: Mapping[str, bytes]) -> None:
        """Take over changed *settings*; what was seen is kept."""
        self._allowed, self._denied, self._relaying, self._proxies = (
            Networks(settings.get(f"smtpd.{name}_clients", b"").decode())
            for name in ("allow", "deny", "relay", "proxy")
        )
        self._listed = {
            service: Networks(settings.get(f"smtpd.{service.decode()}_clients", b"").decode())
            for service in SERVICES_FOR_LISTED
        }
        self._of_client.per_minute = int(settings.get("limits.connections_per_minute_per_client", b"0"))
        self._of_network.per_minute = int(settings.get("limits.connections_per_minute_per_network", b"0"))
        self._delay = int(settings.get("limits.greeting_delay_seconds", b"0"))

    def is_proxy(self, who: Who) -> bool:
        """Must it say with a PROXY header for whom it comes?"""
        return who.packed in self._proxies

    def is_trusted(self, who: Who) -> bool:
        """Is it let in without delay, whatever its rate and network?"""
        packed = who.packed
        return packed in _LOCAL_USERS or packed in self._allowed or packed in self._relaying or packed in self._proxies

    def refusal(self, who: Who, service: bytes = SERVICE_WITH_DELAY) -> Refusal | None:
        """Why *who* is turned away from *service*; None when it is not. Being asked is coming once."""
        if service != SERVICE_OF_PROGRAMS and who.packed in _LOCAL_USERS:
            return DENIED  # Such an address comes from the socket alone: over a network it is made up, to be trusted.
        if service in self._listed:
            return None if who.packed in self._listed[service] else NOT_LISTED
        if who.packed in self._denied and who.packed not in self._allowed:
            return DENIED
        if self.is_trusted(who):
            return None
        # In this order one client that floods uses up nothing of its neighbours.
        if not self._of_client.take(who.client):
            return TOO_OFTEN
        return None if self._of_network.take(who.network) else TOO_OFTEN_OF_NETWORK

    def delay(self, who: Who, service: bytes) -> int:
        """Seconds that *who* must wait in silence for its greeting."""
        if not self._delay or service != SERVICE_WITH_DELAY or self.is_trusted(who):
            return 0
        return 0 if self._known.get(who.client, 0.0) > self._clock() else self._delay

    def passed(self, who: Who) -> None:
        """*who* waited as it should."""
        self._known.pop(who.client, None)
        self._known[who.client] = self._clock() + KNOWN_SECONDS
        if len(self._known) > MAX_KNOWN:
            del self._known[next(iter(self._known))]
