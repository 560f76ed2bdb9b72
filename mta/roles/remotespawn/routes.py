"""Routes by their keys: where mail goes on to instead of by MX, how, and with which password.

A reader would otherwise get wrong: a route that cannot be used is not the same as none. Without its password, or with one of
its settings spoilt, mail waits: it would otherwise go by MX, past the host that was meant to see it.
"""

from mta.seal import NotOpened, Opener
from mta.snapshot.reader import Snapshot, SnapshotMissing
from mta.snapshot.records import ROUTE, RecordError, Route, unpack_record


class NoRoute(Exception):
    """Mail that takes this route must wait; the text says why, and holds no secret."""


class Routes:
    """Answers from *snapshot*; *opener* is None where the private key cannot be read."""

    def __init__(self, snapshot: Snapshot, opener: Opener | None) -> None:
        self._snapshot, self._opener = snapshot, opener

    def find(self, key: bytes) -> Route:
        """The route *key*; for the empty one, the plain way by MX.

        Raises:
            NoRoute: there is none any more, or it makes no sense. Who asks the directory again may hear of another.
        """
        if not key:
            return Route()
        try:
            self._snapshot.refresh()
            octets = self._snapshot.get(ROUTE + key)
            record = unpack_record(octets) if octets is not None else None
        except (SnapshotMissing, RecordError) as error:
            raise NoRoute(f"the route cannot be read: {error}") from error
        if not isinstance(record, Route):
            raise NoRoute("the route is gone")
        return record

    def password_of(self, route: Route) -> bytes:
        """What goes with its login; empty where it has none.

        Raises:
            NoRoute: it cannot be opened.
        """
        if not route.login:
            return b""
        if self._opener is None:
            raise NoRoute("keys/remotespawn.key cannot be read, so neither can the route's password")
        try:
            return self._opener.open(route.sealed_password)
        except NotOpened as error:
            raise NoRoute(f"the route's password cannot be read: {error}") from error
