"""The peers of the web process, as ordinary calls: authenticator, compiler, resolver, scheduler, source; and the supervisor.

A reader would otherwise get wrong: calls come from many threads (one for each request being served), while channels belong
to one. So one thread of our own runs the channels' loop, and the others hand it their questions and wait. It is started
after the process has entered its sandbox: a thread that exists before keeps what the others have lost.
"""

import collections
import itertools
import os
import threading
from collections.abc import Callable, MutableMapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from appliance.errors import Unable
from appliance.services import queue
from appliance.services.dns_page import Found
from appliance.services.queue import Which
from mta.roster import WEB
from mta.wire import messages as m
from mta.wire.channel import Channel, ChannelClosed, Packet
from mta.wire.control import Peers, Start
from mta.wire.loop import Loop

ANSWER_WITHIN_SECONDS = 10.0  # An argon2 hash takes about 50 ms; so many at once wait that long only under attack.
STANDING_WITHIN_SECONDS = 5.0  # The supervisor has it in memory, and does little else.
ORDER_WITHIN_SECONDS = 60.0  # To find a domain's messages among a hundred thousand, each envelope is read.
MAX_NAME_OCTETS = 1000  # Bounds of `Verify` on the wire. Nothing longer is anybody's name or password.
MAX_SECRET_OCTETS = 1000
MAX_CODE_OCTETS = 64  # the same of `CheckCode`

OnSocket = Callable[[str, str, int], None]


class AuthenticatorAway(Unable):
    """The authenticator is being restarted or does not answer: nobody can sign in just now."""

    default_code = "authenticator_away"


class Authenticator(Protocol):
    """Who says whether a secret is right."""

    def verify_password(self, scope: str, name: str, password: str) -> bool:
        """Is *password* that of the `account` or `mailbox` (scope) called *name*?

        Raises:
            AuthenticatorAway: nobody can tell now.
        """

    def verify_key(self, key_id: str, secret: str) -> bool:
        """Is *secret* that of the API key *key_id*?

        Raises:
            AuthenticatorAway: nobody can tell now.
        """

    def check_code(self, sealed: str, code: str) -> int:
        """The step (30 seconds, counted since 1970) of which *code* is one for the *sealed* secret; 0: it is of none near now.

        Raises:
            AuthenticatorAway: nobody can tell now.
        """


class Compiler(Protocol):
    """Who turns what was committed into the snapshot."""

    def poke(self) -> None:
        """Something was committed: look now. When the compiler is away, it looks by itself once it is back."""


class ResolverAway(Unable):
    """The resolver is being restarted: nobody can say just now what stands in DNS."""

    default_code = "resolver_away"


class Resolver(Protocol):
    """Who knows what stands in DNS."""

    def look_up(self, questions: Sequence[tuple[str, str]]) -> list[Found]:
        """What name servers say to each of *questions*: kind and name.

        Raises:
            ResolverAway: nobody can ask them now.
        """


class SchedulerAway(Unable):
    """The scheduler is being restarted: nobody can say just now what waits."""

    default_code = "scheduler_away"


class Queue(Protocol):
    """Who knows what waits."""

    def order(self, what: str, which: Which, after: str, count: int) -> list[dict[str, str]]:
        """What is said of each message that is meant, and of the end (`services.queue.Way`).

        Raises:
            SchedulerAway: nobody can tell now.
            Unable: it was refused.
        """


class SourceAway(Unable):
    """Role source is being restarted: nobody can say just now what is known of a recipient elsewhere."""

    default_code = "source_away"


class Sources(Protocol):
    """Who asks where recipients of relayed domains are known."""

    def look_for(self, address: str) -> str:
        """What is known of *address* (an address key): `accept`, `unknown`, `full`; `try-later`, where nobody answers.

        Raises:
            SourceAway: nobody can ask now.
        """


class SupervisorAway(Unable):
    """The supervisor does not answer: nobody can say just now how the house stands."""

    default_code = "supervisor_away"


class Supervisor(Protocol):
    """Who knows all processes."""

    def standing(self) -> list[dict[str, str]]:
        """How the house stands, as `services.isolation` reads it.

        Raises:
            SupervisorAway: nobody can tell now.
        """

    def try_walls(self) -> None:
        """Have the self-test run, unless the last one was a moment ago. What it tries is not ours to say."""


class WebPeers:
    """Authenticator, compiler, resolver, scheduler and source at the other ends of the channels that the supervisor hands.

    *on_socket* is told of each listening socket (service, address, descriptor); *on_stop* once, when the supervisor asks
    for an end or is gone. Both are called on the thread that runs the loop.
    """

    def __init__(self, start: Start, *, on_socket: OnSocket, on_stop: Callable[[], None]) -> None:
        self._loop = Loop()
        self._on_stop = on_stop
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._jobs: collections.deque[Callable[[], None]] = collections.deque()
        self._tags = itertools.count(1)
        self._asked: dict[
            int, Future[int]
        ] = {}  # of what was asked the authenticator: right or wrong, or a code's step
        self._sought: dict[int, Future[Found]] = {}
        self._ordered: dict[int, tuple[Future[list[m.QueueTold]], list[m.QueueTold]]] = {}
        self._tried: dict[int, Future[str]] = {}
        self._stands: dict[int, tuple[Future[list[dict[str, str]]], list[dict[str, str]]]] = {}
        self._loop.add_reader(self._wake, self._run_jobs)
        handlers = {
            "authenticator": self._answered, "resolver": self._found, "scheduler": self._told, "source": self._known,
        }  # fmt: skip
        self._peers = Peers(
            WEB, start, self._loop, handlers, lost=self._lost, sockets=on_socket,
        )  # fmt: skip
        self._peers.on_standing = self._stood

    def settle(self, seconds: float) -> None:
        """Take in what the supervisor has sent until nothing came for *seconds*; before `start`."""
        self._loop.run_until_idle(seconds)

    def start(self) -> None:
        """Serve the channels on a thread of their own from now on."""
        threading.Thread(target=self._run, name="peers", daemon=True).start()

    def ready(self) -> None:
        """Tell the supervisor that we serve."""
        self._soon(self._peers.ready)

    def poke(self) -> None:
        """As `Compiler.poke`."""
        self._soon(lambda: self._peers.tell("compiler", m.Poke()))

    def look_up(self, questions: Sequence[tuple[str, str]]) -> list[Found]:
        """As `Resolver.look_up`."""
        answers: list[Future[Found]] = [Future() for _ in questions]
        self._soon(lambda: self._seek(list(zip(answers, questions, strict=True))))
        try:
            return [answer.result(ANSWER_WITHIN_SECONDS) for answer in answers]
        except (TimeoutError, ChannelClosed) as error:
            raise ResolverAway("Names cannot be looked up just now. Try again in a moment.") from error

    def _seek(self, waiting: Sequence[tuple[Future[Found], tuple[str, str]]]) -> None:
        channel = self._peers.to("resolver")
        for answer, (kind, name) in waiting:
            tag = next(self._tags)
            self._sought[tag] = answer
            try:
                if channel is None:
                    raise ChannelClosed("resolver")
                channel.send(m.LookUp(tag, name.encode(), kind.encode()))
            except ChannelClosed as error:
                self._sought.pop(tag, None)
                answer.set_exception(error)

    def _found(self, channel: Channel, packet: Packet) -> None:
        message, _ = packet
        if not isinstance(message, m.Found):
            channel.close()
            return
        answer = self._sought.pop(message.tag, None)
        if answer is not None:
            records = tuple(record.decode(errors="replace") for record in message.records)
            answer.set_result(Found(message.outcome.decode(), records))

    def order(self, what: str, which: Which, after: str, count: int) -> list[dict[str, str]]:
        """As `Queue.order`."""
        tag = next(self._tags)
        order, answer = queue.order_of(tag, what, which, after, count), Future[list[m.QueueTold]]()
        self._soon(lambda: self._say(answer, order))
        try:
            return [queue.understood(told) for told in answer.result(ORDER_WITHIN_SECONDS)]
        except (TimeoutError, ChannelClosed) as error:
            raise SchedulerAway("The queue cannot be asked just now. Try again in a moment.") from error

    def _say(self, answer: "Future[list[m.QueueTold]]", order: m.QueueOrder) -> None:
        self._ordered[order.tag] = (answer, [])
        if not self._peers.tell("scheduler", order):
            del self._ordered[order.tag]
            answer.set_exception(ChannelClosed("scheduler"))

    def _told(self, channel: Channel, packet: Packet) -> None:
        message, _ = packet
        if not isinstance(message, m.QueueTold):
            channel.close()
            return
        answer, told = self._ordered.get(message.tag, (None, []))
        told.append(message)
        if answer is not None and message.last:
            del self._ordered[message.tag]
            answer.set_result(told)

    def look_for(self, address: str) -> str:
        """As `Sources.look_for`."""
        answer: Future[str] = Future()
        self._soon(lambda: self._try(answer, address.encode()))
        try:
            return answer.result(ANSWER_WITHIN_SECONDS)
        except TimeoutError:
            return "try-later"  # It asks on, and has the answer when somebody tries again.
        except ChannelClosed as error:
            raise SourceAway("Nobody elsewhere can be asked just now. Try again in a moment.") from error

    def _try(self, answer: Future[str], address: bytes) -> None:
        channel, tag = self._peers.to("source"), next(self._tags)
        self._tried[tag] = answer
        try:
            if channel is None:
                raise ChannelClosed("source")
            channel.send(m.Exists(tag, address))
        except ChannelClosed as error:
            self._tried.pop(tag, None)
            answer.set_exception(error)

    def _known(self, channel: Channel, packet: Packet) -> None:
        message, _ = packet
        if not isinstance(message, m.Existence):
            channel.close()
            return
        answer = self._tried.pop(message.tag, None)
        if answer is not None:
            answer.set_result(message.word.decode(errors="replace"))

    def standing(self) -> list[dict[str, str]]:
        """As `Supervisor.standing`."""
        tag, answer = next(self._tags), Future[list[dict[str, str]]]()
        self._stands[tag] = (answer, [])
        self._soon(lambda: self._peers.report(m.StandingOf(tag)))
        try:
            return answer.result(STANDING_WITHIN_SECONDS)
        except TimeoutError as error:
            self._stands.pop(tag, None)
            raise SupervisorAway("Nobody can say just now how the house stands. Try again in a moment.") from error

    def _stood(self, message: m.Standing) -> None:
        answer, told = self._stands.get(message.tag, (None, []))
        told.append({name.decode(errors="replace"): value.decode(errors="replace") for name, value in _pairs(message)})
        if answer is not None and message.last:
            del self._stands[message.tag]
            answer.set_result(told)

    def try_walls(self) -> None:
        """As `Supervisor.try_walls`."""
        self._soon(lambda: self._peers.report(m.TryWalls()))

    def verify_password(self, scope: str, name: str, password: str) -> bool:
        """As `Authenticator.verify_password`."""
        return self._verify(scope, name, password)

    def verify_key(self, key_id: str, secret: str) -> bool:
        """As `Authenticator.verify_key`."""
        return self._verify("key", key_id, secret)

    def check_code(self, sealed: str, code: str) -> int:
        """As `Authenticator.check_code`."""
        sealed_octets, code_octets = sealed.encode(), code.encode(errors="surrogatepass")
        if len(sealed_octets) > MAX_SECRET_OCTETS or len(code_octets) > MAX_CODE_OCTETS:
            return 0
        return self._answer_to(lambda tag: m.CheckCode(tag, sealed_octets, code_octets))

    def _verify(self, scope: str, name: str, secret: str) -> bool:
        # surrogatepass: what a browser sends is the client's word; odd code points make a wrong secret, not an error.
        name_octets, secret_octets = name.encode(errors="surrogatepass"), secret.encode(errors="surrogatepass")
        if len(name_octets) > MAX_NAME_OCTETS or len(secret_octets) > MAX_SECRET_OCTETS:
            return False
        return bool(self._answer_to(lambda tag: m.Verify(tag, scope.encode(), name_octets, secret_octets)))

    def _answer_to(self, question: Callable[[int], m.Message]) -> int:
        answer: Future[int] = Future()
        self._soon(lambda: self._ask(answer, question))
        try:
            return answer.result(ANSWER_WITHIN_SECONDS)
        except (TimeoutError, ChannelClosed) as error:
            raise AuthenticatorAway("Passwords cannot be checked just now. Try again in a moment.") from error

    def _ask(self, answer: Future[int], question: Callable[[int], m.Message]) -> None:
        channel = self._peers.to("authenticator")
        if channel is None:
            answer.set_exception(ChannelClosed("authenticator"))
            return
        tag = next(self._tags)
        self._asked[tag] = answer
        try:
            channel.send(question(tag))
        except ChannelClosed as error:
            self._asked.pop(tag, None)
            answer.set_exception(error)

    def _answered(self, channel: Channel, packet: Packet) -> None:
        message, _ = packet
        if not isinstance(message, m.Verified | m.CodeChecked):
            channel.close()
            return
        answer = self._asked.pop(message.tag, None)
        if answer is not None:
            answer.set_result(message.right if isinstance(message, m.Verified) else message.step)

    def _lost(self, channel: Channel) -> None:
        """What was asked of a peer that ended is never answered: say so now instead of letting them wait."""
        if channel.peer == "scheduler":
            while self._ordered:
                self._ordered.popitem()[1][0].set_exception(ChannelClosed(channel.peer))
        asked: dict[str, MutableMapping[int, Any]] = {
            "authenticator": self._asked, "resolver": self._sought, "source": self._tried,
        }  # fmt: skip
        waiting = asked.get(channel.peer, {})
        while waiting:
            _, answer = waiting.popitem()
            answer.set_exception(ChannelClosed(channel.peer))

    def _soon(self, job: Callable[[], object]) -> None:
        """Have the loop's thread do *job*."""
        self._jobs.append(lambda: (job(), None)[1])
        os.eventfd_write(self._wake, 1)

    def _run_jobs(self) -> None:
        os.eventfd_read(self._wake)
        while self._jobs:
            self._jobs.popleft()()

    def _run(self) -> None:
        # Also when the supervisor is gone: the loop then leaves with SystemExit, which would end this thread alone.
        try:
            self._loop.run()
        finally:
            self._on_stop()


def _pairs(message: m.Standing) -> list[tuple[bytes, bytes]]:
    return list(zip(message.pairs[::2], message.pairs[1::2], strict=False))
