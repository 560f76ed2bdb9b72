"""Canonical forms, as RFC 6376 3.4 has them."""

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.message.dkim.canonical import BodyHash, Form, NotAHeader, canonical_field, select_fields, split_fields


def digest(body: bytes, form: Form, cuts: tuple[int, ...] = ()) -> bytes:
    hashed, start = BodyHash(form), 0
    for cut in sorted(cut for cut in cuts if cut <= len(body)):
        hashed.update(body[start:cut])
        start = cut
    hashed.update(body[start:])
    return hashed.digest()


@pytest.mark.parametrize(
    ("body", "relaxed", "simple"),
    [
        (b" C \r\nD \t E\r\n\r\n\r\n", b" C\r\nD E\r\n", b" C \r\nD \t E\r\n"),  # the example of 3.4.5
        (b"", b"", b"\r\n"),
        (b"\r\n\r\n", b"", b"\r\n"),
        (b" \t\r\n \r\n", b"", b" \t\r\n \r\n"),
        (b"a", b"a\r\n", b"a\r\n"),
        (b"a \t", b"a\r\n", b"a \t\r\n"),  # as its next relay would send it on
        (b"a\r\r\n", b"a\r\r\n", b"a\r\r\n"),  # half a line end is text
        (b"a\n\n", b"a\n\n\r\n", b"a\n\n\r\n"),
        (b"a\r", b"a\r\r\n", b"a\r\r\n"),
        (b"a \r", b"a \r\r\n", b"a \r\r\n"),
        (b"\n", b"\n\r\n", b"\n\r\n"),
        (b"a\r\n\t\r\nb", b"a\r\n\r\nb\r\n", b"a\r\n\t\r\nb\r\n"),
    ],
)
def test_a_body_counts_in_its_canonical_form(body: bytes, relaxed: bytes, simple: bytes) -> None:
    assert digest(body, Form.RELAXED) == hashlib.sha256(relaxed).digest()
    assert digest(body, Form.SIMPLE) == hashlib.sha256(simple).digest()


@given(
    st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\r", b"\n", b"\r\n\r\n", b"bc d"])).map(b"".join),
    st.lists(st.integers(0, 40)).map(tuple),
    st.sampled_from(Form),
)
def test_where_a_body_is_cut_means_nothing(body: bytes, cuts: tuple[int, ...], form: Form) -> None:
    """Two pieces of a line end, of a run of blanks, of the blank lines at the end: as in one piece."""
    assert digest(body, form, cuts) == digest(body, form)


@given(st.lists(st.sampled_from([b"a", b" ", b"\t", b"\r\n", b"\r", b"\n"])).map(b"".join))
def test_what_a_relay_may_do_to_blanks_changes_nothing_in_the_relaxed_form(body: bytes) -> None:
    """Blank lines added behind, runs of blanks made longer: the same hash."""
    body += b"\r\n"
    changed = body.replace(b" ", b" \t ") + b" \r\n\r\n"
    assert digest(body, Form.RELAXED) == digest(changed, Form.RELAXED)


def test_a_part_of_the_body_counts_where_a_part_is_signed() -> None:
    """l= is about octets of the canonical form."""
    hashed = BodyHash(Form.RELAXED, 4)
    hashed.update(b"a   bcdef\r\n")
    assert hashed.digest() == hashlib.sha256(b"a bc").digest()
    assert hashed.octets == len(b"a bcdef\r\n")


@pytest.mark.parametrize("piece", [b"\r\n" * 30_000, b" " * 60_000, b"\n" * 60_000, b"\r" * 60_000, b" \r\n" * 20_000])
def test_nothing_but_blanks_costs_little_time(piece: bytes) -> None:
    """Six megabytes of what is not text, or of halves of line ends: no quadratic search, and no memory that grows."""
    hashed, began = BodyHash(), time.process_time()
    for _ in range(100):
        hashed.update(piece)
    hashed.digest()
    assert time.process_time() - began < 4


def test_a_field_counts_in_its_canonical_form() -> None:
    """The example of RFC 6376 3.4.5."""
    first, second = split_fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\n")
    assert [canonical_field(field, Form.RELAXED) for field in (first, second)] == [b"a:X\r\n", b"b:Y Z\r\n"]
    assert canonical_field(second, Form.SIMPLE) == b"B : Y\t\r\n\tZ  \r\n"


@pytest.mark.parametrize(
    "line", [b"no colon\r\n", b"a b: c\r\n", b": c\r\n", b"a: b", b"a: b\n", b"a: \rb\r\n", b"\xc3\xa9: b\r\n", b"\r\n"]
)
def test_what_is_no_header_is_refused(line: bytes) -> None:
    """And the words say in which line."""
    with pytest.raises(NotAHeader, match="line 2 "):
        split_fields(b"ok: 1\r\n" + line)
    with pytest.raises(NotAHeader, match="line 1 "):
        split_fields(b" folded: before anything\r\n")


def test_of_several_fields_the_last_is_chosen_first() -> None:
    fields = [b"A: 1\r\n", b"b: x\r\n", b"a: 2\r\n"]
    assert list(select_fields(fields, [b"a", b"A", b"a", b"c", b"B"])) == [b"a: 2\r\n", b"A: 1\r\n", b"b: x\r\n"]
