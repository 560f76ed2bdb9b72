"""The client's side of a conversation: what it says when, and what it makes of what it hears."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.smtp.client import (
    GREETING_SECONDS,
    HELLO_SECONDS,
    MAX_LINE,
    MAX_LINES,
    Answered,
    Broken,
    Client,
    Command,
    Kind,
    Phase,
    Ready,
    Reply,
    ReplyError,
    ReplyReader,
)

MAIL = Command(Kind.MAIL, b"MAIL FROM:<>")
RCPT = Command(Kind.RCPT, b"RCPT TO:<joe@example.test>")
RSET = Command(Kind.RSET, b"RSET")
DATA = Command(Kind.DATA, b"DATA")
QUIT = Command(Kind.QUIT, b"QUIT")
HELLO = b"250-mx.example.test\r\n250-SIZE 1000\r\n250 8bitmime\r\n"
PIPELINING = b"250-mx.example.test\r\n250 PIPELINING\r\n"


def ready(hello=HELLO):
    client = Client(b"client.test")
    client.receive(b"220 hello\r\n")
    client.take()
    client.receive(hello)
    return client


def test_nothing_is_said_before_the_greeting():
    """What stands there may be no mail server: it hears nothing of us, whatever was asked."""
    client = Client(b"client.test")
    client.ask(MAIL, RCPT)
    assert (client.take(), client.patience) == (b"", GREETING_SECONDS)
    assert client.receive(b"220-one moment\r\n") == []
    assert client.take() == b""
    assert client.receive(b"220 hello\r\n") == []
    assert (client.take(), client.patience) == (b"EHLO client.test\r\n", HELLO_SECONDS)
    assert client.receive(HELLO) == [Ready({b"SIZE": b"1000", b"8BITMIME": b""})]
    assert client.take() == b"MAIL FROM:<>\r\n"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"554 no\r\n", "does not take mail"), (b"421 busy\r\n", "closing"), (b"250 yes\r\n", "does not take mail"),
        (b"SSH-2.0-x\r\n", "reply code"), (b"HTTP/1.1 400 Bad Request\r\n", "reply code"), (b"+OK pop\r\n", "reply code"),
        (b"220-a\r\n221 b\r\n", "belong together"), (b"220_a\r\n", "belong together"), (b"620 x\r\n", "reply code"),
        (b"2\xb20 x\r\n", "reply code"), (b"220 " + b"x" * MAX_LINE, "too long"), (b"220-x\r\n" * MAX_LINES, "too many"),
    ],
)  # fmt: skip
def test_whoever_does_not_greet_as_a_mail_server_is_left(said, why):
    """And is told nothing more."""
    client = Client(b"client.test")
    client.ask(MAIL)
    (broken,) = client.receive(said)
    assert isinstance(broken, Broken)
    assert why in broken.why
    assert (client.take(), client.phase, client.receive(b"220 x\r\n"), client.lost()) == (b"", Phase.OVER, [], [])


def test_a_server_that_does_not_know_ehlo_is_told_helo():
    """RFC 5321 3.2. It has no extensions then."""
    client = Client(b"client.test")
    client.receive(b"220 hello\r\n")
    client.take()
    assert client.receive(b"502 what?\r\n") == []
    assert client.take() == b"HELO client.test\r\n"
    assert client.receive(HELLO) == [Ready({})]


@pytest.mark.parametrize(("first", "second"), [(b"421 x\r\n", b""), (b"451 x\r\n", b""), (b"500 x\r\n", b"550 go\r\n")])
def test_a_server_that_does_not_want_to_know_us_is_left(first, second):
    """For now, or for good: its reply says which."""
    client = Client(b"client.test")
    events = client.receive(b"220 hello\r\n") + client.receive(first) + client.receive(second)
    (broken,) = events
    assert broken.reply == Reply(int((second or first)[:3]), b"", (second or first)[4:-2])


def test_without_pipelining_each_command_waits_for_the_answer_to_the_one_before():
    """One by one, answered in order."""
    client = ready()
    client.ask(MAIL, RCPT, RSET)
    said = []
    for reply in (b"250 2.1.0 ok\r\n", b"550 5.1.1 who?\r\n", b"250 ok\r\n"):
        said.append(client.take())
        assert not client.is_idle
        ((command, answer),) = client.receive(reply)
        said[-1] = (said[-1], command, answer.code, answer.status)
    assert said == [
        (b"MAIL FROM:<>\r\n", MAIL, 250, b"2.1.0"),
        (b"RCPT TO:<joe@example.test>\r\n", RCPT, 550, b"5.1.1"),
        (b"RSET\r\n", RSET, 250, b""),
    ]
    assert (client.is_idle, client.patience) == (True, 0.0)


def test_with_pipelining_a_group_goes_at_once_up_to_a_command_that_must_be_its_last():
    """RFC 2920 3.1: DATA and QUIT end a group; what follows waits for their answers."""
    client = ready(PIPELINING)
    client.ask(MAIL, RCPT, DATA, QUIT)
    assert client.take() == b"MAIL FROM:<>\r\nRCPT TO:<joe@example.test>\r\nDATA\r\n"
    assert [event.reply.code for event in client.receive(b"250 a\r\n550 b\r\n")] == [250, 550]
    assert client.take() == b""
    assert client.patience == 120.0
    client.receive(b"554 no valid recipients\r\n")
    assert client.take() == b"QUIT\r\n"
    assert client.receive(b"221 bye\r\n") == [Answered(QUIT, Reply(221, b"", b"bye"))]
    assert client.phase is Phase.OVER


def test_421_in_the_middle_ends_it_and_leaves_the_rest_unanswered():
    """RFC 5321 3.8: whatever was asked."""
    client = ready(PIPELINING)
    client.ask(MAIL, RCPT)
    client.take()
    (answered, broken) = client.receive(b"250 ok\r\n421 4.3.2 going down\r\n250 ok\r\n")
    assert isinstance(answered, Answered)
    assert broken.reply == Reply(421, b"4.3.2", b"4.3.2 going down")


def test_a_reply_to_nothing_ends_it():
    """One reply too many, and every later one would answer the wrong command."""
    client = ready()
    (broken,) = client.receive(b"250 surprise\r\n")
    assert isinstance(broken, Broken)


def test_a_lost_connection_is_told_once():
    """Whether the server hung up or its time was up."""
    client = ready()
    client.ask(MAIL)
    assert client.lost("no answer in time") == [Broken("no answer in time")]
    assert client.lost() == []


@pytest.mark.parametrize("line", [b"RCPT TO:<a\r\nDATA>", b"RCPT TO:<a\nb>", b"RCPT TO:<a\rb>", b"x" * 2000])
def test_an_address_cannot_become_a_second_command(line):
    """Whoever made the line, it is one."""
    with pytest.raises(ValueError, match="not a command line"):
        ready().ask(Command(Kind.RCPT, line))


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"550 5.1.1 x", b"5.1.1"), (b"550 5.7.26 x", b"5.7.26"), (b"550 4.1.1 x", b""), (b"550 5.1 x", b""),
        (b"550 5.1.x y", b""), (b"550", b""), (b"550 5.1.1111 x", b""), (b"250 2.0.0", b"2.0.0"),
    ],
)  # fmt: skip
def test_an_enhanced_status_counts_when_it_is_one_of_the_codes_class(line, status):
    """RFC 2034 4."""
    (reply,) = ReplyReader().read(line + b"\r\n")
    assert reply.status == status


@given(
    st.lists(
        st.sampled_from([b"2", b"5", b"0", b"-", b" ", b"\r\n", b"\n", b"250 ok\r\n", b"250-", b"\0"]), max_size=40
    )
)
def test_replies_are_the_same_however_they_are_cut(pieces):
    """And whatever comes, it is replies or a ReplyError."""
    octets = b"".join(pieces)

    def read(parts):
        reader, found = ReplyReader(), []
        try:
            for part in parts:
                found += reader.read(part)
        except ReplyError:
            found.append(None)
        return found

    one_by_one, whole = read([octets[at : at + 1] for at in range(len(octets))]), read([octets])
    if None in whole:
        assert one_by_one[-1] is None
    else:
        assert one_by_one == whole


STARTTLS = Command(Kind.STARTTLS, b"STARTTLS")
AUTH = Command(Kind.AUTH, b"AUTH PLAIN AGEAYg==")


def test_behind_starttls_nothing_is_said_until_the_handshake_and_everything_before_is_forgotten():
    """RFC 3207 4.2."""
    client = ready(b"250-mx.example.test\r\n250-PIPELINING\r\n250 STARTTLS\r\n")
    client.ask(STARTTLS, MAIL)
    assert client.take() == b"STARTTLS\r\n"
    assert client.receive(b"220 go\r\n") == [Answered(STARTTLS, Reply(220, b"", b"go"))]
    assert (client.phase, client.take(), client.patience) == (Phase.HANDSHAKE, b"", HELLO_SECONDS)
    client.secured()
    assert (client.extensions, client.take()) == ({}, b"EHLO client.test\r\n")
    assert client.receive(HELLO) == [Ready({b"SIZE": b"1000", b"8BITMIME": b""})]
    assert client.take() == b"MAIL FROM:<>\r\n"


@pytest.mark.parametrize("behind", [b"250 x\r\n", b"2", b"250-mx\r\n250 AUTH PLAIN\r\n", b"\n"])
@pytest.mark.parametrize("is_cut", [True, False])
def test_whatever_stands_in_the_clear_behind_the_answer_to_starttls_ends_it(behind, is_cut):
    """RFC 3207 6: somebody between us and the server put it there, to be read as if it had come under TLS."""
    client = ready()
    client.ask(STARTTLS)
    pieces = [b"220 go\r\n", behind] if is_cut else [b"220 go\r\n" + behind]
    if is_cut and b"\n" not in behind:
        pieces[1] += b"20 x\r\n"  # a piece of a line alone says nothing yet
    events = [event for piece in pieces for event in client.receive(piece)]
    assert isinstance(events[-1], Broken)
    assert (client.phase, client.take()) == (Phase.OVER, b"")


def test_a_refused_starttls_changes_nothing():
    """Whether we go on is not decided here."""
    client = ready()
    client.ask(STARTTLS)
    client.receive(b"454 4.7.0 not now\r\n")
    assert (client.phase, client.is_idle) == (Phase.READY, True)


def test_lmtp_says_lhlo_and_never_helo():
    """RFC 2033 4.1; and the end of the content is answered once for each recipient (4.2)."""
    client = Client(b"client.test", lmtp=True)
    client.receive(b"220 hi\r\n")
    assert client.take() == b"LHLO client.test\r\n"
    end = Command(Kind.CONTENT_END, b".")
    client.receive(PIPELINING)
    client.ask(end)
    client.expect(end, 2)
    assert client.take() == b".\r\n"
    assert [event.reply.code for event in client.receive(b"250 a\r\n450 b\r\n550 c\r\n")] == [250, 450, 550]
    assert client.is_idle
    other = Client(b"client.test", lmtp=True)
    other.receive(b"220 hi\r\n")
    assert isinstance(other.receive(b"500 what?\r\n")[0], Broken)


def test_each_line_of_a_log_in_waits_for_the_answer_to_the_one_before():
    """RFC 4954 4: nothing travels with it."""
    client = ready(PIPELINING)
    client.ask(AUTH, MAIL)
    assert client.take() == b"AUTH PLAIN AGEAYg==\r\n"
    client.receive(b"235 2.7.0 ok\r\n")
    assert client.take() == b"MAIL FROM:<>\r\n"


def test_content_travels_behind_the_commands_that_were_said():
    """With BDAT in one group with them (RFC 3030 4.2)."""
    client = ready(b"250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n")
    client.ask(MAIL, RCPT, Command(Kind.BDAT, b"BDAT 4 LAST"))
    client.push(b"ab\r\n")
    assert client.take() == b"MAIL FROM:<>\r\nRCPT TO:<joe@example.test>\r\nBDAT 4 LAST\r\nab\r\n"


def test_every_whole_reply_is_a_step_and_an_octet_is_none():
    """Time runs for replies: a server that dribbles gains nothing."""
    client = ready()
    client.ask(MAIL)
    before = client.steps
    for octet in b"250-one moment\r\n250":
        client.receive(bytes([octet]))
    assert client.steps == before
    client.receive(b" ok\r\n")
    assert client.steps == before + 1
