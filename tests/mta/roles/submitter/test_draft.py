"""What a submitted header must have, what it gets, what it loses."""

import pytest

from mta.message.mailboxes import MAX_MAILBOXES
from mta.roles.submitter.draft import MAX_SIGNABLE, Draft, NotSubmittable, examine, mend

WHOLE = (
    b"From: Joe <joe@example.org>\r\nTo: ann@example.net\r\nSubject: hi\r\n there\r\n"
    b"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"
)
FROM = b"From: joe@example.org\r\n"


def mended(header: bytes, identity: bytes = b"joe@example.org") -> bytes:
    draft = mend(examine(header), host=b"mx.example.org", moment=1_800_000_000, identity=identity, random=b"\x01\xff")
    return b"".join(draft.fields)


def test_what_lacks_nothing_stays_octet_for_octet() -> None:
    assert mended(WHOLE) == WHOLE
    odd = b"X-A :  b \t\r\n\t c\r\n" + WHOLE.replace(b"Subject", b"sUBJECT")
    assert mended(odd) == odd


def test_date_and_message_id_are_added_where_they_are_missing() -> None:
    """RFC 6409 8.2 and 8.3; never put right."""
    assert mended(FROM) == (
        FROM + b"Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID: <6b49d200.01ff@mx.example.org>\r\n"
    )
    wrong = FROM + b"Date: yesterday\r\nMESSAGE-ID : none\r\n"
    assert mended(wrong) == wrong


def test_who_is_meant_to_be_seen_by_nobody_is_taken_out() -> None:
    """Bcc (RFC 5322 3.6.3), folded or not; and a Return-Path, which is for the last server to write."""
    hidden = b"Bcc: x@example.net,\r\n y@example.net\r\nBCC:\r\nResent-Bcc: z@example.net\r\nReturn-Path: <q@example.net>\r\n"
    assert mended(hidden + WHOLE + hidden) == WHOLE


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"", "no From"),
        (b"To: ann@example.net\r\n", "no From"),
        (FROM + FROM, "more than one From"),
        (FROM + b"from : boss@example.org\r\n", "more than one From"),
        (b"From: boss@example.org <joe@example.org>\r\n", "two ways"),
        (b"From: us:;\r\n", "two ways"),
        (b"From: " + b", ".join([b"joe@example.org"] * (MAX_MAILBOXES + 1)) + b"\r\n", "more than 20"),
        (FROM + b"Sender: a@example.org, b@example.org\r\n", "Sender field names more than one"),
        (FROM + b"Sender: a@example.org\r\nSender: b@example.org\r\n", "more than one Sender"),
        (FROM + b"Sender: \r\n", "Sender field is no list"),
        (FROM + b"no field\r\n", "line 2"),
        (b"From joe@example.org Sat Nov 21\r\n" + FROM, "line 1"),
    ],
)
def test_who_does_not_say_who_he_is_hears_what_is_wrong(header: bytes, words: str) -> None:
    """550 5.6.0, with the field or the line, and where it is written."""
    with pytest.raises(NotSubmittable) as caught:
        examine(header)
    code, status, text = caught.value.refusal
    assert (code, status) == (550, b"5.6.0")
    assert words.encode() in text
    assert b"(RFC 5322 " in text


def test_a_header_that_cannot_be_signed_in_one_piece_is_too_long() -> None:
    to = b"To: " + b",\r\n ".join(b"u%d@example.net" % number for number in range(4000)) + b"\r\n"
    assert len(to) > MAX_SIGNABLE
    with pytest.raises(NotSubmittable) as caught:
        mended(FROM + to)
    assert caught.value.refusal[:2] == (552, b"5.3.4")
    assert mended(WHOLE + to.replace(b"To:", b"X-To:")).endswith(to[4:])


def test_every_address_that_is_used_must_be_allowed() -> None:
    """Of From all, and Sender's; each once."""
    header = b"From: a@example.org, b@example.org\r\nSender: B <b@example.org>\r\n"
    assert examine(header).used == (b"a@example.org", b"b@example.org")
    assert examine(FROM).used == (b"joe@example.org",)


def test_where_several_wrote_it_is_said_who_sends() -> None:
    """RFC 5322 3.6.2 wants a Sender then: himself where he is among them, else the first."""
    header = b"From: a@example.org, Joe@example.org\r\nDate: d\r\nMessage-ID: m\r\n"
    assert mended(header) == header + b"Sender: Joe@example.org\r\n"
    assert mended(header, identity=b"z@example.org") == header + b"Sender: a@example.org\r\n"
    with_sender = header + b"Sender: a@example.org\r\n"
    assert mended(with_sender) == with_sender


def test_only_what_may_be_signed_goes_to_the_signer() -> None:
    draft: Draft = examine(b"Received: x\r\nX-Mine: y\r\n" + WHOLE + b"Comments: z\r\n")
    assert draft.signable == WHOLE
