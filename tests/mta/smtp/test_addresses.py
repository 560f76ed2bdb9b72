"""Paths of MAIL and RCPT, right and wrong."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.smtp.addresses import BadPath, Fault, parse_forward_path, parse_reverse_path

HOST = b"mx.example.test"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (b"<joe@example.test>", b"joe@example.test"),
        (b"<Joe.Ann+tag@Example.Test>", b"Joe.Ann+tag@Example.Test"),
        (b"<!#$%&'*+/=?^_`{|}~-@a.b>", b"!#$%&'*+/=?^_`{|}~-@a.b"),
        (b"<joe@under_score.test>", b"joe@under_score.test"),
        (b"<joe@localhost>", b"joe@localhost"),
        (b'<"joe"@a.b>', b"joe@a.b"),
        (b'<"joe.ann"@a.b>', b"joe.ann@a.b"),
        (b'<"j\\o\\e"@a.b>', b"joe@a.b"),
        (b'<"joe "@a.b>', b'"joe "@a.b'),
        (b'<"a\\"b\\\\c"@a.b>', b'"a\\"b\\\\c"@a.b'),
        (b'<"joe\\ ann"@a.b>', b'"joe ann"@a.b'),
        (b'<""@a.b>', b'""@a.b'),
        (b'<"@"@a.b>', b'"@"@a.b'),
        (b"<@x.test:joe@a.b>", b"joe@a.b"),
        (b"<@x.test,@y.test:joe@a.b>", b"joe@a.b"),
        (b"<joe@[192.0.2.1]>", b"joe@[192.0.2.1]"),
        (b"<joe@[IPv6:2001:db8::1]>", b"joe@[IPv6:2001:db8::1]"),
        (b"<joe@[ipv6:::1]>", b"joe@[ipv6:::1]"),
        (b"<PostMaster>", b"postmaster@mx.example.test"),
    ],
)
def test_good_paths(text: bytes, address: bytes) -> None:
    """Brackets, source route and needless quotes go; everything else stays as it was said."""
    assert parse_forward_path(text + b" X=1", HOST) == (address, len(text))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"<", b">", b"<>", b"joe@a.b", b"<joe@a.b", b"<joe>", b"<@a.b>", b"<joe@>", b"<.joe@a.b>", b"<joe.@a.b>",
        b"<jo..e@a.b>", b"<jo e@a.b>", b"<joe@a..b>", b"<joe@.a.b>", b"<joe@a.b.>", b"<joe@-a.b>", b"<joe@a-.b>",
        b"<joe@a b>", b'<"joe@a.b>', b'<"jo"e@a.b>', b'<"jo\te"@a.b>', b"<joe@a@b>", b"<@x.test joe@a.b>", b"<@x.test:>",
        b"<joe@[192.0.2]>", b"<joe@[192.0.2.256]>", b"<joe@[IPv6:1]>", b"<joe@[IPv6::::]>", b"<joe@[Tag:x]>", b"<joe@[]>",
        b"<joe(comment)@a.b>", b"<jo\\e@a.b>", b"<postmaster@>", b"<joe@a.b\x00>", b"<j\xff@a.b>",
    ],
)  # fmt: skip
def test_bad_paths(text: bytes) -> None:
    """None of these is an address, however near."""
    with pytest.raises(BadPath) as caught:
        parse_forward_path(text, HOST)
    assert caught.value.fault is Fault.SYNTAX


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<jö@a.b>", "jö@a.b"),
        ("<jö.é+x@bücher.example>", "jö.é+x@bücher.example"),
        ("<用户@例子.广告>", "用户@例子.广告"),
        ('<"jö"@a.b>', "jö@a.b"),
        ('<"j ö"@a.b>', '"j ö"@a.b'),
        ("<@bücher.example:jö@a.b>", "jö@a.b"),
        ("<a@" + "語" * 30 + ".test>", "a@" + "語" * 30 + ".test"),
    ],
)
def test_good_paths_beyond_ascii(text: str, address: str) -> None:
    """RFC 6531 3.3: in a local-part, quoted or not, and in a domain; both as they were said."""
    assert parse_forward_path(text.encode() + b" X=1", HOST) == (address.encode(), len(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        b"<j\xc3@a.b>", b"<j\xff@a.b>", b"<j\xc0\xafo@a.b>", b"<j\xed\xa0\x80@a.b>", b"<a@b\xc3.test>", b"<j\xc2\x85@a.b>",
        b'<"j\\\xc3\xb6"@a.b>', b"<\xc3\xb6>", b"<a@[\xc3\xb6]>", b"<\xc3\xb6 \xc3\xb6@a.b>",
    ],
)  # fmt: skip
def test_bad_paths_beyond_ascii(text: bytes) -> None:
    """Broken UTF-8, another control character than ASCII's, and what no address is in any script."""
    with pytest.raises(BadPath) as caught:
        parse_forward_path(text, HOST)
    assert caught.value.fault is Fault.SYNTAX


@pytest.mark.parametrize(
    ("text", "good"),
    [
        (b"<" + b"a" * 64 + b"@a.b>", True),
        (b"<" + b"a" * 65 + b"@a.b>", False),
        (b"<a@" + b"b" * 63 + b".test>", True),
        (b"<a@" + b"b" * 64 + b".test>", False),
        (b"<a@" + b"bcd." * 62 + b"test>", True),
        (b"<a@" + b"bcd." * 62 + b"tests>", False),
        (("<" + "ö" * 32 + "@a.b>").encode(), True),
        (("<" + "ö" * 33 + "@a.b>").encode(), False),
    ],
)
def test_limits_of_a_recipient(text: bytes, good: bool) -> None:
    """RFC 5321 4.5.3.1: 64 octets of local-part, 63 of a label, 254 of a path."""
    if good:
        parse_forward_path(text, HOST)
    else:
        with pytest.raises(BadPath) as caught:
            parse_forward_path(text, HOST)
        assert caught.value.fault is Fault.TOO_LONG


def test_a_sender_may_have_a_long_local_part_but_no_long_path() -> None:
    """Senders write recipients into theirs; mail is not lost for it."""
    assert parse_reverse_path(b"<" + b"a" * 200 + b"@a.b>").address == b"a" * 200 + b"@a.b"
    with pytest.raises(BadPath):
        parse_reverse_path(b"<" + b"a" * 251 + b"@a.b>")


def test_the_null_reverse_path_is_empty() -> None:
    """RFC 5321 4.5.5."""
    assert parse_reverse_path(b"<> SIZE=1") == (b"", 2)


ADDRESS_OCTETS = st.lists(
    st.sampled_from([b"<", b">", b"@", b".", b'"', b"\\", b" ", b"a", b"-", b"_", b"[", b"]", b":", b",", b"1", b"IPv6:",
                     b"\xc3", "ö".encode()]),
    max_size=30,
).map(b"".join)  # fmt: skip


@given(st.one_of(st.binary(max_size=300), ADDRESS_OCTETS))
def test_whatever_is_said_it_is_a_path_or_a_bad_path(text: bytes) -> None:
    """Nothing else is raised; and what is accepted is again accepted, as the same address."""
    for parse in (parse_reverse_path, lambda said: parse_forward_path(said, HOST)):
        try:
            address, end = parse(text)
        except BadPath:
            continue
        assert 0 < end <= len(text)
        assert not set(address) & set(b"\r\n\0<" if b'"' not in address else b"\r\n\0")
        assert parse(b"<" + address + b">").address == address


def test_no_text_makes_the_patterns_slow() -> None:
    """Patterns that backtrack would take minutes on these."""
    began = time.process_time()
    for text in (
        b"a" * 2000,
        b"a-" * 1000,
        b"a." * 1000,
        b"<@" + b"a-" * 1000,
        b'<"' + b"\\a" * 1000,
        b"<a@" + b"a-" * 1000,
    ):
        with pytest.raises(BadPath):
            parse_forward_path(text, HOST)
    assert time.process_time() - began < 1.0
