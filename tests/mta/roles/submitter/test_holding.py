"""Content as it comes: the cuts mean nothing, the body is hashed, line ends are whole."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.submitter.draft import MAX_HEADER, NotSubmittable
from mta.roles.submitter.holding import BLOCK, Holding


def held(*pieces: bytes, most: int = 1 << 20) -> tuple[bytes, bytes, bytes]:
    """Header, content with another header, the body's hash."""
    holding = Holding(most)
    for piece in pieces:
        holding.take(piece)
    digest = holding.finish()
    content = b"".join(holding.blocks(b"New: header\r\n"))
    return holding.header, content, digest


@pytest.mark.parametrize(
    ("content", "header", "body"),
    [
        (b"A: b\r\n\r\nbody\r\n", b"A: b\r\n", b"body\r\n"),
        (b"A: b\r\n\r\n", b"A: b\r\n", b""),
        (b"A: b\r\n", b"A: b\r\n", b""),
        (b"A: b", b"A: b\r\n", b""),
        (b"\r\nbody\r\n", b"", b"body\r\n"),
        (b"", b"", b""),
        (b"A: b\r\n\r\nbody", b"A: b\r\n", b"body\r\n"),
        (b"A: b\r\n\r\n\r\n\r\n", b"A: b\r\n", b"\r\n\r\n"),
    ],
)
def test_header_and_body_part_at_the_first_empty_line(content: bytes, header: bytes, body: bytes) -> None:
    """And a last line without its end gets one, wherever the pieces were cut."""
    for cut in range(len(content) + 1):
        found, whole, digest = held(content[:cut], content[cut:])
        assert (found, whole) == (header, b"New: header\r\n\r\n" + body)
        assert digest == hashlib.sha256(body.rstrip(b"\r\n") + b"\r\n" if body.strip() else b"").digest()


def test_content_that_comes_octet_by_octet_costs_no_more_than_it_is() -> None:
    """Kept as it came, each octet would cost forty."""
    holding, body = Holding(1 << 20), b"x" * 70 + b"\r\n"
    for octet in b"A: b\r\n\r\n" + body * 2000:
        holding.take(bytes([octet]))
    holding.finish()
    _, *blocks = holding.blocks(b"A: b\r\n")
    assert b"".join(blocks) == body * 2000
    assert len(blocks) == -(-len(body) * 2000 // BLOCK)


@given(st.lists(st.sampled_from([b"a: b", b"\r\n", b" ", b"\r", b"\n", b"\x00", b"x"]), max_size=12), st.data())
def test_where_it_is_cut_means_nothing(parts: list[bytes], data: st.DataObject) -> None:
    """Refused in one piece, refused in many; else the same."""
    content = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=4)))
    pieces = [content[a:b] for a, b in zip([0, *cuts], [*cuts, len(content)], strict=True)]
    assert outcome(pieces) == outcome([content])


def outcome(pieces: list[bytes]) -> object:
    try:
        return held(*pieces)
    except NotSubmittable as error:
        return error.refusal


@pytest.mark.parametrize(
    "content", [b"A: b\r\n\r\nx\ny\r\n", b"A: b\nB: c\r\n\r\n", b"A: \rb\r\n", b"A: b\r\n\r\nx\r", b"A: \x00\r\n"]
)
def test_half_a_line_end_hides_no_field(content: bytes) -> None:
    """Wherever it is."""
    for cut in range(len(content) + 1):
        with pytest.raises(NotSubmittable) as caught:
            held(content[:cut], content[cut:])
        assert caught.value.refusal[:2] == (550, b"5.6.0")


def test_what_is_too_large_is_refused_as_soon_as_it_is() -> None:
    holding = Holding(100)
    holding.take(b"x" * 100)
    with pytest.raises(NotSubmittable) as caught:
        holding.take(b"x")
    assert caught.value.refusal[:2] == (552, b"5.3.4")


@pytest.mark.parametrize("end", [b"", b"\r\n\r\nbody\r\n"])
def test_a_header_has_an_end(end: bytes) -> None:
    pieces = [b"A: " + b"x" * (MAX_HEADER // 9) + b"\r\n"] * 10 + [end]
    with pytest.raises(NotSubmittable) as caught:
        held(*pieces, most=1 << 30)
    assert caught.value.refusal[:2] == (552, b"5.3.4")


def test_what_was_passed_on_is_held_no_more() -> None:
    """Block by block: a large message is in memory once."""
    holding = Holding(1 << 30)
    holding.take(b"A: b\r\n\r\n")
    for _ in range(20):
        holding.take(b"y" * (BLOCK - 2) + b"\r\n")
    holding.finish()
    before = holding.octets
    blocks = holding.blocks(b"A: b\r\n")
    next(blocks)
    for number in range(1, 21):
        assert len(next(blocks)) == BLOCK
        assert holding.octets == before - number * BLOCK
