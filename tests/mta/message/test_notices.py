"""What is written about a mailbox that was braked."""

import email
import email.policy

import pytest

from mta.message.notices import Braked, compose_braked

WHY = b"201 different recipients in an hour, where at most 200 are usual"


def read(**given):
    about = {"host": b"mx.test", "mailbox": b"joe@example.test", "why": WHY, "moment": 1_800_000_000} | given
    octets = compose_braked(Braked(**about))
    assert octets.isascii()
    assert all(len(line) <= 998 and b"\n" not in line for line in octets.split(b"\r\n"))
    return email.message_from_bytes(octets, policy=email.policy.default)


@pytest.mark.parametrize(
    ("language", "subject", "said"),
    [
        (b"en", "Sending from your mailbox was stopped", "change the password"),
        (b"de-AT", "Ihr Postfach kann nicht mehr senden", "ändern Sie das Passwort"),
        (b"", "Sending from your mailbox was stopped", "lets the mailbox send again"),
    ],
)
def test_it_says_what_happened_and_what_to_do_in_the_readers_language(language, subject, said):
    """To the mailbox, with a copy to who looks after its domain; no program answers it (RFC 3834)."""
    message = read(language=language)
    assert (message["Subject"], message["Auto-Submitted"]) == (subject, "auto-generated")
    assert (message["To"], message["Cc"]) == ("joe@example.test", "postmaster@example.test")
    for words in (said, WHY.decode(), "<joe@example.test>", "mx.test", ["postern", "sending", "release"][0]):
        assert words in message.get_content()
    assert not message.defects


@pytest.mark.parametrize(
    "mailbox", ["jö@bücher.example".encode(), b'"a b"@example.test', b"x\r\nBcc: all@example.test@example.test"]
)
def test_an_address_that_fits_into_no_field_is_left_to_the_envelope(mailbox):
    """Nor does one begin a field of its own."""
    message = read(mailbox=mailbox)
    assert message["To"] == "Owner of the mailbox:;"
    assert message["Bcc"] is None
    assert not message.defects
