"""Octets of QMTP and QMQP to messages, however they are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.qmtpd.protocol import MAX_ADDRESS, MAX_RECIPIENTS, Lack, Message, Protocol, ProtocolError, Reader, answer

ADDRESSES = st.binary(max_size=60)
RECIPIENTS = st.lists(ADDRESSES, min_size=1, max_size=5)


def netstring(octets: bytes) -> bytes:
    return b"%d:%b," % (len(octets), octets)


def qmtp(content: bytes, sender: bytes, recipients: list[bytes], *, line_end: bytes = b"\n") -> bytes:
    return netstring(line_end + content) + netstring(sender) + netstring(b"".join(map(netstring, recipients)))


def qmqp(content: bytes, sender: bytes, recipients: list[bytes]) -> bytes:
    return netstring(netstring(content) + netstring(sender) + b"".join(map(netstring, recipients)))


def keep_all(_octets: int) -> None:
    return None


def read_in_pieces(reader: Reader, octets: bytes, step: int) -> list[Message]:
    return [each for at in range(0, len(octets), step) for each in reader.read(octets[at : at + step])]


@given(st.binary(max_size=300), ADDRESSES, RECIPIENTS, st.integers(1, 50), st.sampled_from(list(Protocol)))
def test_what_was_said_is_read_however_it_is_cut(
    content: bytes, sender: bytes, recipients: list[bytes], step: int, protocol: Protocol
) -> None:
    said = (qmtp if protocol is Protocol.QMTP else qmqp)(content, sender, recipients)
    expected = Message(content.replace(b"\n", b"\r\n"), sender, tuple(recipients))
    assert read_in_pieces(Reader(protocol, keep_all), said * 2, step) == [expected, expected]


def test_lines_may_end_with_cr_lf_in_qmtp() -> None:
    said = qmtp(b"a\r\nb\r\n", b"", [b"joe@example.test"], line_end=b"\r")
    assert Reader(Protocol.QMTP, keep_all).read(said)[0].content == b"a\r\nb\r\n"


def test_a_first_octet_that_says_nothing_of_lines_refuses_the_message_and_no_more() -> None:
    said = qmtp(b"a\n", b"", [b"joe@example.test"], line_end=b"x") + qmtp(b"b\n", b"", [b"joe@example.test"])
    bad, good = Reader(Protocol.QMTP, keep_all).read(said)
    assert (bad.lack, good.lack) == (Lack.FORM, None)


@pytest.mark.parametrize("lack", [Lack.SIZE, Lack.ROOM])
@pytest.mark.parametrize("protocol", Protocol)
def test_content_without_room_is_read_to_its_end_and_not_kept(protocol: Protocol, lack: Lack) -> None:
    asked: list[int] = []

    def room(octets: int) -> Lack | None:
        asked.append(octets)
        return lack if octets > 1000 else None

    make = qmtp if protocol is Protocol.QMTP else qmqp
    large, small = Reader(protocol, room).read(
        make(b"x" * 5000, b"a@b.test", [b"c@d.test"]) + make(b"y", b"a@b.test", [b"c@d.test"])
    )
    assert (large.content, large.lack, large.recipients) == (b"", lack, (b"c@d.test",))
    assert (small.content, small.lack) == (b"y", None)
    assert [octets // 1000 for octets in asked] == [5, 0]


WRONG = {
    "no digits": b":,",
    "a leading zero": b"01:x,",
    "a sign": b"+1:x,",
    "a length that never ends": b"1" * 11,
    "something else at the end of a netstring": b"2:\nx;",
    "SMTP": b"EHLO client.test\r\n",
    "a message without its first octet": b"0:,",
    "an address of more than any": b"2:\nx,%d:" % (MAX_ADDRESS + 1),
    "nobody to send it to": b"2:\nx,0:,0:,",
    "recipients that go beyond their end": b"2:\nx,0:,3:1:a,,",
    "more recipients than any": qmtp(b"x", b"", [b""] * (MAX_RECIPIENTS + 1)),
}


@pytest.mark.parametrize("octets", WRONG.values(), ids=WRONG.keys())
def test_what_is_no_qmtp_is_told_from_it(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        Reader(Protocol.QMTP, keep_all).read(octets)


@pytest.mark.parametrize("octets", [b"3:0:,,", b"9:0:,0:,1:a,,", b"8:0:,0:,1:a,,"], ids=["cut", "long", "short"])
def test_what_is_no_qmqp_is_told_from_it(octets: bytes) -> None:
    with pytest.raises(ProtocolError):
        Reader(Protocol.QMQP, keep_all).read(octets)


def test_an_answer_is_a_netstring_of_a_letter_and_words() -> None:
    assert answer(b"K", b"ok") == b"3:Kok,"
