"""Content by blocks: stuffed wherever a block may end, and never anything else than what lies in the spool."""

import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.roles.remote import content as module
from mta.roles.remote.content import Content
from mta.smtp.content import ContentReader


def content_of(octets):
    with tempfile.TemporaryFile() as file:
        file.write(octets)
        file.flush()
        return Content(os.dup(file.fileno()))


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b".\r\n", b"\r\n.\r\n"]), max_size=30), st.integers(1, 5))
def test_what_a_reader_takes_out_again_is_what_lay_there(pieces, block):
    """Whatever the blocks' size: the server's own reader is the judge."""
    octets = b"".join(pieces) + b"\r\n"
    saved, module.BLOCK = module.BLOCK, block
    try:
        content = content_of(octets)
        sent = b"".join(content.stuffed_blocks())
        assert b"".join(content.blocks()) == octets
    finally:
        module.BLOCK = saved
    reader = ContentReader()
    found, rest = reader.read(sent + b".\r\n")
    assert (found, rest) == (octets, b"")
    content.close()
    content.close()


@pytest.mark.parametrize(
    ("octets", "whole", "header"),
    [
        (b"A: b\r\n\r\nc\r\n", True, True), (b"A: b\r\n\r\n\xff\r\n", False, True), (b"A: \xff\r\n\r\nc\r\n", False, False),
        (b"A: b\r\n" * 20_000 + b"\r\n\xff\r\n", False, True), (b"A: b\r\n" * 20_000 + b"B: \xff\r\n\r\n", False, False),
    ],
)  # fmt: skip
def test_what_is_beyond_ascii(octets, whole, header):
    """In all of it, and in the header section, however long."""
    content = content_of(octets)
    assert (content.is_ascii(), content.is_header_ascii()) == (whole, header)
    assert content.is_short == (len(octets) <= module.BLOCK)
    content.close()
