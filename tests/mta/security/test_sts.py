"""Policies of MTA-STS: read as RFC 8461 writes them, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.security.sts import MAX_AGE_SECONDS, MAX_PATTERNS, MAX_TEXT, Policy, PolicyError, read_policy, record_id

TEXT = (
    b"version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\nmx: *.example.net\r\nmx: backupmx.example.com\r\n"
    b"max_age: 604800\r\n"
)


def test_the_example_of_the_standard_is_read() -> None:
    """RFC 8461 3.2."""
    patterns = ("mail.example.com", "*.example.net", "backupmx.example.com")
    assert read_policy(TEXT) == Policy("enforce", 604_800, patterns)


@pytest.mark.parametrize(
    ("mx", "allowed"),
    [
        ("mail.example.com", True), ("MAIL.Example.com", True), ("a.example.net", True), ("example.net", False),
        ("a.b.example.net", False), ("mail.example.com.evil.test", False), ("xmail.example.com", False), ("", False),
        (".example.net", False),
    ],
)  # fmt: skip
def test_an_mx_is_allowed_by_its_name_or_by_one_label_for_the_star(mx: str, allowed: bool) -> None:
    """RFC 8461 4.1."""
    assert read_policy(TEXT).allows(mx) is allowed


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        (b"version: STSv1\nmode: none\nmax_age: 0\n", Policy("none", 0)),
        (b"version:STSv1\nmode:testing\nmx:MX.Example.com\nmax_age:1", Policy("testing", 1, ("mx.example.com",))),
        (
            b"mode: testing \nmode: enforce\nversion: STSv1\nmx: a.b\nmax_age: 5\nmax_age: x\n",
            Policy("testing", 5, ("a.b",)),
        ),
        (b"version: STSv1\nmode: none\nmax_age: 9999999999\nfuture: thing\n", Policy("none", MAX_AGE_SECONDS)),
    ],
)
def test_other_ways_to_write_it(text: bytes, policy: Policy) -> None:
    """Bare line ends, no spaces, any order; of a field that stands twice the first; unknown fields; a bound on the age."""
    assert read_policy(text) == policy


@pytest.mark.parametrize(
    "text",
    [
        b"", b"version: STSv2\nmode: none\nmax_age: 1\n", b"mode: none\nmax_age: 1\n", b"version: STSv1\nmax_age: 1\n",
        b"version: STSv1\nmode: none\n", b"version: STSv1\nmode: strict\nmx: a.b\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmax_age: 1\n", b"version: STSv1\nmode: enforce\nmx: *\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a.*.b\nmax_age: 1\n", b"version: STSv1\nmode: enforce\nmx: *.*.b.c\nmax_age: 1\n",
        b"version: STSv1\nmode: enforce\nmx: a..b\nmax_age: 1\n", b"version: STSv1\nmode: enforce\nmx: 192.0.2.1:25\nmax_age: 1\n",
        b"version: STSv1\nmode: none\nmax_age: -1\n", b"version: STSv1\nmode: none\nmax_age: 1e3\n",
        b"version: STSv1\nmode: none\nmax_age: 99999999999\n", b"<html><body>404</body></html>",
        b"version: STSv1\nmode: none\nmax_age: 1\nnot a field\n", b"\xff\xfe", b"version: STSv1\nmode: none\nmax_age: 1\nx: \x00\n",
        TEXT + b"x: y\n" * 20_000, TEXT.replace(b"mx: mail", b"mx: a.b\r\n" * (MAX_PATTERNS + 1) + b"mx: mail"),
        TEXT + b"\n" * 2000, b"version: STSv1\rmode: none\rmax_age: 1\r",
    ],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text: bytes) -> None:
    """Half a policy would bind a domain to something that it never said."""
    with pytest.raises(PolicyError):
        read_policy(text)


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ([b"v=STSv1; id=20160831085700Z;"], "20160831085700Z"), ([b"v=STSv1;id=a"], "a"),
        ([b"v=spf1 -all", b"v=STSv1; id=1; x=y"], "1"), ([b"v=STSv1; id=1", b"v=STSv1; id=2"], ""), ([b"v=STSv1;"], ""),
        ([b"v=STSv1; id="], ""), ([b"v=STSv1; id=" + b"a" * 33], ""), ([b"v=STSv1; id=a-b"], ""), ([b"V=STSv1; id=a"], ""),
        ([b"v=STSv1; id=\xff"], ""), ([b"v=STSv12; id=a"], ""), ([], ""),
    ],
)  # fmt: skip
def test_the_record_says_that_there_is_one(texts: list[bytes], found: str) -> None:
    """RFC 8461 3.1: exactly one record, of this version, with an id."""
    assert record_id(texts) == found


@given(st.binary(max_size=300))
def test_no_octets_raise_anything_else(octets: bytes) -> None:
    """A policy, or PolicyError; and whatever was read allows no empty name."""
    record_id([octets, b"v=STSv1;" + octets])
    for text in (octets, TEXT + octets, octets + TEXT):
        try:
            policy = read_policy(text)
        except PolicyError:
            continue
        assert not policy.allows("")


def test_a_text_of_the_greatest_length_is_still_read() -> None:
    """And one octet more is not."""
    long = TEXT + b"x: " + b"y" * (MAX_TEXT - len(TEXT) - 3)
    assert read_policy(long).mode == "enforce"
    with pytest.raises(PolicyError):
        read_policy(long + b"y")
