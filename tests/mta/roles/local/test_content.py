"""The bytes of a delivered message."""

import os
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.roles.local import content

QUEUE_ID = b"00063f8a3c1d2e4f0001"


def copied(octets, tmp_path, before=b""):
    (tmp_path / "in").write_bytes(octets)
    source = os.open(tmp_path / "in", os.O_RDONLY)
    target = os.open(tmp_path / "out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        size = content.copy(source, target, os.pread(source, content.BLOCK, 0), before)
    finally:
        os.close(source)
        os.close(target)
    written = (tmp_path / "out").read_bytes()
    assert size == len(written)
    return written


pieces = st.lists(
    st.one_of(st.just(b"\r\n"), st.binary(max_size=40).map(lambda b: re.sub(rb"[\r\n]", b"", b))), max_size=60
)


@settings(max_examples=300)
@given(pieces.map(b"".join), st.integers(1, 9))
def test_any_content_arrives_as_it_was_sent_with_lf_for_crlf(tmp_path_factory, octets, block):
    """Whatever the octets, and wherever a block of the file ends: nothing but the line ends changes."""
    folder = tmp_path_factory.mktemp("copy")
    ordinary, content.BLOCK = content.BLOCK, block
    try:
        assert copied(octets, folder, b"first\n") == b"first\n" + b"\n".join(octets.split(b"\r\n"))
    finally:
        content.BLOCK = ordinary


@pytest.mark.parametrize("extra", [-2, -1, 0, 1, 2])
def test_a_line_end_across_the_end_of_a_real_block_is_one_line_end(tmp_path, extra):
    """CR as the last octet of a block and LF as the first of the next make one LF, at the size of block that is used."""
    head = b"x" * (content.BLOCK - 1 + extra)
    assert copied(head + b"\r\n" + b"y" * 10, tmp_path) == head + b"\n" + b"y" * 10


@pytest.mark.parametrize(
    "field",
    [
        b"Delivered-To: joe@example.org",
        b"delivered-to:joe@example.org",
        b"DELIVERED-TO:\t<Joe@Example.ORG> ",
        b"Delivered-To:\r\n joe@example.org",
        b"Delivered-To: joe@example\r\n .org".replace(b"\r\n ", b""),
    ],
)
def test_a_header_that_names_the_recipient_is_a_loop(field):
    """However others write the field: case, brackets, folding."""
    header = b"Received: from a\r\n by b\r\n" + field + b"\r\nSubject: x\r\n\r\nbody"
    assert content.has_passed(b"joe@example.org", header)


@pytest.mark.parametrize(
    "octets",
    [
        b"Delivered-To: ann@example.org\r\n\r\nbody",
        b"Subject: x\r\n\r\nDelivered-To: joe@example.org\r\n",
        b"X-Delivered-To: joe@example.org\r\n\r\n",
        b"Subject: a\r\n Delivered-To: joe@example.org\r\n\r\n",
        b"Delivered-To: joe@example.org.evil.test\r\n\r\n",
        b"",
    ],
)
def test_what_only_looks_like_it_is_no_loop(octets):
    """Another recipient, the body, another field, a folded line, a longer domain."""
    assert not content.has_passed(b"joe@example.org", octets)


def test_one_delivery_has_one_name_and_two_have_two():
    """A repeated delivery must land on the same file; another recipient or message must not."""
    name = content.file_name(QUEUE_ID, b"joe@example.org", "mx.example.org")
    assert name == content.file_name(QUEUE_ID, b"joe@example.org", "mx.example.org")
    assert name.startswith(f"{int(QUEUE_ID[:16], 16) // 1_000_000}.Q")
    assert name.endswith(".mx.example.org")
    assert "/" not in name
    assert ":" not in name
    assert name != content.file_name(QUEUE_ID, b"ann@example.org", "mx.example.org")
    assert name != content.file_name(QUEUE_ID[:-1] + b"2", b"joe@example.org", "mx.example.org")
