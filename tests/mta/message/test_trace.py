"""Our Received field."""

import email.utils

from hypothesis import given
from hypothesis import strategies as st

from mta.message.trace import date_time, passing_mark, received_field


def made(**other):
    fields = {
        "helo": b"client.test", "client": b"192.0.2.7", "host": b"mx.test", "protocol": b"ESMTP", "queue_id": b"0" * 20,
        "forward_path": b"joe@example.test", "moment": 1_800_000_000,
    }  # fmt: skip
    return received_field(**(fields | other))


def test_it_has_the_form_of_rfc_5321():
    """from, by, with, id, for, date; the client's address as a literal."""
    assert made() == (
        b"Received: from client.test ([192.0.2.7])\r\n\tby mx.test with ESMTP id 00000000000000000000\r\n"
        b"\tfor <joe@example.test>; Fri, 15 Jan 2027 08:00:00 +0000\r\n"
    )
    assert b"([IPv6:2001:db8::1])" in made(client=b"2001:db8::1")


def test_it_says_how_the_connection_was_protected():
    """The protocol's word is RFC 3848's; version and cipher stand in a comment behind it."""
    field = made(protocol=b"ESMTPS", tls=b"TLSv1.3 TLS_AES_256_GCM_SHA384")
    assert b"with ESMTPS (TLSv1.3 TLS_AES_256_GCM_SHA384) id 0000" in field
    assert b"with UTF8SMTP id 0000" in made(protocol=b"UTF8SMTP")


def test_a_recipient_beyond_ascii_stands_in_it_as_he_was_written_to():
    """RFC 6531 3.7.3: the trace fields of such a message may hold UTF-8."""
    assert "\tfor <jürgen@example.test>;".encode() in made(forward_path="jürgen@example.test".encode())


@given(st.binary(max_size=400), st.binary(max_size=400), st.binary(min_size=1, max_size=400))
def test_nothing_a_stranger_says_ends_the_field_or_opens_a_comment(helo, path, tls):
    """Exactly our own line ends and parentheses, whatever HELO, forward-path and the name of a cipher are."""
    field = made(helo=helo, forward_path=path, tls=tls)
    lines = field.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith(b"\t") for line in lines[1:])
    assert b"\n" not in field.replace(b"\r\n", b"")
    assert (field.count(b"("), field.count(b")")) == (2, 2)
    assert max(map(len, lines)) <= 998


@given(st.integers(0, 4_000_000_000))
def test_the_date_is_what_the_standard_library_reads_back(moment):
    """In UTC, whatever the locale."""
    assert email.utils.parsedate_to_datetime(date_time(moment).decode()).timestamp() == moment


def test_a_mark_says_for_whom_to_whoever_has_the_key():
    """As a comment, beside the one recipient; nobody else can make it, or tell whose it is."""
    mark = passing_mark(b"k" * 32, b"Joe@Example.test")
    assert f"\tfor <joe@example.test> (passed {mark.decode()});".encode() in made(mark=mark)
    assert b"passed" not in made(mark=mark, forward_path=b"")
    assert mark == passing_mark(b"k" * 32, b"joe@example.test")
    assert len({mark, passing_mark(b"K" * 32, b"joe@example.test"), passing_mark(b"k" * 32, b"ann@example.test")}) == 3
