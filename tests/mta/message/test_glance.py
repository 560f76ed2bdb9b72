"""What is read of a stranger's header section."""

import time

import pytest

from mta.message.glance import MAX_FIELDS, contains_one, read_header


def test_fields_are_found_by_name_unfolded_and_in_their_order() -> None:
    header = read_header(b"To: a@x\r\nSUBJECT: one\r\n two\r\nto:b@x\r\nno field\r\n stray\r\nX-Y : z\n")
    assert header.bodies(b"to") == [b"a@x", b"b@x"]
    assert header.subject == "one two"
    assert header.first(b"x-y") == b"z"
    assert header.first(b"cc") == b""
    assert header.is_whole


@pytest.mark.parametrize("ending", [b"\r\n", b"\n", b"\r"])
def test_however_lines_end_no_field_hides_in_another(ending: bytes) -> None:
    """What one reader takes for a new line must be one here, or a mark could be hidden behind it."""
    header = read_header(ending.join([b"Subject: hi", b"Auto-Submitted: auto-replied", b""]))
    assert header.bodies(b"auto-submitted") == [b"auto-replied"]


@pytest.mark.parametrize(
    ("field", "is_spam"),
    [
        (b"X-Spam-Flag: YES", True),
        (b"X-Spam-Flag:  yes ", True),
        (b"X-Spam: Yes, score=7", True),
        (b"X-Spam-Status: Yes, score=9.1 required=5.0", True),
        (b"X-Spam-Status: No, score=0.1", False),
        (b"X-Spam-Flag: NO", False),
        (b"X-Spam-Level: ****", False),
        (b"Subject: X-Spam-Flag: YES", False),
    ],
)
def test_a_mark_of_a_filter_is_known(field: bytes, is_spam: bool) -> None:
    assert read_header(field + b"\r\n").is_spam is is_spam


@pytest.mark.parametrize(
    ("field", "is_forged"),
    [
        (b"Authentication-Results: mx.test; spf=fail smtp.mailfrom=a@b.test", True),
        (b"Authentication-Results: mx.test; dkim=pass; dmarc=fail (p=none)", True),
        (b"Authentication-Results: mx.test; spf=softfail", True),
        (b"Authentication-Results: mx.test;\r\n\tdkim=fail;\r\n\tspf=pass", False),  # lists break signatures
        (b"Authentication-Results: mx.test; spf=pass; dmarc=pass", False),
        (b"Received-SPF: fail (mx.test: not permitted)", True),
        (b"Received-SPF: pass", False),
    ],
)
def test_a_verdict_about_the_sender_is_known(field: bytes, is_forged: bool) -> None:
    assert read_header(field + b"\r\n").is_forged is is_forged


def test_more_fields_than_anybody_writes_are_not_looked_at_and_that_is_known() -> None:
    header = read_header(b"X: y\r\n" * (MAX_FIELDS + 1))
    assert not header.is_whole
    assert len(header.bodies(b"x")) == MAX_FIELDS


@pytest.mark.parametrize("section", [b" x\r\n" * 15_000, b"A: b\r\n c\r\n" * 6_000, b":" * 60_000, b"\r" * 60_000, b""])
def test_no_header_section_costs_time_worth_speaking_of(section: bytes) -> None:
    began = time.process_time()
    header = read_header(section)
    assert (header.subject, header.is_spam, header.is_forged) == ("", False, False)
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    ("subject", "words", "found"),
    [
        ("Your INVOICE is here", ["invoice"], True),
        ("Rechnung für März", ["FÜR  märz"], True),
        ("Straße", ["STRASSE"], True),
        ("e\u0301te\u0301", ["ÉTÉ"], True),
        ("nothing", ["invoice", "rechnung"], False),
        ("second word", ["x", "word"], True),
        ("", ["x"], False),
    ],
)
def test_a_subject_is_searched_as_people_read_it(subject: str, words: list[str], found: bool) -> None:
    """Capitals, composition and blanks make no difference."""
    assert contains_one(subject, tuple(word.encode() for word in words)) is found
