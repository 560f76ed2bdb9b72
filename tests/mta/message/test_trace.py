"""Our Received field."""

import email.utils

from hypothesis import given
from hypothesis import strategies as st

from mta.message.trace import date_time, received_field


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


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_nothing_a_stranger_says_ends_the_field_or_opens_a_comment(helo, path):
    """Exactly our own line ends and parentheses, whatever HELO and forward-path are."""
    field = made(helo=helo, forward_path=path)
    lines = field.split(b"\r\n")
    assert lines.pop() == b""
    assert all(line.startswith(b"\t") for line in lines[1:])
    assert b"\n" not in field.replace(b"\r\n", b"")
    assert (field.count(b"("), field.count(b")")) == (1, 1)
    assert max(map(len, lines)) <= 998


@given(st.integers(0, 4_000_000_000))
def test_the_date_is_what_the_standard_library_reads_back(moment):
    """In UTC, whatever the locale."""
    assert email.utils.parsedate_to_datetime(date_time(moment).decode()).timestamp() == moment
