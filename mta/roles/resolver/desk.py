"""Who is asked, when the next one is asked, and who hears the answer. No sockets: those are handed in as `Network`.

A reader would otherwise get wrong: a server that is slow is not given up. The next one is asked too, with an id of its own,
and whichever answers first is heard; so a lost datagram costs little and a late answer is not lost.
"""

import ipaddress
from collections.abc import Callable, Sequence
from typing import Protocol

from mta.record import dataclass, field, replace
from mta.roles.resolver.cache import Cache, Key
from mta.roles.resolver.query import FAILED, Answer, Other, Query, QueryError

QUESTION_SECONDS = 2.0  # in all; then whoever asked must go on without
TRY_SECONDS = 0.6  # without an answer; then the next server is asked as well
MAX_TRIES = 3  # datagrams sent about one question
MAX_QUESTIONS = 500  # about which servers are being asked; beyond, the answer is `failed` at once
MAX_ASKERS = 5000  # that wait for an answer, several perhaps for the same
MAX_STRANGE = 16  # datagrams on one socket that do not match; then somebody is guessing, and TCP tells

Heard = Callable[[bytes | None], None]  # None: the server is not there, or the connection broke
Hush = Callable[[], None]  # closes; nothing is heard afterwards


@dataclass(frozen=True, slots=True)
class NameServer:
    """Whom we ask."""

    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        """Does nobody but this machine lie between it and us?"""
        return ipaddress.ip_address(self.host).is_loopback


def servers_of(text: str) -> list[NameServer]:
    """The setting [dns] servers: `192.0.2.1:53 [2001:db8::1]:53`."""
    found = [each.rpartition(":") for each in text.split()]
    return [NameServer(host.strip("[]"), int(port)) for host, _, port in found]


class Network(Protocol):
    """Ways to a server. Both answer None where the kernel has no socket or no route."""

    def datagram(self, server: NameServer, octets: bytes, heard: Heard) -> Hush | None:
        """Ask over UDP, from a port that nobody can guess; each datagram that comes back is told to *heard*."""

    def stream(self, server: NameServer, octets: bytes, heard: Heard) -> Hush | None:
        """Ask over TCP; *heard* once, with the message that comes back."""


@dataclass(slots=True)
class _Exchange:
    """One try."""

    query: Query
    server: int
    hush: Hush | None = None
    strange: int = 0


@dataclass(slots=True, eq=False)
class _Search:
    """One question, everything that is under way about it, and who wants to know."""

    key: Key
    answered: list[Callable[[Answer], None]]
    first: int  # the server that was asked first
    exchanges: list[_Exchange] = field(default_factory=list)
    tries: int = 0
    unable: int = 0
    over: bool = False


class Desk:
    """All questions of the moment."""

    def __init__(
        self, servers: Sequence[NameServer], network: Network,
        call_later: Callable[[float, Callable[[], None]], None], now: Callable[[], float],
    ) -> None:  # fmt: skip
        self.cache = Cache()
        self._servers = servers
        self._network = network
        self._call_later = call_later
        self._now = now
        self._favourite = 0  # the server that is asked first: the one that answered last
        self._searches: dict[Key, _Search] = {}
        self._askers = 0

    def look_up(self, name: bytes, kind: bytes, answered: Callable[[Answer], None]) -> None:
        """Find out; *answered* is told once, perhaps at once."""
        key = (name.lower().rstrip(b"."), kind)
        known = self.cache.get(key, self._now())
        if known is not None:
            answered(known)
            return
        search = self._searches.get(key)
        if self._askers >= MAX_ASKERS or (search is None and len(self._searches) >= MAX_QUESTIONS):
            answered(Answer(FAILED))
            return
        self._askers += 1
        if search is not None:
            search.answered.append(answered)
            return
        search = self._searches[key] = _Search(key, [answered], self._favourite)
        self._call_later(QUESTION_SECONDS, lambda: self._finish(search, Answer(FAILED)))
        self._try(search)

    def _try(self, search: _Search) -> None:
        """Ask the next server; when there has been enough of that, wait for those who were asked."""
        if search.tries >= MAX_TRIES:
            if not search.exchanges:
                self._finish(search, Answer(FAILED))
            return
        place = (search.first + search.tries) % len(self._servers)
        search.tries += 1
        try:
            exchange = _Exchange(Query(*search.key), place)
        except QueryError:
            self._finish(search, Answer(FAILED))
            return
        number = search.tries
        self._open(search, exchange, self._network.datagram)
        if not search.over:
            self._call_later(TRY_SECONDS, lambda: self._lose_patience(search, number))

    def _open(self, search: _Search, exchange: _Exchange, way: Callable[..., Hush | None]) -> None:
        search.exchanges.append(exchange)
        stream = way == self._network.stream
        exchange.hush = way(
            self._servers[exchange.server],
            exchange.query.octets,
            lambda octets: self._hear(search, exchange, octets, stream=stream),
        )
        if exchange.hush is None:
            search.exchanges.remove(exchange)
            self._try(search)

    def _lose_patience(self, search: _Search, number: int) -> None:
        if not search.over and search.tries == number:
            if number == 1 and self._favourite == search.first:
                self._favourite = (search.first + 1) % len(self._servers)
            self._try(search)

    def _hear(self, search: _Search, exchange: _Exchange, octets: bytes | None, *, stream: bool) -> None:
        if search.over or exchange not in search.exchanges:
            return
        said = Other.UNABLE if octets is None else exchange.query.read(octets)
        if isinstance(said, Answer):
            self._favourite = exchange.server
            secure = said.secure and self._servers[exchange.server].is_loopback
            self._finish(search, replace(said, secure=secure))
            return
        if said is Other.STRANGE and not stream:
            exchange.strange += 1
            if exchange.strange < MAX_STRANGE:
                return
        self._close(search, exchange)
        if stream or said is Other.UNABLE:
            self._give_up(search)
        else:
            query = Query(*search.key, mix=False)
            self._open(search, _Exchange(query, exchange.server), self._network.stream)

    def _give_up(self, search: _Search) -> None:
        """One server cannot tell: the next one at once, unless all have said so."""
        search.unable += 1
        if search.unable >= len(self._servers) and not search.exchanges:
            self._finish(search, Answer(FAILED))
        else:
            self._try(search)

    def _finish(self, search: _Search, answer: Answer) -> None:
        if search.over:
            return
        search.over = True
        for exchange in list(search.exchanges):
            self._close(search, exchange)
        del self._searches[search.key]
        self._askers -= len(search.answered)
        self.cache.put(search.key, answer, self._now())
        for answered in search.answered:
            answered(answer)

    def _close(self, search: _Search, exchange: _Exchange) -> None:
        search.exchanges.remove(exchange)
        if exchange.hush is not None:
            exchange.hush()
