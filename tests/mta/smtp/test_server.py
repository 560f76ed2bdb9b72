"""The session core: what the dialogs cannot show, because it is about every way at once."""

import ast
import subprocess
import sys
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.smtp import replies
from mta.smtp.events import Block, Note, Offer, Verdict, Withdraw
from mta.smtp.intake import BLOCK
from mta.smtp.server import _REFUSALS, Phase, Policy
from mta.vocabulary import Word
from tests.mta.smtp.driver import ACCEPT, Driver

LINES = [
    b"EHLO a", b"HELO a", b"EHLO", b"MAIL FROM:<a@b.test>", b"MAIL FROM:<>", b"MAIL FROM:<a@b.test> SIZE=999999",
    b"RCPT TO:<joe@b.test>", b"RCPT TO:<unknown@b.test>", b"RCPT TO:<try-later@b.test>", b"RCPT TO:<slow-down@b.test>",
    b"RCPT TO:<", b"DATA", b"RSET", b"NOOP", b"VRFY x", b"EXPN x", b"HELP", b"QUIT", b"FROB", b".", b"text", b"..stuffed", b"",
    b"MAIL FROM:<a@b.test> SMTPUTF8 RET=HDRS", "MAIL FROM:<ä@ö.test> SMTPUTF8".encode(), "RCPT TO:<ä@ö.test>".encode(),
    b"RCPT TO:<joe@late.test>", b"RCPT TO:<unknown@late.test>", b"RCPT TO:<joe@b.test> NOTIFY=NEVER", b"BDAT 6", b"BDAT 0",
    b"BDAT 15 LAST", b"BDAT 0 LAST", b"BDAT 4000", b"BDAT x", b"BDAT 200000",
    b"x" * 2100, b"bare\nlf", b"bare\rcr", b"nul\0", b"\xff\xfe",
]  # fmt: skip
TALK = st.lists(st.sampled_from(LINES), max_size=30).map(lambda lines: b"EHLO a\r\n" + b"\r\n".join(lines) + b"\r\n")
GOOD_TALK = st.lists(
    st.sampled_from([
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<joe@b.test>\r\nDATA\r\nhi\r\n..\r\n.\r\n",
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<joe@b.test>\r\nRCPT TO:<unknown@b.test>\r\nRCPT TO:<ann@b.test>\r\n",
        b"RCPT TO:<more@b.test>\r\nRCPT TO:<bad\r\nRCPT TO:<full@b.test>\r\n", b"DATA\r\n", b"RSET\r\n", b"x\r\n.\r\n",
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<joe@late.test>\r\nRCPT TO:<joe@b.test>\r\nBDAT 3\r\nhi\rBDAT 4 LAST\r\n\nx\r\n",
        b"MAIL FROM:<a@b.test>\r\nRCPT TO:<unknown@late.test>\r\nRCPT TO:<x@b.test>\r\nBDAT 2\r\nhiBDAT 0\r\nBDAT 0 LAST\r\n",
        b"BDAT 5 LAST\r\nabc\r\n", b"BDAT 3\r\na\nb",
    ]),
    max_size=8,
).map(lambda parts: b"EHLO a\r\n" + b"".join(parts) + b"QUIT\r\n")  # fmt: skip


def in_pieces(octets: bytes, size: int) -> list[bytes]:
    return [octets[place : place + size] for place in range(0, len(octets), size)]


@settings(max_examples=150)
@given(st.one_of(TALK, GOOD_TALK), st.integers(1, 50), st.booleans())
def test_replies_do_not_depend_on_how_input_is_cut_or_when_answers_come(talk: bytes, size: int, late: bool) -> None:
    """The same octets get the same replies and make the same content, octet by octet or in one go."""
    whole = Driver()
    whole.say(talk)
    pieces = Driver(late=late)
    for piece in in_pieces(talk, size):
        if not pieces.over:
            pieces.say(piece)
    pieces.settle()
    assert pieces.sent == whole.sent
    assert pieces.content() == whole.content()
    assert pieces.over == whole.over


@settings(max_examples=200)
@given(st.lists(st.one_of(st.binary(max_size=60), TALK, st.just(b"STARTTLS\r\n")), max_size=6), st.booleans())
def test_no_octets_make_it_raise(parts: list[bytes], late: bool) -> None:
    """And every line of every reply is one that SMTP knows."""
    driver = Driver(late=late)
    for part in parts:
        if not driver.over:
            driver.say(part)
    driver.settle()
    if not driver.over:
        driver.carry_out(driver.server.end_of_input())
    driver.settle()
    assert driver.over
    for line in driver.sent.split(b"\r\n")[:-1]:
        assert line[:3].isdigit()
        assert line[3:4] in {b" ", b"-"}
        assert line.isascii()
        assert b"\r" not in line
        assert b"\n" not in line


def test_every_word_of_the_directory_has_a_reply() -> None:
    """A word that the core does not know would end the conversation with 451 instead of saying what is wrong."""
    assert set(_REFUSALS) == set(Word) - {Word.ACCEPT}


def ready(late: bool = True) -> Driver:
    driver = Driver(late=late)
    driver.say(b"EHLO a\r\nMAIL FROM:<a@b.test>\r\n")
    return driver


def in_content() -> Driver:
    driver = ready(late=False)
    driver.say(b"RCPT TO:<joe@b.test>\r\nDATA\r\n")
    driver.late = True
    return driver


def test_recipients_of_a_group_are_asked_about_at_once() -> None:
    """Three questions without waiting; and answers in the wrong order give replies in the right one."""
    driver = ready()
    driver.say(b"RCPT TO:<one@b.test>\r\nRCPT TO:<two@b.test>\r\nRCPT TO:<three@b.test>\r\nDATA\r\n")
    assert [ask.forward_path for ask in driver.asked] == [b"one@b.test", b"two@b.test", b"three@b.test"]
    driver.sent = b""
    driver.carry_out(driver.server.verdict(driver.asked[2].number, ACCEPT))
    driver.carry_out(driver.server.verdict(driver.asked[1].number, Verdict(Word.UNKNOWN)))
    assert driver.sent == b""
    driver.carry_out(driver.server.verdict(driver.asked[0].number, ACCEPT))
    lines = driver.sent.split(b"\r\n")
    assert [line[:3] for line in lines] == [b"250", b"550", b"250", b"354", b""]


def test_a_question_beyond_the_limit_waits_for_those_before() -> None:
    """Whether there is room for a fourth depends on what becomes of three."""
    driver = ready()
    driver.say(b"RCPT TO:<unknown@b.test>\r\n" * 3 + b"RCPT TO:<joe@b.test>\r\n")
    assert len(driver.asked) == 3
    driver.settle()
    assert driver.sent.endswith(b"550 5.1.1 No such mailbox here\r\n" * 3 + replies.RECIPIENT_OK.octets)


def test_small_content_is_judged_before_it_is_offered() -> None:
    """A refused message of one block never reaches the enqueuer."""
    driver = in_content()
    driver.say(b"a\nb\r\n.\r\n")
    assert driver.count(Offer) == driver.count(Block) == driver.count(Withdraw) == 0
    assert driver.sent.endswith(replies.BARE_CR_LF_NUL.octets)


def test_large_content_streams_and_is_withdrawn_once() -> None:
    """What was offered and turns out bad is taken back at once; the reply comes after the end."""
    driver = in_content()
    driver.say(b"x" * (BLOCK + 10))
    assert (driver.count(Offer), driver.count(Block)) == (1, 1)
    driver.say(b"\n")
    driver.say(b"more\n" * 10)
    assert driver.count(Withdraw) == 1
    assert driver.sent.endswith(replies.START_CONTENT.octets)
    driver.say(b"\r\n.\r\n")
    assert driver.sent.endswith(replies.BARE_CR_LF_NUL.octets)
    assert driver.count(Withdraw) == 1


@pytest.mark.parametrize("begin", [b"DATA\r\n", b"BDAT 20000000 LAST\r\n"])
def test_memory_does_not_grow_with_the_message(begin: bytes) -> None:
    """Twenty million octets pass; what is kept meanwhile is a block and what was just read, and no more at the end."""
    driver = Driver(Policy(hostname=b"mx.example.test"))
    driver.say(b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<joe@b.test>\r\n" + begin)
    piece = (b"x" * 998 + b"\r\n") * 64
    passed = 0
    tracemalloc.start()
    try:
        for _ in range(20_000_000 // len(piece)):
            for event in driver.server.receive(piece):
                assert isinstance(event, Offer | Block)
                passed += len(event.octets) if isinstance(event, Block) else 0
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert passed > 19_000_000
    assert kept < 200_000
    assert peak < 600_000


def test_content_that_comes_octet_by_octet_costs_no_more_memory_than_other() -> None:
    """Each piece kept as it came would be an object of forty octets for each octet."""
    driver = in_content()
    tracemalloc.start()
    try:
        for _ in range(50_000):
            assert not driver.server.receive(b"x")
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000


def test_a_command_that_never_ends_is_not_kept() -> None:
    """The line is dropped as it comes."""
    driver = Driver()
    for _ in range(1000):
        driver.say(b"x" * 1000)
    assert driver.server.pending <= 4096
    driver.say(b"\r\n")
    assert driver.sent.endswith(replies.LINE_TOO_LONG.octets)


def test_blocks_are_never_larger_than_a_packet_takes() -> None:
    """And only the last one says so."""
    driver = in_content()
    driver.say(b"x" * 99_000 + b"\r\n.\r\n")
    blocks = [event for event in driver.events if isinstance(event, Block)]
    assert [len(block.octets) for block in blocks] == [BLOCK, 99_002 - BLOCK]
    assert [block.last for block in blocks] == [False, True]


def test_a_client_lost_in_the_content_withdraws_and_after_it_commits() -> None:
    """The final dot is the line between the two (RFC 5321 4.1.1.4, 4.2.5)."""
    before = in_content()
    before.say(b"x" * (BLOCK + 10))
    before.carry_out(before.server.lost())
    assert before.count(Withdraw) == 1
    after = in_content()
    after.say(b"hi\r\n.\r\n")
    after.carry_out(after.server.lost())
    assert after.count(Withdraw) == 0
    assert not after.over
    after.carry_out(after.server.taken(b"0" * 20))
    assert after.over
    assert after.sent.endswith(replies.queued(b"0" * 20))


def test_refusals_are_noted_with_their_reply_and_nothing_else_is() -> None:
    """What was taken the enqueuer notes, who can vouch for it."""
    driver = ready(late=False)
    driver.say(b"RCPT TO:<unknown@b.test>\r\nRCPT TO:<joe@b.test>\r\nDATA\r\nhi\r\n.\r\n")
    notes = [event for event in driver.events if isinstance(event, Note)]
    assert notes == [
        Note("refused", {"reply": b"550 5.1.1", "reverse_path": b"a@b.test", "forward_path": b"unknown@b.test"})
    ]


def test_a_client_lost_while_a_question_is_open_is_forgotten() -> None:
    """An answer that comes later changes nothing."""
    driver = ready()
    driver.say(b"RCPT TO:<joe@b.test>\r\n")
    driver.carry_out(driver.server.lost())
    assert driver.over
    assert driver.server.verdict(driver.asked[0].number, ACCEPT) == []


def test_winding_up_waits_for_a_commit_and_not_for_an_idle_client() -> None:
    """RFC 5321 3.8: 421 in the place of the next command."""
    idle = Driver()
    idle.carry_out(idle.server.wind_up(replies.STOPPING))
    assert idle.sent.endswith(replies.STOPPING.octets)
    assert idle.over
    busy = in_content()
    busy.say(b"hi\r\n.\r\nNOOP\r\n")
    busy.carry_out(busy.server.wind_up(replies.STOPPING))
    assert not busy.over
    busy.carry_out(busy.server.taken(b"1" * 20))
    assert busy.sent.endswith(replies.queued(b"1" * 20) + replies.STOPPING.octets)
    assert busy.over


def test_running_out_of_patience_withdraws_what_was_offered() -> None:
    """A client that stops in the middle leaves nothing behind."""
    driver = in_content()
    driver.say(b"x" * (BLOCK + 10))
    driver.carry_out(driver.server.break_off(replies.TIMED_OUT))
    assert driver.count(Withdraw) == 1
    assert driver.sent.endswith(replies.TIMED_OUT.octets)
    assert driver.server.phase is Phase.OVER


def test_patience_follows_the_phase() -> None:
    """RFC 5321 4.5.3.2: five minutes for a command, three for a block; in a handshake it is not ours to wait."""
    assert Driver().server.patience_seconds == 300.0
    assert in_content().server.patience_seconds == 180.0
    chunk = ready(late=False)
    chunk.say(b"RCPT TO:<joe@b.test>\r\nBDAT 10\r\nhi\r\n")
    assert chunk.server.patience_seconds == 180.0
    chunk.say(b"there\n")
    assert chunk.server.patience_seconds == 300.0
    handshake = Driver()
    handshake.say(b"STARTTLS\r\n")
    assert handshake.server.waiting


@pytest.mark.parametrize("word", [word for word in Word if word is not Word.ACCEPT])
@pytest.mark.parametrize("end", [b"DATA\r\nhi\r\n.\r\n", b"BDAT 4 LAST\r\nhi\r\n", b"BDAT 4\r\nhi\r\nBDAT 0 LAST\r\n"])
def test_nothing_before_the_last_octet_tells_a_late_no_from_a_yes(word: Word, end: bytes) -> None:
    """The same replies but the last one; and what is refused never reaches the enqueuer."""
    known, other = ready(late=False), ready(late=False)
    known.say(b"RCPT TO:<joe@late.test>\r\nRCPT TO:<ann@late.test>\r\nNOOP\r\n" + end)
    other.say(b"RCPT TO:<" + word.value + b"@late.test>\r\nRCPT TO:<ann@late.test>\r\nNOOP\r\n" + end)
    told, told_other = known.sent.splitlines(), other.sent.splitlines()
    assert told[:-1] == told_other[:-1]
    assert told[-1].startswith(b"250 2.0.0 Queued")
    assert told_other[-1][:1] in {b"4", b"5"}
    assert (known.count(Offer), other.count(Offer)) == (1, 0)


def test_octets_that_finish_nothing_are_no_progress() -> None:
    """Else a client that drips one octet a minute could stay for ever."""
    driver = Driver()
    before = driver.server.steps
    driver.say(b"NOO")
    assert driver.server.steps == before
    driver.say(b"P\r\n")
    assert driver.server.steps == before + 1


def test_waiting_input_is_counted_and_kept() -> None:
    """The driver must know when to stop reading."""
    driver = ready()
    driver.say(b"RCPT TO:<joe@b.test>\r\nNOOP\r\n")
    assert driver.server.waiting
    assert driver.server.pending == len(b"NOOP\r\n")


@pytest.mark.parametrize(
    ("code", "status", "text", "expected"),
    [
        (452, b"4.3.1", b"No room", b"452 4.3.1 No room\r\n"),
        (452, b"4.3.1", b"a\r\n250 b", b"452 4.3.1 a250 b\r\n"),
        (250, b"2.0.0", b"yes", replies.TRY_LATER.octets),
        (550, b"4.3.1", b"x", replies.TRY_LATER.octets),
        (550, b"nonsense", b"x", replies.TRY_LATER.octets),
        (5500, b"5.0.0", b"x", replies.TRY_LATER.octets),
    ],
)
def test_the_enqueuers_no_is_checked(code: int, status: bytes, text: bytes, expected: bytes) -> None:
    """Only a refusal that is one in form reaches the client, and never a second line."""
    assert replies.declined(code, status, text).octets == expected


def test_every_named_reply_is_well_formed() -> None:
    """RFC 3463: the class of the status is the first digit of the code; RFC 2034 4: only 354 goes without."""
    named = [value for value in vars(replies).values() if isinstance(value, replies.Reply)]
    assert len(named) > 30
    for reply in named:
        assert reply.code == 354 or reply.status.startswith(f"{reply.code // 100}."), reply
        assert len(reply.octets) <= 512  # RFC 5321 4.5.3.1.5


def test_the_core_imports_next_to_nothing() -> None:
    """A bare interpreter that holds one conversation must not pay for asyncio, email or ssl, nor hold their faults."""
    code = "import sys, mta.smtp.server; print(sorted(sys.modules))"
    found = ast.literal_eval(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    )
    assert not {"asyncio", "ssl", "email", "aiosmtpd", "uvloop", "logging", "hashlib", "mta.wire"} & set(found)
