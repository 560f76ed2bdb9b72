"""The content reader against an oracle that works on the whole text at once."""

import re

from hypothesis import example, given
from hypothesis import strategies as st

from mta.smtp.content import ContentReader

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


@given(OCTETS, st.lists(st.integers(0, 60), max_size=20))
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
