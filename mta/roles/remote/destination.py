"""Everything that goes to one destination: what waits, the hosts in their order, the connections, who is given what.

A reader would otherwise get wrong: a host that cannot be reached is passed over for all messages, a host that answered a
message with "later" for that message only. A message that is in doubt goes to no other host now (see `transaction`).
"""

import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from mta.record import dataclass, field
from mta.roles.remote.connection import Connection, Manner
from mta.roles.remote.content import Content
from mta.roles.remote.hosts import Hear, Host
from mta.roles.remote.outcome import Outcome, delayed
from mta.roles.remote.security import Guard, Security
from mta.roles.remote.transaction import Mail, Recipient, Transaction
from mta.wire.loop import Loop

MAX_ANSWERS = 3  # hosts that may say "later" to one message before it comes back later
PER_CONNECTION = 100  # messages; some hosts end it there
IDLE_SECONDS = 5.0  # so long a connection without a message is kept
FRESH_SECONDS = 60.0  # so long the hosts' addresses are believed; the resolver knows for how long they hold
FIRST_CONNECTIONS = 5  # at once; each message that arrives lets one more come, up to the setting
SWEEP_SECONDS = 1.0
DOWN: Final = delayed(b"4.4.1", b"no host of the domain can be reached")
HURRIED: Final = delayed(b"4.4.1", b"the host was too slow to answer")


@dataclass(slots=True, eq=False)
class Job:
    """One message that was handed to us."""

    tag: int
    mail: Mail
    recipients: list[Recipient]
    content: Content
    since: float = 0.0  # when we got it
    tried: set[str] = field(default_factory=set)  # addresses of hosts that said "later" to it
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    said_by: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # by recipient: the host, and the protection
    stages: dict[int, bytes] = field(default_factory=dict)  # by recipient: the command whose answer decided
    is_in_doubt: bool = False


class Answerer(Protocol):
    """Who wants to know."""

    def finished(self, job: Job) -> None:
        """Every recipient of *job* has its outcome."""


Find = Callable[[Hear], None]


class Destination:
    """All of it."""

    def __init__(
        self, loop: Loop, find: Find, guard: Guard, manner: Manner, answerer: Answerer, *, most: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """*find* tells where the hosts are; *most*: connections at once."""
        self._loop, self._find, self._guard, self._manner = loop, find, guard, manner
        self._answerer, self._most, self._now = answerer, most, now
        self._window = min(FIRST_CONNECTIONS, most)
        self._waiting: deque[Job] = deque()
        self._at_work: dict[Connection, Job] = {}
        self._connections: dict[Connection, None] = {}  # in the order in which they were made
        self._deciding = 0  # connections whose security is still looked up
        self._hosts: list[Host] = []
        self._believed_until = 0.0
        self._is_finding = False
        self._down: dict[str, tuple[float, Outcome]] = {}  # by address: when it was last seen to be of no use, and why
        self._weaker: dict[str, Security] = {}  # by address where TLS is offered but does not work: what may do instead
        self._has_refused = False  # some host has said "later" to some message
        self._is_hurried = False
        loop.call_later(SWEEP_SECONDS, self._sweep)

    def take(self, job: Job) -> None:
        """One more message."""
        self._is_hurried = False
        job.since = self._now()
        self._waiting.append(job)
        self.advance()

    def hurry(self, *, at_once: bool = False) -> None:
        """Give up whatever no host can have yet; *at_once*: and all the rest, of which nobody will ever know."""
        self._is_hurried = True
        for connection in list(self._connections):
            transaction = connection.transaction
            if at_once or transaction is None or not (transaction.in_transfer or transaction.is_end_sent):
                connection.abandon(HURRIED)
        self._give_up(HURRIED)

    def leave(self) -> None:
        """Hang up on all hosts."""
        for connection in list(self._connections):
            connection.abandon(HURRIED)

    @property
    def is_idle(self) -> bool:
        """Nothing waits, and nothing is under way."""
        return not self._waiting and not self._at_work

    # --- who is given what

    def advance(self) -> None:
        """Begin what can be begun."""
        if not self._waiting:
            return
        for connection in list(self._connections):
            if connection.is_ready:
                self._feed(connection)
        if not self._waiting:
            return
        if not self._hosts or self._now() >= self._believed_until:
            self._find_hosts()
            return
        coming = self._deciding + sum(each.is_coming for each in self._connections)
        while self._waiting and coming < len(self._waiting) and self._deciding + len(self._connections) < self._window:
            host = self._host_for(self._waiting[0])
            if host is None:
                break
            self._open(host)
            coming += 1
        self._answer_hopeless()

    def _feed(self, connection: Connection) -> None:
        """Give *connection* a message that its host has not been asked about."""
        if connection.taken >= PER_CONNECTION:
            connection.leave()
            self._loop.call_later(0.0, self.advance)
            return
        for place, job in enumerate(self._waiting):
            if connection.host.address not in job.tried:
                del self._waiting[place]
                self._at_work[connection] = job
                connection.transact(self._transaction(connection, job))
                return

    def _transaction(self, connection: Connection, job: Job) -> Transaction:
        return Transaction(
            connection.client, job.mail, job.recipients, job.content, lmtp=self._manner.lmtp,
            is_authenticated=connection.security.is_authenticated and bool(connection.protection),
        )  # fmt: skip

    def _host_for(self, job: Job) -> Host | None:
        """The most preferred host that can be reached, as far as we know, and has not said "later" to *job*."""
        for host in self._hosts:
            if host.address not in job.tried and not (self._down and self._is_down(host, job)):
                return host
        return None

    def _is_down(self, host: Host, job: Job) -> bool:
        """Failed a moment ago, or since *job* came: nobody waits for the same host twice."""
        seen, _ = self._down.get(host.address, (float("-inf"), None))
        return seen >= job.since or seen > self._now() - FRESH_SECONDS

    def _answer_hopeless(self) -> None:
        """What no host is left for, and no connection on its way."""
        if not self._down and not self._has_refused:
            return
        for job in [job for job in self._waiting if self._host_for(job) is None]:
            if self._deciding or any(each.host.address not in job.tried for each in self._connections):
                continue
            self._waiting.remove(job)
            self._settle(job, self._why_unreachable())
        if not self._waiting and not self._connections:
            self._down.clear()  # The next message tries anew.

    def _why_unreachable(self) -> Outcome:
        """What all hosts are left with: what is not for ever, where there is such a thing."""
        reasons = [outcome for _, outcome in self._down.values()]
        return next((each for each in reasons if each.is_delay), reasons[0]) if reasons else DOWN

    # --- hosts

    def _find_hosts(self) -> None:
        if not self._is_finding:
            self._is_finding = True
            self._find(self._found)

    def _found(self, hosts: list[Host] | Outcome) -> None:
        self._is_finding = False
        if isinstance(hosts, Outcome):
            self._hosts = []
            self._give_up(hosts)
            return
        self._hosts, self._believed_until = hosts, self._now() + FRESH_SECONDS
        known = {host.address for host in hosts}
        self._down = {address: down for address, down in self._down.items() if address in known}
        self._weaker.clear()
        self._loop.call_later(0.0, self.advance)

    def _give_up(self, outcome: Outcome) -> None:
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            self._settle(job, outcome)

    def _open(self, host: Host) -> None:
        self._deciding += 1

        def decided(security: Security | Outcome) -> None:
            self._deciding -= 1
            if isinstance(security, Outcome):
                self._down[host.address] = (self._now(), security)
                self._loop.call_later(0.0, self.advance)
            elif self._waiting and not self._is_hurried:
                self._connections[Connection(self._loop, host, security, self._manner, self, self._now)] = None

        if host.address in self._weaker:
            decided(self._weaker[host.address])
        else:
            self._guard.decide(host, decided)

    # --- what connections tell

    def ready(self, connection: Connection) -> None:
        """It can take a message."""
        self._down.pop(connection.host.address, None)
        self._feed(connection)

    def concluded(self, connection: Connection, transaction: Transaction) -> None:
        """One transaction is done: its recipients are answered, or go to another host."""
        job = self._at_work.pop(connection)
        if transaction.is_broken and not transaction.is_end_gone and connection.taken > 1:
            # Hosts end connections that stood for a while: that says nothing of this message, nor of the host.
            self._waiting.appendleft(job)
            return
        if not transaction.is_broken:
            self._window = min(self._most, self._window + 1)
        job.tried.add(connection.host.address)
        later = self._note(connection, transaction, job)
        if transaction.again:
            job.tried.discard(connection.host.address)
            later = transaction.again
        elif self._is_hurried or len(job.tried) >= MAX_ANSWERS or self._host_for(job) is None:
            later = []
        if later:
            job.recipients, self._has_refused = later, True
            self._waiting.appendleft(job)
        else:
            self._finish(job)

    def _note(self, connection: Connection, transaction: Transaction, job: Job) -> list[Recipient]:
        """Write down what was said of whom; answers those for whom another host may have a better answer."""
        later = []
        for recipient in job.recipients:
            outcome = transaction.outcomes.get(recipient.number)
            if outcome is None:
                continue  # It comes again: more than the host takes at once.
            job.outcomes[recipient.number] = outcome
            job.said_by[recipient.number] = (connection.described, connection.protection)
            job.stages[recipient.number] = transaction.stages.get(recipient.number, b"")
            if outcome.is_delay and not outcome.in_doubt:
                later.append(recipient)
        return later

    def over(self, connection: Connection, outcome: Outcome) -> None:
        """A connection ended."""
        del self._connections[connection]
        address = connection.host.address
        if connection.tls_failed and connection.security.weaker is not None:
            self._weaker[address] = connection.security.weaker
        elif not connection.is_proven and outcome is not HURRIED:
            alive = sum(each.host.address == address for each in self._connections)
            if alive:
                # It takes some of us, not all: with fewer it will do.
                self._window = max(1, alive)
            else:
                self._down[address] = (self._now(), outcome)
        self._loop.call_later(0.0, self.advance)

    # --- answers

    def _settle(self, job: Job, outcome: Outcome) -> None:
        """*outcome* for all that have none, or had only a "later" of another host."""
        for recipient in job.recipients:
            job.outcomes.setdefault(recipient.number, outcome)
        self._finish(job)

    def _finish(self, job: Job) -> None:
        job.content.close()
        self._answerer.finished(job)

    # --- time

    def _sweep(self) -> None:
        now = self._now()
        for connection in list(self._connections):
            if connection.is_ready and now - connection.idle_since >= IDLE_SECONDS:
                connection.leave()
            else:
                connection.heed_time()
        self.advance()
        self._loop.call_later(SWEEP_SECONDS, self._sweep)
