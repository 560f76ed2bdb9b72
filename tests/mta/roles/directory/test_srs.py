"""Rewritten return paths: they lead home, whatever was in front, and nobody else can make one."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.directory import srs
from mta.vocabulary import MAX_LOCAL_PART

HOST, DAY = b"mx.example", 20_000
NEW, OLD = b"n" * 32, b"o" * 32


def rewritten(path, secret=NEW, day=DAY):
    made, kept = srs.rewrite(path, HOST, secret, day)
    local_part, _, domain = made.rpartition(b"@")
    assert domain == HOST
    assert srs.is_ours(local_part)
    assert len(local_part) <= MAX_LOCAL_PART
    return local_part, kept


@pytest.mark.parametrize(
    ("path", "begins"),
    [
        (b"Ann@else.example", b"SRS0="),
        (b"a=b=c@else.example", b"SRS0="),
        (b"SRS0=abcd=ef=first.example=Ann@second.example", b"SRS1="),
        (b"SRS0+abcd=ef=first.example=Ann@second.example", b"SRS1="),
        (b"srs0=x@odd.example", b"SRS1="),
        (b"SRS1=abcd@odd.example", b"SRS0="),
        ("jürgen@bücher.example".encode(), b"SRS0="),
    ],
)
def test_what_was_made_here_leads_home(path, begins):
    """Also with every letter in another case, as some hosts send it back; then the name has that case."""
    local_part, kept = rewritten(path)
    assert local_part.startswith(begins)
    assert kept is None
    found = srs.restore(local_part, [NEW], DAY)
    expected = path[:4].upper() + path[4:] if path[:4].lower() == b"srs0" else path
    assert found == expected
    assert srs.restore(local_part.upper(), [NEW], DAY).lower() == expected.upper().lower()


def test_behind_another_forwarder_only_the_first_one_is_remembered():
    """However long the chain: a bounce goes to the host that knows the sender, and the path grows no more."""
    local_part, _ = rewritten(b"SRS1=zzzz=first.example==hash=tt=home.example=Ann@second.example")
    assert local_part.endswith(b"=first.example==hash=tt=home.example=Ann")
    assert srs.restore(local_part, [NEW], DAY) == b"SRS0=hash=tt=home.example=Ann@first.example"


@pytest.mark.parametrize(
    "path",
    [
        b"x" * 64 + b"@else.example",
        b"SRS0=abcd=ef=" + b"first." * 6 + b"example=Ann@second.example",
        b'"very odd"@else.example',
        b"ann@[192.0.2.1]",
        b"ann@[IPv6:2001:db8::1]",
        b"ann@a=b",
        b"abcdefghijklmnop@",
        b"@else.example",
        b"postmaster",
    ],
)
def test_what_does_not_fit_is_kept_here_under_a_short_name(path):
    """RFC 5321 4.5.3.1.1: no server need take more than 64 octets."""
    local_part, kept = rewritten(path)
    assert kept is not None
    assert srs.restore(local_part, [NEW], DAY) == kept
    assert srs.restore(local_part.swapcase(), [NEW], DAY) == kept
    assert rewritten(path)[1] == kept, "kept once, however often it comes"
    assert rewritten(path + b"x")[1] != kept


@pytest.mark.parametrize(
    ("day", "holds"), [(DAY, True), (DAY + srs.VALID_DAYS, True), (DAY + srs.VALID_DAYS + 1, False), (DAY - 1, False)]
)
@pytest.mark.parametrize("made_on", [DAY, 1023, 1024])
def test_it_is_good_for_some_weeks(made_on, day, holds):
    """Also over the end of the two digits that count days."""
    local_part, _ = rewritten(b"ann@else.example", day=made_on)
    assert (srs.restore(local_part, [NEW], day - DAY + made_on) is not None) is holds


def test_an_older_secret_is_believed_and_a_forgotten_one_is_not():
    """After a rotation mail is still on its way."""
    local_part, _ = rewritten(b"ann@else.example", secret=OLD)
    assert srs.restore(local_part, [NEW, OLD], DAY) == b"ann@else.example"
    assert srs.restore(local_part, [NEW], DAY) is None
    assert srs.restore(local_part, [], DAY) is None


def test_no_octet_of_it_can_be_changed():
    """Another sender, another day, another kind: each would make us send mail to whoever is named."""
    for path in (b"ann@else.example", b"SRS0=ab=cd=first.example=ann@second.example", b"x" * 60 + b"@else.example"):
        local_part, _ = rewritten(path)
        for place in range(len(local_part)):
            for other in b"a=z7":
                changed = local_part[:place] + bytes([other]) + local_part[place + 1 :]
                if changed.lower() != local_part.lower() and srs.is_ours(changed):
                    assert srs.restore(changed, [NEW], DAY) is None, changed


@given(st.binary(max_size=100))
def test_anything_at_all_is_no_path_of_ours(rubbish):
    """And does not raise."""
    for begin in (b"SRS0=", b"srs1=", b""):
        assert srs.restore(begin + rubbish, [NEW, OLD], DAY) is None


ATEXT = string.ascii_letters + string.digits + "!#$%&'*+-/=?^_`{|}~."


@given(st.text(ATEXT, min_size=1, max_size=64), st.integers(0, 5000))
def test_every_sender_comes_back(name, day):
    """Whatever an address may be made of."""
    path = name.encode() + b"@else.example"
    local_part, kept = rewritten(path, day=day)
    found = srs.restore(local_part, [NEW], day)
    assert found == kept if kept else found.lower() == path.lower()
