"""What wakes a role that sleeps until it is asked: the ends of its clients' channels, held and watched, never read.

A reader would otherwise get wrong: not one octet is taken off a channel. What a client said first, and the descriptors beside
it, lie in the kernel until the role itself reads them; root only learns that there is something.
"""

import socket
from collections.abc import Callable

from mta.wire.loop import Loop

Client = tuple[str, int]  # a role's name, and which instance of it


class Bells:
    """One sleeping role's: an end for each of its clients. *rung* is told once, when the first of them has asked."""

    def __init__(self, loop: Loop, rung: Callable[[], None]) -> None:
        self._loop, self._rung = loop, rung
        self._ends: dict[Client, socket.socket] = {}
        self._has_rung = False

    def hang(self, client: Client, end: socket.socket) -> None:
        """Keep *end*, which is ours from now on, for *client*; what a predecessor of it had is dropped with what it said."""
        self._drop(client)
        self._ends[client] = end
        if not self._has_rung:
            self._loop.add_reader(end.fileno(), lambda: self._look(client, end))

    def take(self) -> dict[Client, socket.socket]:
        """All the ends; the caller closes them."""
        self._unwatch()
        ends, self._ends = self._ends, {}
        return ends

    def _look(self, client: Client, end: socket.socket) -> None:
        try:
            is_asked = bool(end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return
        except OSError:
            is_asked = False
        if is_asked:
            self._unwatch()
            self._has_rung = True
            self._rung()
        else:
            self._drop(client)  # It ended, and asked nothing.

    def _drop(self, client: Client) -> None:
        former = self._ends.pop(client, None)
        if former is not None:
            self._loop.remove_reader(former.fileno())
            former.close()

    def _unwatch(self) -> None:
        for end in self._ends.values():
            self._loop.remove_reader(end.fileno())
