"""A compiler of which no more is there than its database and one peer: it notes what is told, and calls nobody by itself."""

from appliance.compile.source import Source


class Desk:
    """Its own peers; *peer* is the only role that it knows. What it is told is in `told`, unless `is_there` is False."""

    def __init__(self, source: Source, peer: str) -> None:
        self._source, self._peer, self.peers = source, peer, self
        self.is_there, self.told, self.events, self.calls = True, [], [], []

    def tell(self, name, message):
        assert name == self._peer
        if self.is_there:
            self.told.append(message)
        return self.is_there

    def event(self, name, **pairs):
        self.events.append((name, pairs))

    def read(self, act):
        with self._source.reading() as query:
            act(query)
        return True

    def write(self, act):
        with self._source.writing() as query:
            act(query)
        return True

    def later(self, seconds, callback):
        """The test calls what is in `calls`, or does itself what would be called."""
        self.calls.append(callback)


class Wire:
    """A channel of which is known whether it was closed."""

    closed = False

    def close(self):
        self.closed = True
