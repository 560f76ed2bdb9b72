"""Connections on loopback to hosts that behave, or do not: what becomes of messages, and where they went."""

import itertools
import random
import ssl
import threading
import time

import pytest

from mta.roles.remote.connection import Connection, Manner
from mta.roles.remote.hosts import Host
from mta.roles.remote.outcome import delayed, failed
from mta.roles.remote.security import Contexts, Level, RouteGuard
from tests.fakes.mx import HELLO, Manners, StubMx
from tests.fixtures import certificates
from tests.mta.roles.remote._rig import CONTENT, SECONDS, Rig, at, tidy

NAME = b"mx.stub.test"


@pytest.fixture(autouse=True)
def _tidy():
    yield
    tidy()


RELAYED = (b"relayed", b"2.0.0")


@pytest.fixture
def mx():
    made = []

    def make(manners=None, **where):
        made.append(StubMx(manners, **where))
        return made[-1]

    yield make
    for host in made:
        host.close()


def test_one_connection_serves_one_message_after_the_other(mx):
    """And is left with QUIT when nothing comes any more."""
    host = mx()
    rig = Rig(at(host))
    for _ in range(3):
        assert rig.outcomes(rig.send()) == [RELAYED]
    (heard,) = host.heard
    assert len(heard.contents) == 3
    rig.late += 10
    rig.destination._sweep()
    rig.run(lambda: heard.is_over)
    assert heard.commands[-1] == b"QUIT"


def test_several_connections_at_once_and_never_more_than_may_be(mx):
    """A crowd of messages."""
    host = mx(Manners(answers={b".": lambda _line: time.sleep(0.05) or b"250 2.0.0 ok"}))
    rig = Rig(at(host), most=3)
    jobs = [rig.send() for _ in range(20)]
    assert rig.outcomes(*jobs) == [[RELAYED]] * 20
    assert 2 <= len(host.heard) <= 3


def test_a_host_that_closes_what_was_kept_open_is_asked_again(mx):
    """Whatever it says to an old connection, a fresh one gets the message; once."""
    answers = itertools.cycle([b"250 ok", b"421 4.4.2 bye"])
    host = mx(Manners(answers={b"MAIL": lambda _line: next(answers)}))
    rig = Rig(at(host))
    assert rig.outcomes(rig.send()) == [RELAYED]
    assert rig.outcomes(rig.send()) == [RELAYED]
    assert len(host.heard) == 2


@pytest.mark.parametrize("verb", [b"", b"EHLO", b"MAIL", b"RCPT", b"DATA", b"."])
def test_a_host_that_hangs_is_left_and_the_next_one_gets_the_message(mx, verb):
    """In any phase: five minutes for each answer (RFC 5321 4.5.3.2); but not where it may have taken it."""

    def hang(_line):
        time.sleep(20)

    first = mx(Manners(answers={verb: hang}) if verb else Manners(behave=lambda sock, _heard: time.sleep(20)))
    second = mx(address="127.0.0.2")
    rig = Rig(at(first, second))
    job = rig.send()
    rig.run(lambda: bool(first.heard) and (not verb or any(line.startswith(verb) for line in first.heard[0].commands)
        or (verb == b"." and first.contents)))  # fmt: skip
    for _ in range(5):
        rig.loop.run_once(0.02)
    rig.skip(0)
    rig.skip(119)
    assert not rig.done
    rig.skip(700)
    if verb == b".":
        assert rig.outcomes(job) == [(b"delayed", b"4.4.2")]
        assert job.outcomes[0].in_doubt
        assert second.contents == []
    else:
        assert rig.outcomes(job) == [RELAYED]
        assert second.contents == [CONTENT]


def test_a_host_that_cannot_be_connected_to_is_passed_over_for_all(mx):
    """And when nobody can be, all are delayed, by trouble of the destination."""
    second = mx()
    dead = mx(address="127.0.0.7")
    dead.close()
    rig = Rig([*at(dead), *at(second)])
    jobs = [rig.send() for _ in range(3)]
    assert rig.outcomes(*jobs) == [[RELAYED]] * 3
    second.close()
    alone = Rig(at(dead))
    job = alone.send()
    assert alone.outcomes(job) == [(b"delayed", b"4.4.1")]
    assert job.outcomes[0].trouble


def flood(sock, _heard):
    while True:
        sock.sendall(b"220-endless\r\n" * 1000)


def dribble(sock, heard):
    sock.sendall(b"220 hi\r\n")
    heard.commands.append(sock.recv(1000))
    for octet in itertools.cycle(b"2"):
        sock.sendall(bytes([octet]))
        time.sleep(0.001)


def say(*lines):
    def behave(sock, heard):
        for line in lines:
            sock.sendall(line)
            heard.commands.append(sock.recv(4096))
        time.sleep(20)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        flood, dribble, say(b"220 " + b"x" * 100_000), say(b"HTTP/1.1 400 no\r\n"), say(b"\0\xff\r\n"),
        say(b"220 hi\r\n", b"250-a\r\n251 b\r\n"), say(b"220 hi\r\n", b"999 what\r\n"), say(b"220 hi\r\n", b"\r\n"),
        say(b"220 hi\r\n250 early\r\n250 earlier\r\n", b""),
        say(b"220 hi\r\n", b"250 ok\r\n", b"354 go\r\n"), say(b"220 hi\r\n", b"250 ok\r\n250 surprise\r\n"),
    ],
)  # fmt: skip
def test_whatever_a_host_says_the_message_is_delayed_and_others_go_on(mx, behave):
    """Bounded in octets, in lines, in sense."""
    rig = Rig(at(mx(Manners(behave=behave))))
    job = rig.send()
    assert rig.outcomes(job)[0][0] == b"delayed"
    assert not job.outcomes[0].in_doubt


def test_a_host_that_dribbles_octets_gains_no_time(mx):
    """An answer has its minutes, and no octet makes them more."""

    def behave(sock, heard):
        sock.sendall(b"220-")
        while True:
            sock.sendall(b"x")
            heard.commands.append(b"x")
            time.sleep(0.02)

    host = mx(Manners(behave=behave))
    rig = Rig(at(host))
    job = rig.send()
    rig.run(lambda: host.heard and len(host.heard[0].commands) > 5)
    rig.skip(301)
    assert rig.outcomes(job) == [(b"delayed", b"4.4.1")]


@pytest.mark.parametrize(
    ("greeting", "outcome"),
    [
        (b"554 5.7.1 no service for you", (b"failed", b"5.7.1")), (b"521 no mail here", (b"failed", b"5.3.2")),
        (b"421 4.3.2 busy", (b"delayed", b"4.3.2")), (b"450 later", (b"delayed", b"4.0.0")),
    ],
)  # fmt: skip
def test_a_host_that_takes_no_mail(mx, greeting, outcome):
    """For good when all say so, for now when one says that."""
    rig = Rig(at(mx(Manners(greeting=greeting)), mx(Manners(greeting=greeting), address="127.0.0.2")))
    assert rig.outcomes(rig.send()) == [outcome]
    both = Rig(at(mx(Manners(greeting=greeting)), mx(Manners(greeting=b"421 busy"), address="127.0.0.2")))
    assert both.outcomes(both.send())[0][0] == b"delayed"


def test_who_was_told_later_goes_to_the_next_host_and_who_was_refused_does_not(mx):
    """RFC 5321 5.1: each of the domain's hosts may know more than the one before."""

    def judge(line):
        return {b"joe": b"250 ok", b"ann": b"450 4.2.1 later", b"sue": b"550 5.1.1 no"}[line[9:12]]

    first, second = mx(Manners(answers={b"RCPT": judge})), mx(address="127.0.0.2")
    rig = Rig(at(first, second))
    job = rig.send(b"joe@example.test", b"ann@example.test", b"sue@example.test")
    assert rig.outcomes(job) == [RELAYED, RELAYED, (b"failed", b"5.1.1")]
    assert [line for line in second.heard[0].commands if line.startswith(b"RCPT")] == [b"RCPT TO:<ann@example.test>"]
    assert job.said_by[1][0].startswith(b"mx1.stub.test")


def test_more_recipients_than_a_host_takes_at_once_go_in_turns(mx):
    """Over the same connection, at once."""
    room = []

    def begin(_line):
        room[:] = [b"250 ok"] * 3
        return b"250 ok"

    host = mx(Manners(answers={b"MAIL": begin, b"RCPT": lambda _line: room.pop() if room else b"452 4.5.3 too many"}))
    rig = Rig(at(host))
    job = rig.send(*(b"user%d@example.test" % number for number in range(5)))
    assert rig.outcomes(job) == [RELAYED] * 5
    assert (len(host.heard), len(host.contents)) == (1, 2)


def test_a_host_that_takes_only_some_connections_gets_only_so_many(mx):
    """421 to one more while others stand is no trouble of the destination."""
    alive = []

    def greet(sock, heard):
        alive.append(sock)
        if len(alive) > 2:
            sock.sendall(b"421 4.7.0 too many connections\r\n")
        else:
            host._obey(sock, heard)

    host = mx(Manners(answers={b".": lambda _line: time.sleep(0.02) or b"250 2.0.0 ok"}))
    host.manners.behave = greet
    rig = Rig(at(host))
    jobs = [rig.send() for _ in range(12)]
    assert rig.outcomes(*jobs) == [[RELAYED]] * 12


def test_long_content_in_both_directions_at_its_own_pace(mx):
    """Megabytes, dots and all; as they were."""
    octets = b"".join(random.Random(7).choice([b".\r\n", b"..a\r\n", b"x" * 70 + b"\r\n"]) for _ in range(60_000))
    for extensions in (HELLO, (*HELLO, b"CHUNKING")):
        host = mx(Manners(extensions=extensions))
        rig = Rig(at(host))
        assert rig.outcomes(rig.send(octets=octets)) == [RELAYED]
        assert host.contents == [octets]


# --- TLS, log-in, LMTP


def context_of(pair, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    (tmp_path / "pair.pem").write_bytes(pair.chain + pair.key)
    context.load_cert_chain(tmp_path / "pair.pem")
    return context


@pytest.fixture(scope="module")
def pair():
    return certificates.make("mx0.stub.test")


@pytest.mark.parametrize("extensions", [HELLO, (*HELLO, b"CHUNKING")])
def test_tls_is_taken_where_it_is_offered(mx, pair, tmp_path, extensions):
    """Whatever the certificate (RFC 7435); and hello is said again."""
    host = mx(Manners(context=context_of(pair, tmp_path), extensions=extensions))
    rig = Rig(at(host))
    jobs = [rig.send(octets=CONTENT * 20_000), rig.send()]
    assert rig.outcomes(*jobs) == [[RELAYED]] * 2
    (heard, *_) = host.heard
    assert heard.is_secured
    assert heard.commands[:3] == [b"EHLO client.test", b"STARTTLS", b"EHLO client.test"]
    assert jobs[0].said_by[0][1].startswith(b"TLSv1.3 ")


@pytest.mark.parametrize("trouble", ["refused", "junk", "injected", "hung up"])
def test_tls_that_does_not_come_about(mx, trouble):
    """Where nothing is demanded, the mail goes in the clear - over a connection on which nobody put anything."""
    tries = []

    def behave(sock, heard):
        tries.append(heard)
        if trouble == "refused" or len(tries) > 1:
            host._obey(sock, heard)
            return
        sock.sendall(b"220 hi\r\n")
        heard.commands.append(sock.recv(1000))
        sock.sendall(b"250-mx\r\n250 STARTTLS\r\n")
        heard.commands.append(sock.recv(1000))
        extra = {"junk": b"\x16\x03\x01\x00\x02no", "injected": b"250 AUTH PLAIN\r\n", "hung up": b""}[trouble]
        if trouble == "injected":
            sock.sendall(b"220 go\r\n" + extra)
        else:
            sock.sendall(b"220 go\r\n")
            heard.commands.append(sock.recv(4096))
            sock.sendall(extra)

    host = mx(Manners(extensions=(*HELLO, b"STARTTLS"), answers={b"STARTTLS": b"454 4.7.0 not now"}))
    host.manners.behave = behave
    rig = Rig(at(host))
    job = rig.send()
    outcome = rig.outcomes(job)
    if trouble == "injected":
        assert outcome[0][0] == b"delayed"
    else:
        assert outcome == [RELAYED]
        assert job.said_by[0][1] == b""
    assert not any(b"MAIL" in line for heard in tries[:1] for line in heard.commands if trouble != "refused")


def verifying(pair, tmp_path):
    contexts = Contexts()
    (tmp_path / "ca.pem").write_bytes(pair.chain)
    contexts.verifying.load_verify_locations(tmp_path / "ca.pem")
    return RouteGuard(Level.VERIFY, contexts)


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [
        ("right", RELAYED), ("of another", (b"delayed", b"4.7.5")), ("strange", (b"delayed", b"4.7.5")),
        ("none", (b"delayed", b"4.7.4")),
    ],
)  # fmt: skip
def test_where_a_certificate_is_demanded_nobody_else_gets_a_word(mx, pair, tmp_path, shown, outcome):
    """Neither in the clear nor to a stranger."""
    pairs = {"right": pair, "of another": pair, "strange": certificates.make("mx0.stub.test"), "none": None}
    context = context_of(pairs[shown], tmp_path) if pairs[shown] else None
    host = mx(Manners(context=context))
    hosts = [Host(b"other.test" if shown == "of another" else b"mx0.stub.test", host.address, host.port)]
    rig = Rig(hosts, guard=verifying(pair, tmp_path))
    assert rig.outcomes(rig.send()) == [outcome]
    assert bool(host.contents) == (outcome == RELAYED)
    assert outcome == RELAYED or not any(line.startswith(b"MAIL") for heard in host.heard for line in heard.commands)


def test_requiretls_goes_only_where_the_certificate_was_looked_at(mx, pair, tmp_path):
    """RFC 8689."""
    host = mx(Manners(context=context_of(pair, tmp_path), extensions=(*HELLO, b"REQUIRETLS")))
    known, unknown = Rig(at(host), guard=verifying(pair, tmp_path)), Rig(at(host))
    assert known.outcomes(known.send(options=b"REQUIRETLS")) == [RELAYED]
    assert unknown.outcomes(unknown.send(options=b"REQUIRETLS")) == [(b"failed", b"5.7.30")]


@pytest.mark.parametrize("mechanism", [b"AUTH PLAIN LOGIN", b"AUTH LOGIN"])
def test_a_smarthost_is_told_who_we_are(mx, mechanism):
    """RFC 4954, RFC 4616."""
    replies = {
        b"AUTH": b"235 2.7.0 ok" if b"PLAIN" in mechanism else b"334 VXNlcg==",
        b"VQ==": b"334 UGFzcw==",
        b"UA==": b"235 ok",
    }
    host = mx(Manners(extensions=(*HELLO, mechanism), answers=replies))
    manner = Manner(b"client.test", login=b"U", password=b"P", may_be_us=True)
    rig = Rig(at(host), manner=manner)
    assert rig.outcomes(rig.send()) == [RELAYED]
    told = host.heard[0].commands[1:4]
    assert told[0] == b"AUTH PLAIN AFUAUA==" if b"PLAIN" in mechanism else told == [b"AUTH LOGIN", b"VQ==", b"UA=="]


@pytest.mark.parametrize(
    ("extensions", "answer", "status"),
    [((b"AUTH PLAIN",), b"535 5.7.8 wrong", b"4.7.8"), ((b"AUTH SCRAM-SHA-1",), b"", b"4.7.4"), ((), b"", b"4.7.4")],
)
def test_a_log_in_that_fails_delays_the_mail(mx, extensions, answer, status):
    """It is the operator's to mend, and no message's fault."""
    host = mx(Manners(extensions=(*HELLO, *extensions), answers={b"AUTH": answer}))
    rig = Rig(at(host), manner=Manner(b"client.test", login=b"U", password=b"P", may_be_us=True))
    job = rig.send()
    assert rig.outcomes(job) == [(b"delayed", status)]
    assert job.outcomes[0].trouble
    assert not any(line.startswith(b"MAIL") for line in host.heard[0].commands)


def test_no_password_goes_in_the_clear_beyond_this_machine(mx):
    """The host offers AUTH and no TLS."""
    host = mx(Manners(extensions=(*HELLO, b"AUTH PLAIN")))
    rig = Rig(
        [Host(b"x.test", host.address, host.port)], manner=Manner(b"c.test", login=b"U", password=b"P", may_be_us=True)
    )
    job = rig.send()
    rig.run(lambda: bool(rig.destination._connections))
    for connection in rig.destination._connections:
        connection.host = Host(b"x.test", "192.0.2.1", 25)
    assert rig.outcomes(job) == [(b"delayed", b"4.7.11")]
    assert host.heard[0].commands == [b"EHLO client.test".replace(b"client", b"c")]


def test_lmtp(mx):
    """LHLO, and an answer for each recipient."""
    host = mx(Manners())

    def behave(sock, heard):
        stream = sock.makefile("rb")
        sock.sendall(b"220 hi\r\n")
        for answer in (b"250-mx\r\n250 PIPELINING", b"250 a", b"250 b", b"250 c", b"354 go"):
            heard.commands.append(stream.readline())
            sock.sendall(answer + b"\r\n")
        while stream.readline() != b".\r\n":
            pass
        sock.sendall(b"250 2.1.5 stored\r\n452 4.2.2 full\r\n")
        stream.readline()

    host.manners.behave = behave
    rig = Rig(at(host), manner=Manner(b"client.test", lmtp=True, may_be_us=True))
    assert rig.outcomes(rig.send(b"a@x.test", b"b@x.test")) == [(b"delivered", b"2.1.5"), (b"delayed", b"4.2.2")]
    assert host.heard[0].commands[0] == b"LHLO client.test\r\n"


# --- ourselves


def test_a_host_that_is_ourselves_gets_nothing(mx):
    """By its address, and by the name that it gives."""
    host = mx()
    rig = Rig(at(host), manner=Manner(b"client.test"))
    assert rig.outcomes(rig.send()) == [(b"failed", b"5.4.6")]
    by_name = Rig([Host(b"x.test", host.address, host.port, is_fixed=True)], manner=Manner(b"mx.stub.test"))
    assert by_name.outcomes(by_name.send()) == [RELAYED], "a route may lead here: its author knows"


def test_the_name_in_the_greeting_is_ours(mx):
    """Behind a translated address it is all that shows."""
    host = mx()
    rig = Rig(at(host), manner=Manner(b"mx.stub.test"))
    original = Connection._stood

    def opened(self):
        self._manner = Manner(b"mx.stub.test", may_be_us=True)
        original(self)
        self._manner = Manner(b"mx.stub.test")

    Connection._stood = opened
    try:
        assert rig.outcomes(rig.send()) == [(b"failed", b"5.4.6")]
    finally:
        Connection._stood = original


@pytest.mark.parametrize("outcome", [delayed(b"4.4.3", b"dns"), failed(b"5.1.10", b"null mx")])
def test_without_hosts_everybody_hears_why(outcome):
    """At once."""
    rig = Rig(outcome)
    jobs = [rig.send(), rig.send()]
    assert rig.outcomes(*jobs) == [[(outcome.action.value, outcome.status)]] * 2
    assert rig.destination.is_idle


def test_who_must_hurry_gives_up_what_no_host_can_have(mx):
    """And waits for the answer of one that may have it."""
    release = threading.Event()

    def answer(_line):
        release.wait(SECONDS)
        return b"250 2.0.0 ok"

    host = mx(Manners(answers={b".": answer}))
    rig = Rig(at(host), most=1)
    first = rig.send()
    rig.run(lambda: bool(host.contents))
    second = rig.send()
    rig.destination.hurry()
    assert rig.outcomes(second) == [(b"delayed", b"4.4.1")]
    assert first.tag not in rig.done
    release.set()
    assert rig.outcomes(first) == [RELAYED]


def test_who_must_give_up_everything_says_what_nobody_will_ever_know(mx):
    """Hurried at once: the host has the content, and did not say that it took it."""
    host = mx(Manners(answers={b".": lambda _line: time.sleep(SECONDS)}))
    rig = Rig(at(host), most=1)
    first = rig.send()
    rig.run(lambda: bool(host.contents))
    rig.destination.hurry(at_once=True)
    assert rig.outcomes(first) == [(b"delayed", b"4.4.2")]
    [outcome] = rig.done[first.tag].outcomes.values()
    assert outcome.in_doubt
    assert outcome.trouble


def test_a_host_that_refuses_a_guard_is_passed_over(mx):
    """Whatever decides about security may also say that there must be no connection at all."""
    first, second = mx(), mx(address="127.0.0.3")
    guard = RouteGuard(Level.MAY, Contexts())

    class Picky:
        def decide(self, host, hear):
            if host.address == "127.0.0.1":
                hear(delayed(b"4.7.5", b"no"))
            else:
                guard.decide(host, hear)

    rig = Rig(at(first, second), guard=Picky())
    assert rig.outcomes(rig.send()) == [RELAYED]
    assert (len(first.heard), len(second.contents)) == (0, 1)
