"""Header text beyond ASCII, both ways."""

import email.header
import time

import pytest

from mta.message.encoded_words import MAX_DECODED, decode, encode


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"plain words", "plain words"),
        (b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        (b"=?iso-8859-1?q?Gr=FC=DFe_aus?= Wien", "Grüße aus Wien"),
        (b"=?UTF-8?B?R3LDvMOfZQ?=", "Grüße"),  # padding left out, as some do
        (b"=?utf-8?q?one?= \r\n\t=?utf-8?q?two?=", "onetwo"),  # RFC 2047 6.2
        (b"=?utf-8?q?one?= and =?utf-8?q?two?=", "one and two"),
        (b"=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),  # RFC 2231 5
        (b"=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        (b"=?shift_jis?B?k/qWew==?=", "日本"),
        ("Grüße".encode(), "Grüße"),  # RFC 6532
        (b"=?utf-8?q?broken", "=?utf-8?q?broken"),
        (b"=?utf-8?B?!!?=", "=?utf-8?B?!!?="),
        (b"=?utf-8?q?=FF?=", "=?utf-8?q?=FF?="),
        (b"", ""),
    ],
)
def test_encoded_words_become_text_and_what_nobody_can_read_stays_as_it_is(body: bytes, text: str) -> None:
    assert decode(body) == text


@pytest.mark.parametrize(
    "charset", ["unicode_escape", "zip", "rot13", "punycode", "idna", "utf-7", "x" * 41, "no-such"]
)
def test_only_what_mail_is_written_in_is_decoded(charset: str) -> None:
    """A charset is a name that a stranger chose; Python has codecs under many names, and not all of them are of text."""
    body = f"=?{charset}?q?abc?=".encode()
    assert decode(body) == body.decode()


@pytest.mark.parametrize("piece", [b"=?", b"=?utf-8?q?", b"=?utf-8?q?a?= ", b"?= =?", b"=?a?b?=?", b" \r\n"])
def test_no_subject_costs_time_worth_speaking_of(piece: bytes) -> None:
    began = time.process_time()
    decode(piece * 60_000)
    assert time.process_time() - began < 0.25


def test_what_is_beyond_the_bound_is_not_looked_at() -> None:
    assert len(decode(b"x" * 100_000)) == MAX_DECODED


@pytest.mark.parametrize(
    "text", ["plain", "Grüße", "日本" * 60, "a" * 300 + "ü", "=?utf-8?q?looks?=", "😀" * 50, "tab\tand ü"]
)
def test_what_is_encoded_is_read_by_others_as_it_was(text: str) -> None:
    """Words of at most 75 octets, on lines of at most 78 (RFC 2047 2)."""
    body = encode(text)
    assert body.isascii()
    assert all(len(line) <= 77 for line in body.split(b"\r\n")) or text.isascii()
    unfolded = body.replace(b"\r\n ", b"\r\n ").decode()
    assert str(email.header.make_header(email.header.decode_header(unfolded))) == text
    assert decode(body) == text
