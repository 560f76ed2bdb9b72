"""The resolver's process behind its walls, with a name server that answers in every way there is."""

import os
import time
from collections.abc import Iterator

import pytest

from mta import roster
from mta.wire import messages as m
from mta.wire.channel import Channel
from tests.fakes.name_server import LATE_SECONDS, NameServer
from tests.fixtures.lone_role import LoneRole, receive


@pytest.fixture
def server() -> Iterator[NameServer]:
    with NameServer() as made:
        yield made


@pytest.fixture
def asking(server: NameServer, lone_role, state) -> Channel:
    role: LoneRole = lone_role(
        roster.RESOLVER, state, root=os.geteuid() == 0, settings={"dns.servers": server.address.encode()}
    )
    return role.as_client("directory")


def found(channel: Channel, *questions: tuple[str, bytes]) -> dict[str, m.Found]:
    """What is said about each of the questions, all asked at once."""
    for tag, (name, kind) in enumerate(questions):
        channel.send(m.LookUp(tag, name.encode(), kind))
    answers: dict[str, m.Found] = {}
    while len(answers) < len(questions):
        message, _ = receive(channel)
        assert isinstance(message, m.Found)
        answers[questions[message.tag][0]] = message
    return answers


def test_true_answers_come_back_as_text(asking: Channel, server: NameServer) -> None:
    """Each kind; aliases followed; each from a port of its own, with capitals of its own."""
    said = found(
        asking, ("good.test", b"A"), ("six.test", b"AAAA"), ("1.2.0.192.in-addr.arpa", b"PTR"), ("mail.test", b"MX"),
        ("text.test", b"TXT"), ("alias.test", b"A"), ("nothing.test", b"A"), ("nobody.test", b"A"), ("secure.test", b"A"),
    )  # fmt: skip
    assert {name: (each.outcome, each.records) for name, each in said.items()} == {
        "good.test": (b"answer", (b"192.0.2.1", b"192.0.2.2")),
        "six.test": (b"answer", (b"2001:db8::1",)),
        "1.2.0.192.in-addr.arpa": (b"answer", (b"mail.example.test",)),
        "mail.test": (b"answer", (b"10 mail.example.test", b"20 other.test")),
        "text.test": (b"answer", (b"second", b"v=x y")),
        "alias.test": (b"answer", (b"192.0.2.7",)),
        "nothing.test": (b"none", ()),
        "nobody.test": (b"nxdomain", ()),
        "secure.test": (b"answer", (b"192.0.2.1", b"192.0.2.2")),
    }
    assert [name for name, each in said.items() if each.secure] == ["secure.test"]
    assert len(set(server.sources)) == len(server.sources) == 9
    assert [name for name in server.names if name != name.lower()] != []


def test_bad_answers_cost_nothing_but_time(asking: Channel, server: NameServer) -> None:
    """Truncated, miswritten and guessed at lead to TCP, forged is passed over, late is waited for; the rest fails in time."""
    found(asking, ("good.test", b"A"))
    start = time.monotonic()
    good = ("truncated.test", "lower-case.very-long-name.test", "guessed.test", "forged-then-true.test", "late.test")
    bad = ("silent.test", "garbage.test", "loop.test", "short.test", "wrong-id.test", "other-name.test", "unable.test")
    said = found(asking, *((name, b"A") for name in (*good, *bad)))
    assert {name for name, each in said.items() if each.outcome == b"answer"} == set(good)
    assert {said[name].outcome for name in bad} == {b"failed"}
    assert time.monotonic() - start < 4.0
    assert len(said["truncated.test"].records) == 100
    assert LATE_SECONDS > 0.6, "late means later than the patience with one try"
    over_tcp = {label for label, transport in server.asked if transport == "tcp"}
    assert over_tcp == {"truncated", "lower-case", "guessed"}
    assert found(asking, ("good.test", b"A"))["good.test"].outcome == b"answer"


def test_the_second_question_is_answered_from_memory(asking: Channel, server: NameServer) -> None:
    """Also what is not there."""
    for _ in range(3):
        found(asking, ("good.test", b"A"), ("nobody.test", b"A"))
    assert server.asked == {("good", "udp"): 1, ("nobody", "udp"): 1}


def test_who_asks_for_a_kind_that_we_do_not_read_is_hung_up_on(asking: Channel) -> None:
    """A breach of protocol; the directory has no business with it."""
    asking.send(m.LookUp(1, b"good.test", b"AXFR"))
    with pytest.raises(Exception, match="directory"):
        receive(asking)


def test_nobody_listens_there(lone_role, state) -> None:
    """`failed` at once, not after two seconds: the kernel tells us."""
    role = lone_role(roster.RESOLVER, state, root=os.geteuid() == 0, settings={"dns.servers": b"127.0.0.1:9 [::1]:9"})
    channel = role.as_client("directory")
    assert found(channel, ("no..name", b"A"))["no..name"].outcome == b"failed", "it serves; its start is not measured"
    took = []
    for number in range(5):
        start = time.monotonic()
        assert found(channel, (name := f"good{number}.test", b"A"))[name].outcome == b"failed"
        took.append(time.monotonic() - start)
    assert min(took) < 1.5


def test_other_servers_mean_a_fresh_process(lone_role, state, server: NameServer) -> None:
    """The ports that TCP leads to are a wall; so it ends, and the supervisor starts one with the new servers."""
    settings = {"dns.servers": server.address.encode()}
    role = lone_role(roster.RESOLVER, state, root=os.geteuid() == 0, settings=settings)
    channel = role.as_client("directory")
    role.control.send(m.Reload((b"dns.servers", server.address.encode())))
    assert found(channel, ("good.test", b"A"))["good.test"].outcome == b"answer"
    role.control.send(m.Reload((b"dns.servers", b"127.0.0.1:53")))
    assert role.process.wait(20) == 0
