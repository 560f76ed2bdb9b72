"""A compiler of which no more is there than its database and one peer: it notes what is told, and calls nobody by itself."""

from collections.abc import Callable
from typing import Any

from appliance.compile.source import Query, Source
from mta.wire import messages as m


class Desk:
    """Its own peers; *peer* is the only role that it knows. What it is told is in `told`, unless `is_there` is False."""

    def __init__(self, source: Source, peer: str) -> None:
        self._source, self._peer, self.peers, self.is_there = source, peer, self, True
        self.told: list[Any] = []
        self.events: list[tuple[str, dict[str, object]]] = []
        self.calls: list[Callable[[], None]] = []

    def tell(self, name: str, message: m.Message) -> bool:
        """As the compiler's ways do."""
        assert name == self._peer
        if self.is_there:
            self.told.append(message)
        return self.is_there

    def event(self, name: str, **pairs: object) -> None:
        """As the compiler's ways do."""
        self.events.append((name, pairs))

    def read(self, act: Callable[[Query], None]) -> bool:
        """As the compiler does."""
        with self._source.reading() as query:
            act(query)
        return True

    def write(self, act: Callable[[Query], None]) -> bool:
        """As the compiler does."""
        with self._source.writing() as query:
            act(query)
        return True

    def later(self, seconds: float, callback: Callable[[], None]) -> None:
        """The test calls what is in `calls`, or does itself what would be called."""
        self.calls.append(callback)


class Wire:
    """A channel of which is known whether it was closed."""

    closed = False

    def close(self) -> None:
        """As a channel does."""
        self.closed = True
