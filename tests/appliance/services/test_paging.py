"""Cursors come from clients: any text may arrive as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.errors import Invalid, NotFound
from appliance.services.paging import check_limit, decode_cursor, encode_cursor


@given(st.integers(0, 1 << 62), st.text(max_size=20).filter(lambda text: text.isprintable()))
def test_a_cursor_reads_back(number, text):
    """With the kinds of its parts."""
    assert decode_cursor(encode_cursor(number, text), int, str) == [number, text]


@given(st.text(max_size=30))
def test_any_other_text_is_refused(text):
    """Never a failure of ours."""
    with pytest.raises(NotFound) as caught:
        decode_cursor(text, int, str)
    assert caught.value.code == "bad_cursor"


@pytest.mark.parametrize("key", [(1,), ("a", 1), (1, "a", 2), (True, "a"), (None, "a")])
def test_a_cursor_of_another_list_is_refused(key):
    """The kinds of its parts are looked at."""
    with pytest.raises(NotFound):
        decode_cursor(encode_cursor(*key), int, str)


@pytest.mark.parametrize("limit", [0, -1, 501])
def test_a_page_has_a_sensible_length(limit):
    """1 to 500."""
    with pytest.raises(Invalid):
        check_limit(limit)
    assert check_limit(500) == 500
