"""How often somebody asked for a recipient who does not exist: the trace that guessing leaves.

A reader would otherwise get wrong: the asker may be an smtpd that was taken over, and to it every answer tells something, a
`slow-down` as much as an `unknown`. So past a limit a *session* is told nothing more at all, and past a second one its
client, whatever is asked. Sessions are made by the listener alone: guessing goes as fast as new ones come, which is what
it costs without taking anything over. Others are not concerned, so no limit can be used to stop their mail.
"""

from collections.abc import Callable

from mta.windows import Window, client_key, network_key

OF_NETWORK = 5  # times a client's limit: what the clients of one network (IPv4 /24, IPv6 /48) may name together
TO_SILENCE = 5  # times a limit after which a client, or its network, is told nothing more in any session
MAX_SILENCED = (
    50_000  # sessions remembered that are told nothing more; to make them forgotten costs as many connections
)


class Unknowns:
    """Counts for each client, its network and all of them, each in a sliding minute."""

    def __init__(self, clock: Callable[[], float], per_client: int, in_total: int) -> None:
        """At most *per_client* and *in_total* in a minute; *clock* counts seconds."""
        self.per_client, self.in_total = per_client, in_total
        self._clients, self._networks = Window(clock), Window(clock)
        self._silenced: dict[bytes, None] = {}

    def silences(self, session: bytes, client: bytes) -> bool:
        """Is *session*, of *client* (an IP address, text), to be told nothing more, whatever it asks?"""
        if session in self._silenced:
            return True
        most = self.per_client * TO_SILENCE
        if self._clients.total < most:
            return False  # All of them together not so often: the hot path.
        return (
            self._clients.count(client_key(client)) >= most
            or self._networks.count(network_key(client)) >= most * OF_NETWORK
        )

    def count(self, session: bytes, client: bytes) -> bool:
        """One more from *client* in *session*. Is that too many? Then nothing more is told in this session."""
        key, network = client_key(client), network_key(client)
        self._clients.add(key)
        self._networks.add(network)
        is_too_often = (
            self._clients.count(key) > self.per_client
            or self._networks.count(network) > self.per_client * OF_NETWORK
            or self._clients.total > self.in_total
        )
        if is_too_often:
            if len(self._silenced) >= MAX_SILENCED:
                del self._silenced[next(iter(self._silenced))]
            self._silenced[session] = None
        return is_too_often
