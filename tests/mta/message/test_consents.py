"""What somebody elsewhere is asked before mail is sent on to him."""

import email
import email.policy

import pytest

from mta.message.consents import Consent, compose_consent

LINK = b"https://mx.test/consent/" + b"7." + b"a" * 64


def read(**given):
    about = {
        "host": b"mx.test", "target": b"Bob@away.example", "holder": b"joe@example.test", "link": LINK, "moment": 1_800_000_000,
    } | given  # fmt: skip
    octets = compose_consent(Consent(**about))
    assert octets.isascii()
    assert all(len(line) <= 998 and b"\n" not in line for line in octets.split(b"\r\n"))
    return email.message_from_bytes(octets, policy=email.policy.default)


@pytest.mark.parametrize(
    ("language", "subject", "said"),
    [
        (b"en", "May mail be sent on to you?", "do nothing"),
        (b"de-AT", "Sollen Nachrichten an Sie weitergeleitet werden?", "möchten"),
        (b"", "May mail be sent on to you?", "say so on this page"),
    ],
)
def test_it_says_whose_mail_would_come_and_where_to_agree(language, subject, said):
    """To the one who would get it; no program answers it (RFC 3834)."""
    message = read(language=language)
    assert (message["Subject"], message["Auto-Submitted"]) == (subject, "auto-generated")
    assert message["To"] == "Bob@away.example"
    for words in (said, "<joe@example.test>", "<Bob@away.example>", LINK.decode(), "mx.test"):
        assert words in message.get_content()
    assert not message.defects


@pytest.mark.parametrize("target", ["jö@bücher.example".encode(), b'"a b"@away.example', b"x\r\nBcc: all@away.example"])
def test_an_address_that_fits_into_no_field_is_left_to_the_envelope(target):
    """Nor does one begin a field of its own."""
    message = read(target=target, holder=target)
    assert message["To"] == "Whom mail may be sent on to:;"
    assert message["Bcc"] is None
    assert not message.defects
