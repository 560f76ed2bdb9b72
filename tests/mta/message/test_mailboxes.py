"""Whom a From field names: everybody reads it alike, or it is not read."""

import email.policy
from email.headerregistry import HeaderRegistry

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.message.mailboxes import MAX_MAILBOXES, NotMailboxes, mailboxes


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"joe@example.org", [b"joe@example.org"]),
        (b"<joe@example.org>", [b"joe@example.org"]),
        (b"Joe <joe@example.org>", [b"joe@example.org"]),
        (b"Joe Q. Public <Joe@Example.org>", [b"Joe@Example.org"]),
        (b'"Public, Joe" <joe@example.org>', [b"joe@example.org"]),
        (b'"boss@example.org" <joe@example.org>', [b"joe@example.org"]),
        (b"=?utf-8?q?J=C3=B6?= <j@example.org>", [b"j@example.org"]),
        ("Jörg <jörg@bücher.example>".encode(), ["jörg@bücher.example".encode()]),
        (b"joe@example.org (Joe (the) Plumber)", [b"joe@example.org"]),
        (b"(a) Joe (b) <joe@example.org> (c)", [b"joe@example.org"]),
        (b"a@example.org, B <b@example.org> ,c@example.org", [b"a@example.org", b"b@example.org", b"c@example.org"]),
        (b'"joe"@example.org', [b"joe@example.org"]),
        (b'"j \\"o\\" e"@example.org', [b'"j \\"o\\" e"@example.org']),
        (b'"a(b"@example.org', [b'"a(b"@example.org']),
        (b"a\r\n <joe@example.org>\r\n", [b"joe@example.org"]),
        (b'"a" "b"<joe@example.org>', [b"joe@example.org"]),
        (b"a.b@sub.x-y.example", [b"a.b@sub.x-y.example"]),
    ],
)
def test_addresses_are_found(text: bytes, found: list[bytes]) -> None:
    assert mailboxes(text) == found


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b",",
        b"joe",
        b"joe@",
        b"@example.org",
        b"<>",
        b"joe@example.org,",
        b",joe@example.org",
        b"boss@example.org <joe@example.org>",
        b"boss@example.org joe@example.org",
        b"<boss@example.org> <joe@example.org>",
        b"<joe@example.org> boss@example.org",
        b"friends: joe@example.org;",
        b"undisclosed:;",
        b"<@relay.example:joe@example.org>",
        b"joe@[192.0.2.1]",
        b"joe @example.org",
        b"joe@ example.org",
        b"joe(boss)@example.org",
        b"joe.@example.org",
        b".joe@example.org",
        b"j..e@example.org",
        b"joe@example..org",
        b"joe@-example.org",
        b"joe@example.org (",
        b"joe@example.org )",
        b"joe@example.org )(",
        b'joe@example.org ("<boss@example.org>")',
        b'"joe@example.org',
        b"joe@example.org\x00",
        b"\x1b[31m <joe@example.org>",
        b"<joe@example.org",
        b"joe@example.org;boss@example.org",
        b'Joe" <joe@example.org>',
    ],
)
def test_what_can_be_read_in_two_ways_is_not_read(text: bytes) -> None:
    """Among it what is obsolete, and an address where a name should stand."""
    with pytest.raises(NotMailboxes):
        mailboxes(text)


def test_the_number_is_bounded() -> None:
    text = b", ".join([b"joe@example.org"] * MAX_MAILBOXES)
    assert len(mailboxes(text)) == MAX_MAILBOXES
    with pytest.raises(NotMailboxes, match="more than"):
        mailboxes(text + b", joe@example.org")


PIECES = [
    b"joe",
    b"@",
    b"example.org",
    b"<",
    b">",
    b'"',
    b"(",
    b")",
    b",",
    b" ",
    b"\\",
    b":",
    b";",
    b".",
    b"boss@example.org",
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join))
def test_the_standard_library_reads_the_same_addresses_wherever_we_read_any(text: bytes) -> None:
    """Another reader, with another way of reading; what it finds faulty it may read as it likes."""
    try:
        found = mailboxes(text)
    except NotMailboxes:
        return
    header = HeaderRegistry()("from", text.decode())
    assert email.policy.default is not None
    theirs = [address.addr_spec.encode() for address in header.addresses]
    assert theirs == found or any(b'"' in address for address in found)


@pytest.mark.parametrize(
    "text", [b"(" * 60_000, b"a " * 30_000, b'"' * 60_000, b"a." * 30_000, b"a,<" * 20_000, b"\\" * 60_000]
)
def test_nonsense_is_refused_quickly(text: bytes) -> None:
    with pytest.raises(NotMailboxes):
        mailboxes(text)
