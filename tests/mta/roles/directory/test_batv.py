"""Tags of return paths: read where they were made, for as long as they are good, and made by nobody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.directory import batv

DAY, DOMAIN = 20_000, b"one.example"
NEW, OLD = b"n" * 32, b"o" * 32


def test_a_tag_is_read_where_it_was_made():
    """In any case of letters; the local-part comes back as it was written."""
    tagged = batv.sign(b"Bob.Smith", DOMAIN, NEW, DAY)
    assert batv.is_tagged(tagged)
    assert tagged == b"prvs=0014" + tagged[9:15] + b"=Bob.Smith"
    assert batv.read(tagged, DOMAIN, [NEW], DAY) == b"Bob.Smith"
    assert batv.read(tagged.upper(), DOMAIN.upper(), [NEW], DAY) == b"BOB.SMITH"
    assert batv.sign(tagged, DOMAIN, NEW, DAY) == tagged, "never twice"


@pytest.mark.parametrize(
    ("day", "grace", "holds"),
    [
        (DAY, 0, True), (DAY + batv.VALID_DAYS, 0, True), (DAY + batv.VALID_DAYS + 1, 0, False),
        (DAY + batv.VALID_DAYS + 1, 5, True), (DAY + batv.VALID_DAYS + 6, 5, False), (DAY - 1, 0, False),
        (DAY + 500, 5, False),
    ],
)  # fmt: skip
def test_a_tag_is_good_for_two_weeks(day, grace, holds):
    """A message that was taken in time may wait in our own queue a little longer."""
    tagged = batv.sign(b"bob", DOMAIN, NEW, DAY)
    assert (batv.read(tagged, DOMAIN, [NEW], day, grace) is not None) is holds


def test_after_a_rotation_the_old_secret_is_still_believed():
    """Two secrets may share the digit that names them."""
    twin = NEW[:1] + b"t" * 31
    tagged = batv.sign(b"bob", DOMAIN, OLD, DAY)
    assert batv.read(tagged, DOMAIN, [NEW, twin, OLD], DAY) == b"bob"
    assert batv.read(tagged, DOMAIN, [NEW, twin], DAY) is None
    assert batv.read(batv.sign(b"bob", DOMAIN, twin, DAY), DOMAIN, [NEW, twin], DAY) == b"bob"


def test_a_tag_is_good_for_its_address_alone():
    """Neither for a neighbour, nor for the same name elsewhere, nor for longer."""
    tagged = batv.sign(b"bob", DOMAIN, NEW, DAY)
    assert batv.read(tagged[:-1] + b"x", DOMAIN, [NEW], DAY) is None
    assert batv.read(tagged, b"two.example", [NEW], DAY) is None
    assert batv.read(b"prvs=0015" + tagged[9:], DOMAIN, [NEW], DAY) is None
    assert batv.read(b"prvs=1014" + tagged[9:], DOMAIN, [NEW], DAY) is None


@pytest.mark.parametrize(
    ("local_part", "can"), [(b"b" * 48, True), (b"b" * 49, False), (b"a b", False), (b"x=y", True)]
)
def test_who_has_no_room_for_a_tag_has_none(local_part, can):
    """RFC 5321 4.5.3.1.1: 64 octets, quotes included."""
    assert batv.can_sign(local_part) is can
    signed = batv.sign(local_part, DOMAIN, NEW, DAY)
    assert (signed != local_part) is can
    assert len(signed) <= 64


@given(st.binary(max_size=80))
def test_rubbish_is_no_tag(rubbish):
    """And does not raise."""
    for begin in (b"", b"prvs=", b"prvs=0014"):
        assert batv.read(begin + rubbish, DOMAIN, [NEW, OLD], DAY) is None
