"""One message in one conversation: what is said, and what becomes of each recipient whatever the host answers."""

import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.remote.content import BLOCK, Content
from mta.roles.remote.transaction import Mail, Recipient, Transaction
from mta.smtp.client import Answered, Broken, Client
from mta.vocabulary import Action

JOE, ANN, SUE = (Recipient(number, b"%b@example.test" % name) for number, name in enumerate((b"joe", b"ann", b"sue")))
HELLO = b"Subject: hello\r\n\r\nhi\r\n"
EIGHT_BIT = b"Subject: hello\r\n\r\n\xff\r\n"
INTERNATIONAL = "Subject: grüße\r\n\r\nhi\r\n".encode()
MODERN = b"PIPELINING SIZE 8BITMIME SMTPUTF8 CHUNKING DSN".split()
ALL_THREE = [JOE, ANN, SUE]


def content_of(octets):
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.flush()
        return Content(os.dup(file.fileno()))


class Dialog:
    """A transaction, and the host whose part the test plays."""

    def __init__(
        self, extensions, recipients=(JOE,), octets=HELLO, reverse_path=b"me@client.test", options=b"", **rest
    ):
        self.client = Client(b"client.test", lmtp=rest.get("lmtp", False))
        self.client.receive(b"220 mx.example.test\r\n")
        offered = [b"mx.example.test", *(each if isinstance(each, bytes) else each.encode() for each in extensions)]
        lines = [b"250-" + each for each in offered]
        lines[-1] = lines[-1].replace(b"-", b" ", 1)
        self.client.receive(b"\r\n".join(lines) + b"\r\n")
        self.client.take()
        mail = Mail.of(reverse_path, options)
        self.transaction = Transaction(self.client, mail, list(recipients), content_of(octets), **rest)
        self.transaction.begin()
        self.said = self.flow()

    def flow(self):
        said = self.client.take()
        while self.transaction.go_on():
            said += self.client.take()
        self.transaction.flushed()
        return said

    def hear(self, *replies):
        """The host says *replies*; what is said then."""
        for event in self.client.receive(b"".join(reply.encode() + b"\r\n" for reply in replies)):
            if isinstance(event, Answered):
                self.transaction.hear(event)
            else:
                self.transaction.break_off(event)
        self.said = self.flow()
        return self.said

    def lose(self, why="the host hung up"):
        for event in self.client.lost(why):
            self.transaction.break_off(event)

    @property
    def outcomes(self):
        return {number: (each.action.value, each.status) for number, each in self.transaction.outcomes.items()}


RELAYED, FAILED, DELAYED = b"relayed", b"failed", b"delayed"


def test_a_host_that_can_everything_gets_all_in_one_go():
    """Envelope and content in one group, the content as it is."""
    dialog = Dialog(MODERN)
    assert dialog.said == (
        b"MAIL FROM:<me@client.test> SIZE=22\r\nRCPT TO:<joe@example.test>\r\nBDAT 22 LAST\r\n" + HELLO
    )
    assert not dialog.transaction.is_over
    dialog.hear("250 2.1.0 ok", "250 2.1.5 ok", "250 2.6.0 queued")
    assert dialog.transaction.is_over
    assert dialog.outcomes == {0: (RELAYED, b"2.6.0")}
    outcome = dialog.transaction.outcomes[0]
    assert (outcome.words, outcome.notifies, outcome.trouble) == (b"250 2.6.0 queued", True, False)


def test_a_host_that_can_nothing_gets_one_command_after_the_other():
    """RFC 821 is enough, for mail that is."""
    dialog = Dialog([], [JOE, ANN])
    said = [dialog.said, *map(dialog.hear, ("250 ok", "250 ok", "250 ok", "354 go", "250 done"))]
    assert said == [
        b"MAIL FROM:<me@client.test>\r\n", b"RCPT TO:<joe@example.test>\r\n", b"RCPT TO:<ann@example.test>\r\n",
        b"DATA\r\n", HELLO + b".\r\n", b"",
    ]  # fmt: skip
    assert dialog.outcomes == {0: (RELAYED, b"2.0.0"), 1: (RELAYED, b"2.0.0")}
    assert dialog.transaction.is_over
    assert not dialog.transaction.outcomes[0].notifies


def test_with_pipelining_alone_data_travels_with_the_envelope():
    """RFC 2920 3.1; the content waits for 354."""
    dialog = Dialog([b"PIPELINING"], [JOE, ANN])
    assert dialog.said.endswith(b"RCPT TO:<ann@example.test>\r\nDATA\r\n")
    assert dialog.hear("250 ok", "550 5.1.1 who?", "250 ok") == b""
    assert dialog.hear("354 go") == HELLO + b".\r\n"
    dialog.hear("250 ok")
    assert dialog.outcomes == {0: (FAILED, b"5.1.1"), 1: (RELAYED, b"2.0.0")}


def test_each_recipient_has_an_answer_of_its_own():
    """Taken, refused, told to come again."""
    dialog = Dialog(MODERN, ALL_THREE)
    dialog.hear("250 ok", "550 5.1.1 unknown", "250 ok", "450 4.2.0 later", "250 2.0.0 queued")
    assert dialog.outcomes == {0: (FAILED, b"5.1.1"), 1: (RELAYED, b"2.0.0"), 2: (DELAYED, b"4.2.0")}
    assert dialog.transaction.stages == {0: b"rcpt", 1: b"bdat", 2: b"rcpt"}
    assert not dialog.transaction.leaves_open


def test_lmtp_answers_for_each_recipient_at_the_end():
    """RFC 2033 4.2: in the order in which they were accepted. And these are delivered, not relayed."""
    dialog = Dialog([b"PIPELINING", b"CHUNKING", b"DSN"], ALL_THREE, lmtp=True)
    dialog.hear("250 ok", "250 ok", "550 5.1.1 no", "250 ok", "354 go")
    assert dialog.said == HELLO + b".\r\n"
    dialog.hear("250 2.1.5 stored")
    assert not dialog.transaction.is_over
    dialog.hear("452 4.2.2 full")
    assert dialog.outcomes == {0: (b"delivered", b"2.1.5"), 1: (FAILED, b"5.1.1"), 2: (DELAYED, b"4.2.2")}
    assert not dialog.transaction.outcomes[0].notifies


def test_lmtp_that_leaves_in_the_middle_has_answered_for_some():
    """What was answered stands; of the others nobody knows."""
    dialog = Dialog([b"PIPELINING"], ALL_THREE, lmtp=True)
    dialog.hear("250 ok", "250 ok", "250 ok", "250 ok", "354 go")
    dialog.hear("250 2.1.5 stored")
    dialog.lose()
    assert dialog.outcomes == {0: (b"delivered", b"2.1.5"), 1: (DELAYED, b"4.4.2"), 2: (DELAYED, b"4.4.2")}
    assert [dialog.transaction.outcomes[number].in_doubt for number in range(3)] == [False, True, True]


@pytest.mark.parametrize(
    ("extensions", "octets", "options", "status"),
    [
        ([b"PIPELINING"], EIGHT_BIT, b"BODY=8BITMIME", b"5.6.3"), ([b"PIPELINING"], EIGHT_BIT, b"", b"5.6.3"),
        ([b"8BITMIME"], INTERNATIONAL, b"SMTPUTF8 BODY=8BITMIME", b"5.6.7"), ([b"SIZE 21"], HELLO, b"", b"5.3.4"),
        ([b"REQUIRETLS"], HELLO, b"REQUIRETLS", b"5.7.30"),
    ],
)  # fmt: skip
def test_what_a_host_could_not_take_as_it_is_fails_and_nothing_is_said(extensions, octets, options, status):
    """Content is never converted."""
    dialog = Dialog(extensions, [JOE, ANN], octets, options=options)
    assert (dialog.said, dialog.transaction.is_over) == (b"", True)
    assert dialog.outcomes == {0: (FAILED, status), 1: (FAILED, status)}


@pytest.mark.parametrize(
    ("extensions", "octets", "options", "said"),
    [
        ([b"8BITMIME"], EIGHT_BIT, b"", b" BODY=8BITMIME"), ([b"8BITMIME"], HELLO, b"", b""),
        ([b"8BITMIME"], HELLO, b"BODY=8BITMIME", b" BODY=8BITMIME"), ([], HELLO, b"BODY=8BITMIME", b""),
        ([b"SIZE"], HELLO, b"", b" SIZE=22"), ([b"SIZE 0"], HELLO, b"", b" SIZE=22"), ([b"SIZE 22"], HELLO, b"", b" SIZE=22"),
        ([b"8BITMIME"], EIGHT_BIT, b"SMTPUTF8", b" BODY=8BITMIME"),
        ([b"8BITMIME", b"SMTPUTF8"], INTERNATIONAL, b"SMTPUTF8", b" BODY=8BITMIME SMTPUTF8"),
        ([b"DSN"], HELLO, b"RET=HDRS ENVID=a+20b", b" RET=HDRS ENVID=a+20b"), ([], HELLO, b"RET=HDRS ENVID=a", b""),
        ([b"DSN"], HELLO, b"BODY=8BITMIME", b""),
    ],
)  # fmt: skip
def test_mail_declares_what_the_host_knows(extensions, octets, options, said):
    """And a message that was declared to be more than it is goes to a plain host too."""
    dialog = Dialog(extensions, octets=octets, options=options)
    assert dialog.said == b"MAIL FROM:<me@client.test>%b\r\n" % said


def test_the_senders_wishes_go_with_each_recipient():
    """RFC 3461 5.2.1."""
    recipient = Recipient(7, b"joe@example.test", b"NOTIFY=SUCCESS,DELAY ORCPT=rfc822;joe@x.test")
    dialog = Dialog([b"PIPELINING", b"DSN"], [recipient])
    assert b"RCPT TO:<joe@example.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;joe@x.test\r\n" in dialog.said
    assert b"NOTIFY" not in Dialog([b"PIPELINING"], [recipient]).said


def test_requiretls_goes_to_a_host_that_is_known_and_passes_it_on():
    """RFC 8689 4.2.1."""
    dialog = Dialog([b"REQUIRETLS"], options=b"REQUIRETLS", is_authenticated=True)
    assert dialog.said == b"MAIL FROM:<me@client.test> REQUIRETLS\r\n"


def test_an_international_recipient_fails_alone():
    """The others' mail needs nothing of the kind."""
    dialog = Dialog([b"PIPELINING", b"8BITMIME"], [Recipient(0, "jö@example.test".encode()), ANN])
    assert dialog.outcomes == {0: (FAILED, b"5.6.7")}
    assert b"ann" in dialog.said


@pytest.mark.parametrize(
    "path", [b"a\r\nDATA@example.test", b"a\nb@example.test", b"x" * 400 + b"@example.test", b"a\0@b.test"]
)
def test_an_address_is_never_more_than_an_address(path):
    """Whatever made it."""
    dialog = Dialog(MODERN, [Recipient(0, path)])
    assert (dialog.said, dialog.outcomes) == (b"", {0: (FAILED, b"5.1.3")})


@pytest.mark.parametrize(
    ("reply", "outcome"), [("550 5.7.1 no", (FAILED, b"5.7.1")), ("451 not now", (DELAYED, b"4.0.0"))]
)
def test_a_refused_sender_is_the_answer_for_everybody(reply, outcome):
    """Whatever comes behind it for what was said already."""
    dialog = Dialog(MODERN, [JOE, ANN])
    dialog.hear(reply, "503 what?", "250 ok", "503 no")
    assert dialog.outcomes == {0: outcome, 1: outcome}
    assert set(dialog.transaction.stages.values()) == {b"mail"}
    assert dialog.transaction.is_over


def test_a_host_that_refused_everybody_and_wants_the_content_gets_an_empty_one():
    """RFC 2920 3.1. Its 250 for that is for nobody."""
    dialog = Dialog([b"PIPELINING"])
    assert dialog.hear("250 ok", "550 5.1.1 no", "354 go") == b".\r\n"
    dialog.hear("250 thanks")
    assert dialog.outcomes == {0: (FAILED, b"5.1.1")}
    assert dialog.transaction.is_over


def test_the_next_transaction_begins_with_rset_where_this_one_was_left_open():
    """MAIL was taken, and nothing came of it."""
    dialog = Dialog([b"PIPELINING"])
    dialog.hear("250 ok", "550 5.1.1 no", "554 no recipients")
    assert dialog.transaction.leaves_open
    assert Dialog([b"PIPELINING"], must_reset=True).said.startswith(b"RSET\r\nMAIL FROM")


def test_more_recipients_than_the_host_takes_at_once_come_again():
    """RFC 5321 4.5.3.1.10: 452, or 552 of old, when others were accepted."""
    dialog = Dialog(MODERN, ALL_THREE)
    dialog.hear("250 ok", "250 ok", "452 4.5.3 too many", "552 too many", "250 2.0.0 queued")
    assert dialog.transaction.again == [ANN, SUE]
    assert dialog.outcomes == {0: (RELAYED, b"2.0.0")}
    alone = Dialog(MODERN)
    alone.hear("250 ok", "452 4.5.3 too many", "503 no")
    assert (alone.transaction.again, alone.outcomes) == ([], {0: (DELAYED, b"4.5.3")})


def test_a_mailbox_that_is_full_is_no_list_that_is_too_long():
    """552 5.2.2 is about the mailbox."""
    dialog = Dialog(MODERN, [JOE, ANN])
    dialog.hear("250 ok", "250 ok", "552 5.2.2 full", "250 2.0.0 queued")
    assert dialog.outcomes == {0: (RELAYED, b"2.0.0"), 1: (FAILED, b"5.2.2")}


def test_after_the_last_octet_nobody_knows():
    """The one rule: delayed and in doubt. Of those who were refused before, it is known."""
    dialog = Dialog([b"PIPELINING"], [JOE, ANN])
    dialog.hear("250 ok", "550 5.1.1 no", "250 ok", "354 go")
    dialog.lose()
    assert dialog.outcomes == {0: (FAILED, b"5.1.1"), 1: (DELAYED, b"4.4.2")}
    assert [each.in_doubt for each in dialog.transaction.outcomes.values()] == [False, True]
    assert dialog.transaction.outcomes[1].words == b"sent, but not confirmed: the host hung up"


def test_by_chunk_too():
    """With all of it sent at once, the doubt begins at once: the answers may have been lost on their way."""
    dialog = Dialog(MODERN)
    dialog.lose("no answer in time")
    assert dialog.transaction.outcomes[0].in_doubt


def test_before_the_last_octet_has_left_there_is_no_doubt():
    """A host without the end of a message has no message."""
    dialog = Dialog(MODERN)
    dialog.transaction.is_end_gone = False  # as when the kernel did not take it
    dialog.lose()
    assert not dialog.transaction.outcomes[0].in_doubt
    assert dialog.transaction.stages == {0: b""}, "nothing was answered"


@pytest.mark.parametrize(("reply", "status"), [("421 4.3.2 closing", b"4.3.2"), ("421 closing", b"4.0.0")])
def test_421_is_an_answer_and_leaves_no_doubt(reply, status):
    """RFC 5321 3.8: also to the content."""
    dialog = Dialog([b"PIPELINING"])
    dialog.hear("250 ok", "250 ok", "354 go")
    dialog.hear(reply)
    outcome = dialog.transaction.outcomes[0]
    assert (outcome.action, outcome.status, outcome.trouble, outcome.in_doubt) == (Action.DELAYED, status, True, False)


@pytest.mark.parametrize(
    "replies",
    [
        ["354 go"], ["250 ok", "354 go"], ["250 ok", "250 ok", "250 ok"], ["250 ok", "250 ok", "354 go", "354 more"],
        ["250 ok", "250 ok", "354 go", "334 AAAA"],
    ],
)  # fmt: skip
def test_an_answer_that_is_none_ends_it(replies):
    """3yz where 2yz belongs and the other way round: never taken for a yes."""
    dialog = Dialog([b"PIPELINING"])
    for reply in replies:
        dialog.hear(reply)
    assert dialog.transaction.junk
    dialog.transaction.break_off(Broken(dialog.transaction.junk))
    assert dialog.outcomes[0][0] == DELAYED
    assert dialog.transaction.outcomes[0].in_doubt == (len(replies) == 4)


@pytest.mark.parametrize(
    ("reply", "outcome"), [("552 5.3.4 too big", (FAILED, b"5.3.4")), ("451 4.3.0 x", (DELAYED, b"4.3.0"))]
)
def test_the_answer_to_the_content_is_the_answer_for_all_who_were_accepted(reply, outcome):
    """By DATA and by BDAT."""
    by_dot = Dialog([b"PIPELINING"], [JOE, ANN])
    by_dot.hear("250 ok", "250 ok", "250 ok", "354 go")
    by_dot.hear(reply)
    by_chunk = Dialog(MODERN, [JOE, ANN])
    by_chunk.hear("250 ok", "250 ok", "250 ok", reply)
    assert by_dot.outcomes == by_chunk.outcomes == {0: outcome, 1: outcome}
    assert by_dot.transaction.stages == {0: b"content-end", 1: b"content-end"}
    assert by_chunk.transaction.stages == {0: b"bdat", 1: b"bdat"}


def test_a_long_message_waits_until_somebody_is_accepted():
    """Nobody likes megabytes for a recipient who does not exist."""
    octets = b"x" * 76 + b"\r\n"
    octets *= 3 * BLOCK // len(octets)
    dialog = Dialog(MODERN, octets=octets)
    assert dialog.said.endswith(b"RCPT TO:<joe@example.test>\r\n")
    assert dialog.hear("250 ok", "250 ok") == b"BDAT %d LAST\r\n%b" % (len(octets), octets)
    refused = Dialog(MODERN, octets=octets)
    assert refused.hear("250 ok", "550 no") == b""
    assert refused.transaction.is_over


def test_a_host_that_answers_before_the_end_of_a_long_message_gets_no_more_of_it():
    """Its no is an answer; its yes to half a message is not."""
    for reply, outcome in (("552 5.3.4 enough", (FAILED, b"5.3.4")), ("250 ok", (DELAYED, b"4.5.0"))):
        dialog = Dialog(MODERN, octets=b"x" * 76 * BLOCK)
        for event in dialog.client.receive(b"250 ok\r\n250 ok\r\n"):
            dialog.transaction.hear(event)
        dialog.transaction.go_on()
        dialog.client.take()
        for event in dialog.client.receive(reply.encode() + b"\r\n"):
            dialog.transaction.hear(event)
        assert dialog.transaction.junk
        assert dialog.outcomes == {0: outcome}


def test_content_that_ends_before_its_end_is_never_ended():
    """A disk that fails must not make half a message a whole one."""
    dialog = Dialog([b"PIPELINING"], octets=b"x" * 76 * BLOCK)
    dialog.transaction.content.close()
    dialog.transaction.content._descriptor = os.open(os.devnull, os.O_RDONLY)
    dialog.hear("250 ok", "250 ok", "354 go")
    assert not dialog.said.endswith(b".\r\n")
    assert dialog.transaction.junk == "the content could not be read"
    assert dialog.outcomes == {0: (DELAYED, b"4.3.0")}
    assert not dialog.transaction.outcomes[0].trouble


REPLIES = st.lists(
    st.sampled_from(
        ["250 ok", "250-a\r\n250 b", "354 go", "421 bye", "450 x", "550 5.1.1 no", "334 x", "221 bye", "999 x", "x"]
    ),
    max_size=8,
)


@given(REPLIES, st.sampled_from([[], [b"PIPELINING"], MODERN]), st.booleans())
def test_whatever_a_host_says_everybody_has_one_outcome_in_the_end(replies, extensions, lmtp):
    """And nobody is taken for delivered without a 2yz behind the content."""
    dialog = Dialog(extensions, ALL_THREE, lmtp=lmtp)
    for reply in replies:
        if not dialog.transaction.junk and not dialog.transaction.is_over:
            dialog.hear(reply)
    if dialog.transaction.junk or not dialog.transaction.is_over:
        dialog.lose()
        dialog.transaction.break_off(Broken("over"))
    coming = {each.number for each in dialog.transaction.again}
    assert dialog.outcomes.keys() | coming == {0, 1, 2}
    if not any(reply.startswith("2") for reply in replies[2:]):
        assert {action for action, _ in dialog.outcomes.values()} <= {FAILED, DELAYED}
