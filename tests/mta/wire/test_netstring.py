"""One spelling of every value, and nothing else is understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.wire.netstring import MAX_FIELDS, MAX_MESSAGE, WireError, pack, unpack

FIELDS = st.lists(st.binary(max_size=300), max_size=40)


@given(FIELDS)
def test_what_was_packed_is_unpacked(fields: list[bytes]) -> None:
    """Any octets at all survive, empty fields and no fields too."""
    assert unpack(pack(fields)) == fields


@given(st.binary(max_size=200))
def test_what_is_understood_has_only_this_spelling(packet: bytes) -> None:
    """Whatever unpack accepts, pack would have written exactly so: two processes cannot read the same octets differently."""
    try:
        fields = unpack(packet)
    except WireError:
        return
    assert pack(fields) == packet


@given(FIELDS.filter(bool), st.data())
def test_truncation_is_noticed_wherever_it_happens(fields: list[bytes], data: st.DataObject) -> None:
    """A packet cut anywhere is either refused or is exactly its first whole fields."""
    packet = pack(fields)
    cut = packet[: data.draw(st.integers(1, len(packet) - 1))]
    try:
        found = unpack(cut)
    except WireError:
        return
    assert found == fields[: len(found)]
    assert pack(found) == cut


@pytest.mark.parametrize(
    "packet",
    [b"01:a,", b"+1:a,", b" 1:a,", b"1 :a,", b"-1:a,", b"1:a", b"1:a;", b"1a,", b":,", b"a:,", b"2:a,", b"1:ab,", b"99999999:a,",
     b"1:a,x", "١:a,".encode(), b"1:a,1:", b"\x00:,", b"0x1:a,"],
)  # fmt: skip
def test_another_spelling_is_refused(packet: bytes) -> None:
    """Leading zeros, signs, spaces, other digits, missing commas, things left over."""
    with pytest.raises(WireError):
        unpack(packet)


def test_bounds_hold_both_ways() -> None:
    """Neither a packet over the bound nor one with too many fields is written or read."""
    with pytest.raises(WireError):
        pack([b"x" * MAX_MESSAGE])
    assert len(unpack(b"0:," * MAX_FIELDS)) == MAX_FIELDS
    with pytest.raises(WireError):
        unpack(b"0:," * (MAX_FIELDS + 1))
