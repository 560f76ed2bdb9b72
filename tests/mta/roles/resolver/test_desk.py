"""Who is asked when, with servers and a clock made by the test."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rrset

from mta.roles.resolver import desk as d
from mta.roles.resolver.query import ANSWER, FAILED, Answer


@dataclass
class Sent:
    way: str
    server: d.NameServer
    octets: bytes
    heard: d.Heard
    closed: bool = False

    def answer(self, *, flags: int = 0, rcode: int = 0, mangle: Callable[[bytes], bytes] = bytes) -> None:
        """The server speaks, if anybody still listens."""
        if self.closed:
            return
        question = dns.message.from_wire(self.octets)
        response = dns.message.make_response(question)
        response.flags |= flags
        response.set_rcode(rcode)
        if not rcode:
            response.answer.append(dns.rrset.from_text(question.question[0].name, 60, "IN", "A", "192.0.2.1"))
        self.heard(mangle(response.to_wire()))


@dataclass
class World:
    """A network in which nothing happens by itself, and a clock that is turned by hand."""

    servers: tuple[str, ...] = ("127.0.0.1:53", "[2001:db8::1]:53")
    now: float = 0.0
    sent: list[Sent] = field(default_factory=list)
    heard: list[Answer] = field(default_factory=list)
    no_route: bool = False

    def __post_init__(self) -> None:
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        self.desk = d.Desk(d.servers_of(" ".join(self.servers)), self, self.call_later, lambda: self.now)

    def call_later(self, seconds: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._timers, (self.now + seconds, next(self._numbers), callback))

    def datagram(self, server: d.NameServer, octets: bytes, heard: d.Heard) -> d.Hush | None:
        return self._send("udp", server, octets, heard)

    def stream(self, server: d.NameServer, octets: bytes, heard: d.Heard) -> d.Hush | None:
        return self._send("tcp", server, octets, heard)

    def _send(self, way: str, server: d.NameServer, octets: bytes, heard: d.Heard) -> d.Hush | None:
        if self.no_route:
            return None
        sent = Sent(way, server, octets, heard)
        self.sent.append(sent)
        return lambda: setattr(sent, "closed", True)

    def ask(self, name: bytes = b"example.test") -> None:
        self.desk.look_up(name, b"A", self.heard.append)

    def let_pass(self, seconds: float) -> None:
        until = self.now + seconds
        while self._timers and self._timers[0][0] <= until:
            self.now, _, callback = heapq.heappop(self._timers)
            callback()
        self.now = until


def test_the_first_answer_is_told_and_kept() -> None:
    """The second question costs nothing; sockets are closed as soon as they are of no use."""
    world = World()
    world.ask()
    world.sent[0].answer()
    world.ask(b"EXAMPLE.test.")
    assert [answer.outcome for answer in world.heard] == [ANSWER, ANSWER]
    assert len(world.sent) == 1
    assert world.sent[0].closed


def test_one_question_for_many_askers() -> None:
    """Single flight: whoever asks meanwhile waits for the same answer."""
    world = World()
    for _ in range(50):
        world.ask()
    assert len(world.sent) == 1
    world.sent[0].answer()
    assert len(world.heard) == 50


def test_the_next_server_is_asked_too_and_a_late_answer_still_counts() -> None:
    """With another id; whichever comes first."""
    world = World()
    world.ask()
    world.let_pass(d.TRY_SECONDS)
    assert [sent.server.host for sent in world.sent] == ["127.0.0.1", "2001:db8::1"]
    assert world.sent[0].octets[:2] != world.sent[1].octets[:2]
    world.sent[0].answer()
    assert [answer.outcome for answer in world.heard] == [ANSWER]
    assert all(sent.closed for sent in world.sent)


def test_a_server_that_answers_is_asked_first_from_then_on() -> None:
    """One that is dead costs its patience once, not with each question."""
    world = World()
    world.ask(b"one.test")
    world.let_pass(d.TRY_SECONDS)
    world.sent[1].answer()
    world.ask(b"two.test")
    assert world.sent[-1].server.host == "2001:db8::1"


def test_after_two_seconds_nobody_waits() -> None:
    """`failed`, every socket closed, three datagrams in all; and the next question is not asked at once again."""
    world = World()
    world.ask()
    world.let_pass(d.QUESTION_SECONDS)
    assert [answer.outcome for answer in world.heard] == [FAILED]
    assert len(world.sent) == d.MAX_TRIES
    assert all(sent.closed for sent in world.sent)
    world.ask()
    assert (len(world.heard), len(world.sent)) == (2, d.MAX_TRIES)
    world.let_pass(10)
    world.ask()
    assert len(world.sent) == d.MAX_TRIES + 1


def test_a_truncated_answer_leads_to_tcp_at_the_same_server() -> None:
    """RFC 7766 5."""
    world = World()
    world.ask()
    world.sent[0].answer(flags=dns.flags.TC)
    assert [(sent.way, sent.server.host) for sent in world.sent] == [("udp", "127.0.0.1"), ("tcp", "127.0.0.1")]
    assert world.sent[0].closed
    world.sent[1].answer()
    assert [answer.outcome for answer in world.heard] == [ANSWER]


def test_who_guesses_is_left_standing() -> None:
    """A few datagrams that do not match are passed over; after MAX_STRANGE of them TCP tells."""
    world = World()
    world.ask()
    for _ in range(d.MAX_STRANGE - 1):
        world.sent[0].answer(mangle=lambda octets: bytes([octets[0] ^ 1]) + octets[1:])
    assert len(world.sent) == 1
    world.sent[0].answer(mangle=lambda octets: octets[:2] + b"\x84" + b"\xff" * 30)
    assert (world.sent[1].way, world.sent[0].closed, world.heard) == ("tcp", True, [])


def test_a_true_answer_after_a_forged_one_is_heard() -> None:
    """The forged one costs nothing."""
    world = World()
    world.ask()
    world.sent[0].answer(mangle=lambda octets: bytes([octets[0] ^ 1]) + octets[1:])
    world.sent[0].answer()
    assert [answer.outcome for answer in world.heard] == [ANSWER]


def test_when_all_servers_are_unable_nobody_waits() -> None:
    """SERVFAIL from one asks the next at once, from all is `failed` at once."""
    world = World()
    world.ask()
    world.sent[0].answer(rcode=2)
    assert (len(world.sent), world.heard) == (2, [])
    world.sent[1].answer(rcode=5)
    assert [answer.outcome for answer in world.heard] == [FAILED]


def test_a_broken_stream_is_a_server_that_is_unable() -> None:
    """Nothing hangs on it."""
    world = World(servers=("127.0.0.1:53",))
    world.ask()
    world.sent[0].answer(flags=dns.flags.TC)
    world.sent[1].heard(None)
    assert [answer.outcome for answer in world.heard] == [FAILED]


def test_without_a_route_the_answer_is_failed() -> None:
    """At once, and without a loop."""
    world = World(no_route=True)
    world.ask()
    assert [answer.outcome for answer in world.heard] == [FAILED]


def test_secure_is_said_only_of_a_server_on_loopback() -> None:
    """Anybody between us and a server elsewhere could set the flag."""
    world = World()
    world.ask(b"near.test")
    world.sent[0].answer(flags=dns.flags.AD)
    far = World(servers=("192.0.2.53:53",))
    far.ask(b"far.test")
    far.sent[0].answer(flags=dns.flags.AD)
    assert (world.heard[0].secure, far.heard[0].secure) == (True, False)


def test_there_is_a_bound_on_questions_and_on_askers() -> None:
    """Beyond, the answer is `failed` at once; when some are answered there is room again."""
    world = World()
    for number in range(d.MAX_QUESTIONS + 1):
        world.ask(b"n%d.test" % number)
    assert len(world.sent) == d.MAX_QUESTIONS
    assert [answer.outcome for answer in world.heard] == [FAILED]
    for _ in range(d.MAX_ASKERS):
        world.ask(b"n0.test")
    assert len(world.heard) == 1 + d.MAX_QUESTIONS
    for sent in list(world.sent):
        sent.answer()
    world.heard.clear()
    world.ask(b"fresh.test")
    assert (len(world.sent), world.heard) == (d.MAX_QUESTIONS + 1, [])


def test_not_a_name_is_never_asked_about() -> None:
    """And does not end the process."""
    world = World()
    world.ask(b"a..b")
    assert ([answer.outcome for answer in world.heard], world.sent) == ([FAILED], [])
