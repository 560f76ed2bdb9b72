"""Notifications, read back by the standard library's own parser."""

import email
import email.policy

from hypothesis import given
from hypothesis import strategies as st

from mta.message.dsn import RecipientReport, Report, compose

FAILED = RecipientReport(b"team@example.test", b"joe@example.test", b"failed", b"5.1.1", b"no mailbox here")


def report(**other):
    fields = {
        "host": b"mx.test", "queue_id": b"0" * 20, "reverse_path": b"a@client.test", "envelope_id": b"QQ+3D314",
        "arrival": 1_800_000_000, "moment": 1_800_000_300, "header": b"Subject: hello\r\nTo: joe@example.test\r\n",
        "recipients": (FAILED,),
    }  # fmt: skip
    return Report(**(fields | other))


def read(content):
    return email.message_from_bytes(content, policy=email.policy.default)


def test_it_is_a_multipart_report_with_its_three_parts():
    """RFC 6522: words, delivery-status, the original's header."""
    message = read(compose(report()))
    assert (message.get_content_type(), message.get_param("report-type")) == ("multipart/report", "delivery-status")
    parts = list(message.iter_parts())
    assert [part.get_content_type() for part in parts] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    assert message["To"] == "a@client.test"
    assert message["Auto-Submitted"] == "auto-replied"
    assert message.defects == []


def test_the_delivery_status_has_the_fields_of_rfc_3464():
    """One block for the message, one for each recipient."""
    second = RecipientReport(b"ann@example.test", b"ann@example.test", b"failed", b"5.4.7", b"too long")
    message = read(compose(report(recipients=(FAILED, second))))
    whole, first, other = list(message.iter_parts())[1].get_payload()
    assert whole["Reporting-MTA"] == "dns; mx.test"
    assert whole["Original-Envelope-Id"] == "QQ=314"
    assert email.utils.parsedate_to_datetime(whole["Arrival-Date"]).timestamp() == 1_800_000_000
    assert first["Original-Recipient"] == "rfc822; team@example.test"
    assert first["Final-Recipient"] == "rfc822; joe@example.test"
    assert (first["Action"], first["Status"]) == ("failed", "5.1.1")
    assert first["Diagnostic-Code"] == "x-postern; no mailbox here"
    assert other["Status"] == "5.4.7"


def test_the_words_name_whom_was_written_to_and_why_it_failed():
    """A person must see it without reading the machine's part, and whoever is not named is counted."""
    words = next(read(compose(report(unnamed=3))).iter_parts()).get_content()
    assert "<joe@example.test> (you wrote to <team@example.test>)" in words
    assert "5.1.1  no mailbox here" in words
    assert "and 3 more" in words


def test_a_notification_about_a_notification_goes_to_the_postmaster():
    """Without a reverse-path there is nobody else to tell."""
    message = read(compose(report(reverse_path=b"")))
    assert message["To"] == "postmaster@mx.test"


def test_the_returned_header_is_the_originals():
    """Line ends become CRLF, nothing else changes."""
    part = list(read(compose(report(header=b"Subject: hello\nX: 1\n"))).iter_parts())[2]
    assert part.get_payload(decode=True).replace(b"\r\n", b"\n").rstrip(b"\n") == b"Subject: hello\nX: 1"


_BYTES = st.binary(max_size=200) | st.text(max_size=60).map(str.encode)


@given(_BYTES, _BYTES, _BYTES, _BYTES, st.binary(max_size=3000))
def test_whatever_a_stranger_wrote_it_is_seven_bit_short_lined_and_parses(original, final, diagnostic, reverse, header):
    """No field, part or boundary of a stranger's making, and his header section is still what it was."""
    recipient = RecipientReport(original, final, b"failed", b"5.1.1", diagnostic)
    content = compose(report(header=header, recipients=(recipient,), reverse_path=reverse, envelope_id=diagnostic))
    assert content.isascii()
    assert b"\0" not in content
    assert not {0x0A, 0x0D} & set(content.replace(b"\r\n", b""))
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = email.message_from_bytes(content)
    parts = message.get_payload()
    assert [part.get_content_type() for part in parts] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    blocks = parts[1].get_payload()
    assert len(blocks) == 2
    assert (blocks[1]["Action"], blocks[1]["Status"]) == ("failed", "5.1.1")
    assert set(blocks[1].keys()) <= {"Original-Recipient", "Final-Recipient", "Action", "Status", "Diagnostic-Code"}
    assert set(message.keys()) == {
        "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    }  # fmt: skip


def test_a_boundary_that_was_guessed_is_not_used():
    """The composer's own boundary put into the header changes the boundary."""
    first = compose(report())
    boundary = email.message_from_bytes(first).get_boundary().encode()
    hostile = compose(report(header=b"X: 1\r\n--" + boundary + b"--\r\n"))
    assert len(email.message_from_bytes(hostile).get_payload()) == 3
