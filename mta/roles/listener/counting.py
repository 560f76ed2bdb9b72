"""Who is connected how often, and which smtpd has the fewest conversations. Values in, values out.

A reader would otherwise get wrong: a client that still waits for its greeting is counted too. It costs no smtpd, but a
descriptor, and its place among those of its address. And a client's limit shrinks as the house fills.
"""

from mta.record import dataclass, field
from mta.roles.listener.networks import Who
from mta.roles.listener.refusals import TOO_MANY, TOO_MANY_OF_CLIENT, TOO_MANY_OF_NETWORK, Refusal

_Keys = tuple[bytes, bytes]  # of the client, of its network; the latter empty where networks are not counted


@dataclass(slots=True)
class Counts:
    """All who were let in and have not left."""

    most: int
    most_of_client: int  # 0: no limit
    most_of_network: int = 0  # 0: no limit
    total: int = 0
    _of: dict[bytes, int] = field(default_factory=dict)  # by key of client or network
    _waiting: dict[bytes, _Keys] = field(default_factory=dict)  # session: keys
    _of_worker: dict[int, dict[bytes, _Keys]] = field(default_factory=dict)  # instance: session: keys

    def refusal(self, who: Who, *, trusted: bool = False) -> Refusal | None:
        """Why *who* may not come in now; None when it may. Of *trusted* ones only the first two limits are asked."""
        left = self.most - self.total
        if left <= 0:
            return TOO_MANY
        of_client = self._of.get(who.client, 0)
        if self.most_of_client and of_client >= self.most_of_client:
            return TOO_MANY_OF_CLIENT
        if trusted:
            return None
        # Nobody may have more than what is left: then a few that take all they get leave places for those who have none.
        if of_client >= left:
            return TOO_MANY_OF_CLIENT
        if self.most_of_network and self._of.get(who.network, 0) >= self.most_of_network:
            return TOO_MANY_OF_NETWORK
        return None

    def begin(self, session: bytes, who: Who) -> None:
        """*who* was let in and waits."""
        keys = (who.client, who.network)
        self._waiting[session] = keys
        self.total += 1
        for key in keys:
            self._of[key] = self._of.get(key, 0) + 1

    def hand(self, session: bytes, worker: int) -> None:
        """Who waited as *session* is *worker*'s now."""
        self._of_worker.setdefault(worker, {})[session] = self._waiting.pop(session)

    def leave(self, session: bytes) -> None:
        """Who waited as *session* left, or was turned away."""
        self._forget(self._waiting.pop(session, None))

    def end(self, worker: int, session: bytes) -> None:
        """*worker* finished *session*; said of another's conversation, or twice, it means nothing."""
        self._forget(self._of_worker.get(worker, {}).pop(session, None))

    def _forget(self, keys: _Keys | None) -> None:
        if keys is None:
            return
        self.total -= 1
        for key in keys:
            left = self._of[key] - 1
            if left:
                self._of[key] = left
            else:
                del self._of[key]

    def lose(self, worker: int) -> None:
        """*worker* ended, and its conversations with it."""
        for session in list(self._of_worker.get(worker, ())):
            self.end(worker, session)

    def load(self, worker: int) -> int:
        """How many conversations *worker* has."""
        return len(self._of_worker.get(worker, ()))
