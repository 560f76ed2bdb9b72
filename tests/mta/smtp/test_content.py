"""The content reader against an oracle that works on the whole text at once."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mta.message.trace import received_field
from mta.smtp.content import MAX_MARKS, ChunkReader, ContentReader, HopCounter
from mta.smtp.events import NOBODY, Offer
from mta.smtp.intake import MAX_OWN_HOPS, Intake
from mta.smtp.replies import TOO_MANY_HOPS, Reply

# Made of what matters, so that ends and near-ends come about often.
PIECES = st.sampled_from(
    [b"\r\n", b".", b"\r", b"\n", b"a", b"\r\n.\r\n", b"\r\n..", b"\0", b"bcd", b"\n.\n", b"\r.\r"]
)
OCTETS = st.lists(PIECES, max_size=24).map(b"".join)


def oracle(octets: bytes) -> tuple[bytes, bytes] | None:
    """Content and what follows it; None when there is no end. Line by line, as RFC 5321 4.5.2 tells it."""
    lines = octets.split(b"\r\n")
    for number, line in enumerate(lines[:-1]):
        if line == b".":
            content = [each.removeprefix(b".") for each in lines[:number]]
            return b"".join(each + b"\r\n" for each in content), b"\r\n".join(lines[number + 1 :])
    return None


def read_in_pieces(octets: bytes, cuts: list[int]) -> tuple[bytes, bytes | None, bool]:
    reader, content = ContentReader(), []
    places = sorted({min(cut, len(octets)) for cut in cuts})
    pieces = [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]
    for number, piece in enumerate(pieces):
        part, rest = reader.read(piece)
        content.append(part)
        if rest is not None:
            return b"".join(content), rest + b"".join(pieces[number + 1 :]), reader.tainted
    return b"".join(content), None, reader.tainted


@given(OCTETS, st.lists(st.integers(0, 60), max_size=20))
@example(b".\r\n", [1, 2])
@example(b"\r\n.\r\n", [1, 2, 3, 4])
@example(b"..\r\n.\r\n", [1])
@example(b"\r\n.\r\r\n.\r\n", [4])
def test_content_and_rest_are_the_oracles_wherever_it_is_cut(octets: bytes, cuts: list[int]) -> None:
    """Unstuffing and the end do not depend on how the network cut the octets."""
    content, rest, _ = read_in_pieces(octets, cuts)
    expected = oracle(octets)
    if expected is None:
        assert rest is None
    else:
        assert (content, rest) == expected


SMUGGLED = b"a\n.\r\nMAIL FROM:<x@y.test>\r\r\n.\r\n"


@pytest.mark.parametrize("cut", range(len(SMUGGLED) + 1))
@pytest.mark.parametrize("by_chunk", [False, True])
def test_no_cut_hides_a_bare_lf_behind_a_bare_cr(cut: int, by_chunk: bool) -> None:
    """As many CRs as LFs in what was read, the odd CR its last octet: a client chooses where its packets end."""
    reader = ChunkReader() if by_chunk else ContentReader()
    reader.read(SMUGGLED[:cut])
    reader.read(SMUGGLED[cut:])
    assert reader.tainted


@given(OCTETS, st.lists(st.integers(0, 60), max_size=20))
@example(b"\n\r\r\n.\r\n", [3])
def test_taint_means_a_bare_cr_or_lf_or_a_nul(octets: bytes, cuts: list[int]) -> None:
    """All content with one of them is marked, and no other."""
    content, rest, tainted = read_in_pieces(octets, cuts)
    if rest is not None:
        assert tainted == bool(re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content))


@given(st.binary(max_size=200), st.lists(st.integers(0, 260), max_size=8))
def test_what_a_client_stuffs_comes_out_as_it_was(message: bytes, cuts: list[int]) -> None:
    """Stuffing as a client does it and reading it here is the identity on lines."""
    lines = message.split(b"\r\n")
    sent = b"".join((b"." if line.startswith(b".") else b"") + line + b"\r\n" for line in lines) + b".\r\n"
    content, rest, _ = read_in_pieces(sent, cuts)
    assert (content, rest) == (message + b"\r\n", b"")


def test_little_is_held_back() -> None:
    """At most four octets wait for what comes next, so memory does not grow with a line."""
    reader = ContentReader()
    for _ in range(100):
        content, rest = reader.read(b"x" * 1000)
        assert (len(content), rest) == (1000, None)


def in_places(octets: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(octets)) for cut in cuts})
    return [octets[a:b] for a, b in zip([0, *places], [*places, len(octets)], strict=True)]


@given(OCTETS, st.lists(st.integers(0, 60), max_size=20))
@example(b"a\r\n\r", [3])
@example(b"\r", [1])
def test_chunks_come_out_as_they_went_in(octets: bytes, cuts: list[int]) -> None:
    """Dots and all, wherever they were cut, with an end of the last line; and the taint is that of the whole."""
    reader = ChunkReader()
    content = b"".join([*map(reader.read, in_places(octets, cuts)), reader.finish()])
    if octets.endswith(b"\r"):
        assert reader.tainted
        return
    assert content == octets + (b"\r\n" if octets and not octets.endswith(b"\n") else b"")
    assert reader.tainted == bool(re.search(rb"\r(?!\n)|(?<!\r)\n|\0", octets))


HEADER = st.lists(
    st.sampled_from(
        [b"Received: a\r\n", b"RECEIVED:b\r\n", b"X-Received: c\r\n", b"Subject: Received: d\r\n", b"\tReceived: e\r\n", b"\r\n",
         b"Received", b": f\r\n"]
    ),
    max_size=12,
).map(b"".join)  # fmt: skip


@given(HEADER, st.lists(st.integers(0, 120), max_size=20))
@example(b"\r\nReceived: a\r\n", [])
@example(b"Received: a\r\nReceived: b\r\n\r\nReceived: c\r\n", [1, 2, 14, 15, 16])
def test_hops_are_the_received_fields_of_the_header_section(octets: bytes, cuts: list[int]) -> None:
    """Neither those of the text, nor other fields, nor folded lines; wherever it is cut."""
    counter = HopCounter()
    for piece in in_places(octets, cuts):
        counter.read(piece)
    header = octets.partition(b"\r\n\r\n")[0] if not octets.startswith(b"\r\n") else b""
    assert counter.hops == len(re.findall(rb"(?im)^received:", header))


OURS = received_field(
    helo=b"x", client=b"192.0.2.7", host=b"mx.test", protocol=b"ESMTP", queue_id=b"1", forward_path=b"", moment=0
)


@given(
    st.lists(
        st.sampled_from(
            [OURS, OURS.upper(), OURS.replace(b"by mx.test", b"by amx.test"), b"X: mx.test with\r\n", b"\r\n"]
        )
    ),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_our_own_hops_are_the_fields_that_we_wrote(fields: list[bytes], cuts: list[int]) -> None:
    """By our name alone, in the header section, wherever it is cut; the text may quote them."""
    counter = HopCounter(b"MX.test")
    for piece in in_places(b"".join(fields), cuts):
        counter.read(piece)
    header = fields[: fields.index(b"\r\n")] if b"\r\n" in fields else fields
    assert counter.own == sum(each.lower() == OURS.lower() for each in header)


@pytest.mark.parametrize(("times", "refusal"), [(MAX_OWN_HOPS, None), (MAX_OWN_HOPS + 1, TOO_MANY_HOPS)])
def test_a_message_that_was_here_too_often_goes_round_in_a_circle(times: int, refusal: Reply | None) -> None:
    """Long before it has been through a hundred hosts; lists of lists may bring it here a few times."""
    offer = Offer(b"client.test", b"ESMTP", b"", b"a@client.test", (), b"", NOBODY)
    intake = Intake(offer, 1_000_000, keeping=True, host=b"mx.test")
    intake.take(OURS * times + b"Subject: x\r\n\r\nbody\r\n", tainted=False)
    assert intake.refusal is refusal


def marked(mark: bytes, path: bytes = b"joe@mx.test") -> bytes:
    return received_field(
        helo=b"x",
        client=b"192.0.2.7",
        host=b"mx.test",
        protocol=b"ESMTP",
        queue_id=b"1",
        forward_path=path,
        moment=0,
        mark=mark,
    )


ONE, TWO = b"1" * 24, b"2" * 24


@given(
    st.lists(st.sampled_from([marked(ONE), marked(TWO), OURS, b"Subject: (passed \r\n", b"Resent-To: x\r\n", b"\r\n"])),
    st.lists(st.integers(0, 400), max_size=20),
)
def test_marks_are_found_wherever_the_header_is_cut_and_not_below_a_resent_field(
    fields: list[bytes], cuts: list[int]
) -> None:
    """Who sends a message on by hand (RFC 5322 3.6.6) sends it anew."""
    counter = HopCounter(b"mx.test")
    for piece in in_places(b"".join(fields), cuts):
        counter.read(piece)
    ends = [fields.index(each) for each in (b"\r\n", b"Resent-To: x\r\n") if each in fields]
    header = fields[: min(ends)] if ends else fields
    assert set(counter.marks) == {mark for mark in (ONE, TWO) if marked(mark) in header}


def test_marks_without_end_are_so_many() -> None:
    """A stranger may write what he likes."""
    counter = HopCounter(b"mx.test")
    for number in range(1000):
        counter.read(marked(b"%024x" % number))
    assert len(counter.marks) == MAX_MARKS


@pytest.mark.parametrize("body", [b"short\r\n", b"x" * 78 * 1000 + b"\r\n"])
def test_the_enqueuer_is_told_of_marks(body: bytes) -> None:
    """Beside what MAIL declared, with the offer; however long the message is."""
    offer = Offer(b"client.test", b"ESMTP", b"BODY=8BITMIME", b"a@client.test", (), b"", NOBODY)
    intake = Intake(offer, 1_000_000, keeping=True, host=b"mx.test")
    events = [*intake.take(marked(ONE) + marked(TWO) + b"\r\n" + body, tainted=False), *intake.finish()]
    (offered,) = [event for event in events if isinstance(event, Offer)]
    assert offered.options == b"BODY=8BITMIME PASSED=%b,%b" % (ONE, TWO)
