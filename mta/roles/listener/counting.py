"""Who is connected how often, and which smtpd has the fewest conversations. Values in, values out.

A reader would otherwise get wrong: an IPv6 client is its /64, since that is what one customer is given; by single address
the limit would mean nothing.
"""

import socket
from dataclasses import dataclass, field

TOO_MANY_OF_CLIENT = b"421 4.7.0 Too many connections from your address, try again later\r\n"
TOO_MANY = b"421 4.3.2 Too many connections, try again later\r\n"


def client_key(address: str) -> bytes:
    """What counts as one client: the IPv4 address, or the first 64 bits of the IPv6 address."""
    if ":" not in address:
        return address.encode()
    return socket.inet_pton(socket.AF_INET6, address.partition("%")[0])[:8]


@dataclass(slots=True)
class Counts:
    """All conversations that were handed out and are not finished."""

    most: int
    most_of_client: int  # 0: no limit
    total: int = 0
    _of_client: dict[bytes, int] = field(default_factory=dict)
    _of_worker: dict[int, dict[bytes, bytes]] = field(default_factory=dict)  # instance: session: client's key

    def refusal(self, client: bytes) -> bytes:
        """The reply that turns *client* (a `client_key`) away now; empty when it may come in."""
        if self.total >= self.most:
            return TOO_MANY
        if self.most_of_client and self._of_client.get(client, 0) >= self.most_of_client:
            return TOO_MANY_OF_CLIENT
        return b""

    def begin(self, worker: int, session: bytes, client: bytes) -> None:
        """The conversation *session* with *client* was handed to *worker*."""
        self._of_worker.setdefault(worker, {})[session] = client
        self._of_client[client] = self._of_client.get(client, 0) + 1
        self.total += 1

    def end(self, worker: int, session: bytes) -> None:
        """*worker* finished *session*; said of another's conversation, or twice, it means nothing."""
        client = self._of_worker.get(worker, {}).pop(session, None)
        if client is None:
            return
        self.total -= 1
        left = self._of_client[client] - 1
        if left:
            self._of_client[client] = left
        else:
            del self._of_client[client]

    def lose(self, worker: int) -> None:
        """*worker* ended, and its conversations with it."""
        for session in list(self._of_worker.get(worker, ())):
            self.end(worker, session)

    def load(self, worker: int) -> int:
        """How many conversations *worker* has."""
        return len(self._of_worker.get(worker, ()))
