"""qmtpd as the supervisor starts it, between a listener, a directory and an enqueuer that we are."""

import socket

import pytest

from mta import roster
from mta.wire import messages as m
from tests.fixtures.lone_role import lone_role, receive, state  # noqa: F401 - fixtures
from tests.mta.roles.qmtpd.test_protocol import netstring, qmqp, qmtp

pytestmark = pytest.mark.journey
SETTINGS = {"smtpd.max_message_size": b"100000"}
CONTENT = b"Subject: hello\n\nbody\n"


class Rig:
    """The role, and one client of it."""

    def __init__(self, role, service: bytes) -> None:
        self.listener, self.directory, self.enqueuer = (
            role.as_client("listener"), role.as_server("directory"), role.as_server("enqueuer"),
        )  # fmt: skip
        role.as_server("journal")
        receive(role.control)  # Ready
        self.client, theirs = socket.socketpair()
        self.client.settimeout(10)
        accepted = m.Accepted(b"0123", b"192.0.2.1", 4711, service, b"token")
        self.listener.send(accepted, (theirs.fileno(),))
        theirs.close()

    def judge(self, word: bytes = b"accept") -> m.Question:
        """Be asked about a recipient, and say *word*."""
        question, _ = receive(self.directory)
        self.directory.send(m.Verdict(question.tag, word, b"", 99, b"ticket of " + question.forward_path))
        return question

    def take(self) -> tuple[m.Offer, list[m.OfferRecipient], bytes]:
        """Be offered a message, whole."""
        offer, _ = receive(self.enqueuer)
        others, content = [], b""
        while True:
            packet, _ = receive(self.enqueuer)
            if isinstance(packet, m.OfferRecipient):
                others.append(packet)
            else:
                content += packet.block
                if packet.last:
                    return offer, others, content

    def hear(self, octets: int) -> bytes:
        """So much of what the client is answered."""
        heard = b""
        while len(heard) < octets:
            heard += self.client.recv(octets - len(heard))
        return heard


@pytest.fixture
def rig(lone_role, state):  # noqa: F811
    made = []

    def make(service: bytes) -> Rig:
        made.append(Rig(lone_role(roster.QMTPD, state, settings=SETTINGS), service))
        return made[-1]

    yield make
    for each in made:
        each.client.close()


def test_each_recipient_of_qmtp_has_an_answer_of_his_own(rig) -> None:
    one = rig(b"qmtp")
    one.client.sendall(qmtp(CONTENT, b"ann@client.test", [b"joe@example.test", b"who@example.test", b"not an address"]))
    assert one.judge().reverse_path == b"ann@client.test"
    one.judge(b"unknown")
    offer, others, content = one.take()
    assert (offer.protocol, offer.forward_path, offer.ticket) == (
        b"QMTP",
        b"joe@example.test",
        b"ticket of joe@example.test",
    )
    assert (others, content) == ([], CONTENT.replace(b"\n", b"\r\n"))
    one.enqueuer.send(m.Taken(offer.tag, b"00000000000000000abc"))
    expected = (
        netstring(b"Kqueued as 00000000000000000abc")
        + netstring(b"DNo such mailbox here (#5.1.1)")
        + netstring(b"DThe recipient's address is malformed (#5.1.3)")
    )
    assert one.hear(len(expected)) == expected
    one.client.close()
    finished, _ = receive(one.listener)
    assert finished == m.Finished(b"0123")


def test_qmqp_has_one_answer_for_all(rig) -> None:
    one = rig(b"qmqp")
    one.client.sendall(qmqp(CONTENT, b"", [b"joe@example.test", b"ann@example.test"]))
    one.judge()
    one.judge()
    offer, others, _ = one.take()
    assert [each.forward_path for each in others] == [b"ann@example.test"]
    one.enqueuer.send(m.Declined(offer.tag, 452, b"4.3.1", b"Disk full"))
    expected = netstring(b"ZDisk full (#4.3.1)")
    assert one.hear(len(expected)) == expected


@pytest.mark.parametrize(
    ("words", "answer"), [((b"accept", b"unknown"), b"DNo such"), ((b"try-later", b"accept"), b"ZCannot")]
)
def test_one_recipient_of_qmqp_who_may_not_have_it_speaks_for_all(rig, words, answer) -> None:
    one = rig(b"qmqp")
    one.client.sendall(qmqp(CONTENT, b"", [b"joe@example.test", b"ann@example.test"]))
    for word in words:
        one.judge(word)
    assert one.hear(20)[3:].startswith(answer)


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"x" * 200_000, b"DThe message is larger"),
        (b"a\rb\n", b"DThe message has a bare CR"),
        (b"Received: x\n" * 101 + b"\n", b"DThe message goes round"),
    ],
)
def test_content_that_nobody_takes_is_refused_and_the_next_message_heard(rig, content: bytes, answer: bytes) -> None:
    one = rig(b"qmtp")
    one.client.sendall(qmtp(content, b"", [b"joe@example.test"]) + qmtp(CONTENT, b"", [b"joe@example.test"]))
    if b"larger" not in answer:
        one.judge()
    assert one.hear(40)[3:].startswith(answer)
    one.judge()
    assert one.take()[2] == CONTENT.replace(b"\n", b"\r\n")


def test_a_long_message_arrives_whole(rig) -> None:
    one = rig(b"qmtp")
    content = b"".join(b"%d\n" % number for number in range(15_000))
    one.client.sendall(qmtp(content, b"", [b"joe@example.test"]))
    one.judge()
    assert one.take()[2] == content.replace(b"\n", b"\r\n")


def test_nobody_to_judge_is_come_back_later(rig) -> None:
    one = rig(b"qmtp")
    one.directory.close()
    one.client.sendall(qmtp(CONTENT, b"", [b"joe@example.test"]))
    assert one.hear(30)[3:].startswith(b"ZCannot tell")


def test_who_speaks_something_else_is_hung_up_on(rig) -> None:
    one = rig(b"qmtp")
    one.client.sendall(b"EHLO client.test\r\n")
    assert one.client.recv(100) == b""
