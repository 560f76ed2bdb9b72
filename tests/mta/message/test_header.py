"""The edges of header sections."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.message.header import header_section, whole_lines


@pytest.mark.parametrize(
    ("content", "header"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nbody\r\n\r\nmore", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\nB: 2\n\nbody", b"A: 1\nB: 2\n"),
        (b"A: 1\r\n", b"A: 1\r\n"),
        (b"\r\nbody", b""),
        (b"\nbody", b""),
        (b"", b""),
    ],
)
def test_the_header_section_ends_at_the_first_empty_line(content, header):
    """With either line end, and when there is no body or no header."""
    assert header_section(content) == header


@given(
    st.lists(st.tuples(st.from_regex(rb"[A-Z]{1,5}", fullmatch=True), st.booleans()), max_size=8), st.integers(0, 80)
)
def test_a_cut_header_ends_with_a_whole_field(fields, limit):
    """No half field, no field without its continuation lines, and as much as fits."""
    parts = [name + b": x\r\n" + (b" folded\r\n" if folded else b"") for name, folded in fields]
    kept = whole_lines(b"".join(parts), limit)
    fitting = [b"".join(parts[:count]) for count in range(len(parts) + 1) if len(b"".join(parts[:count])) <= limit]
    assert kept == fitting[-1]
