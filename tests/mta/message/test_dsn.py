"""Notifications, read back by the standard library's own parser."""

import email
import email.policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.message.dsn import RecipientReport, Report, compose, original_recipient

FAILED = RecipientReport(
    b"rfc822;+74eam@example.test", b"team@example.test", b"joe@example.test", b"failed", b"5.1.1", b"no mailbox here"
)


def report(**other):
    fields = {
        "host": b"mx.test", "queue_id": b"0" * 20, "reverse_path": b"a@client.test", "envelope_id": b"QQ+3D314",
        "arrival": 1_800_000_000, "moment": 1_800_000_300, "original": b"Subject: hello\r\nTo: joe@example.test\r\n",
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
    second = RecipientReport(b"", b"ann@example.test", b"ann@example.test", b"failed", b"5.4.7", b"too long")
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
    assert "Original-Recipient" not in other  # RFC 3464 2.3.1: the sender gave none


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
    part = list(read(compose(report(original=b"Subject: hello\nX: 1\n"))).iter_parts())[2]
    assert part.get_payload(decode=True).replace(b"\r\n", b"\n").rstrip(b"\n") == b"Subject: hello\nX: 1"


_BYTES = st.binary(max_size=200) | st.text(max_size=60).map(str.encode)


@given(_BYTES, _BYTES, _BYTES, _BYTES, st.binary(max_size=3000))
def test_whatever_a_stranger_wrote_it_is_seven_bit_short_lined_and_parses(original, final, diagnostic, reverse, header):
    """No field, part or boundary of a stranger's making, and his header section is still what it was."""
    recipient = RecipientReport(original, original, final, b"failed", b"5.1.1", diagnostic)
    content = compose(report(original=header, recipients=(recipient,), reverse_path=reverse, envelope_id=diagnostic))
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
    hostile = compose(report(original=b"X: 1\r\n--" + boundary + b"--\r\n"))
    assert len(email.message_from_bytes(hostile).get_payload()) == 3


def part(content, number):
    """A part's own bytes, undecoded."""
    boundary = email.message_from_bytes(content).get_boundary().encode()
    return content.split(b"--" + boundary)[number + 1].removeprefix(b"\r\n").removesuffix(b"\r\n")


BODY = b"Subject: hello\r\nTo: joe@example.test\r\n\r\nthe body\r\n"
DELAYED = RecipientReport(b"", b"ann@example.test", b"ann@example.test", b"delayed", b"4.4.1", b"no answer")
DELIVERED = RecipientReport(b"", b"joe@example.test", b"joe@example.test", b"delivered", b"2.0.0", b"")
EXPANDED = RecipientReport(b"", b"team@example.test", b"team@example.test", b"expanded", b"2.0.0", b"")


def test_the_whole_original_is_a_message_inside():
    """RET=FULL: nothing of it changes."""
    content = compose(report(original=BODY, whole=True))
    assert part(content, 2) == b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + BODY


def test_a_whole_original_with_octets_beyond_ascii_makes_all_eight_bit():
    """RFC 2046 5.2.1: it may not be encoded, so what holds it says 8bit too."""
    body = "Subject: hello\r\n\r\nGrüße\r\n".encode()
    content = compose(report(original=body, whole=True))
    assert read(content)["Content-Transfer-Encoding"] == "8bit"
    assert part(content, 2).endswith(b"Content-Transfer-Encoding: 8bit\r\n\r\n" + body)


@pytest.mark.parametrize("line", [b"x\0y", b"x" * 999])
def test_an_original_that_is_no_legal_part_goes_back_as_its_header(line):
    """NUL, or a line longer than SMTP takes: the notification must pass where the original could not have."""
    content = compose(report(original=BODY + line + b"\r\n", whole=True))
    assert b"text/rfc822-headers" in part(content, 2)
    assert b"the body" not in content


def test_a_delay_says_until_when_and_that_nothing_need_be_sent_again():
    """RFC 3464 2.3.9."""
    content = compose(report(recipients=(DELAYED,), retry_until=1_800_432_000))
    message = read(content)
    fields = list(message.iter_parts())[1].get_payload()[1]
    assert message["Subject"] == "Mail is delayed"
    assert fields["Action"] == "delayed"
    assert email.utils.parsedate_to_datetime(fields["Will-Retry-Until"]).timestamp() == 1_800_432_000
    words = next(message.iter_parts()).get_content()
    assert "You need not send it again" in words
    assert "No further attempt" not in words


def test_success_is_said_in_words_and_fields():
    """Delivered, and passed on to everybody behind an alias (RFC 3461 5.2.7.3)."""
    message = read(compose(report(recipients=(DELIVERED, EXPANDED))))
    groups = list(message.iter_parts())[1].get_payload()
    assert message["Subject"] == "Mail was delivered"
    assert [group["Action"] for group in groups[1:]] == ["delivered", "expanded"]
    assert "It was delivered to:\r\n\r\n  <joe@example.test>" in next(message.iter_parts()).get_content()


def test_the_worst_is_the_subject_of_several():
    """Whoever reads only that must not think that all is well."""
    assert read(compose(report(recipients=(DELIVERED, DELAYED, FAILED))))["Subject"] == "Mail could not be delivered"


GLOBAL = RecipientReport(
    b"utf-8;j\\x{FC}rgen@example.test", "jürgen@example.test".encode(), "jürgen@example.test".encode(),
    b"failed", b"5.1.1", b"no mailbox here",
)  # fmt: skip


def test_whoever_wrote_an_smtputf8_message_is_answered_in_its_own_form():
    """RFC 6533: message/global-delivery-status, type utf-8, and the header section in UTF-8."""
    header = "Subject: Grüße\r\n".encode()
    content = compose(report(recipients=(GLOBAL,), utf_8=True, original=header))
    status = part(content, 1)
    assert status.startswith(b"Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit\r\n")
    assert "Original-Recipient: utf-8; jürgen@example.test\r\n".encode() in status
    assert "Final-Recipient: utf-8; jürgen@example.test\r\n".encode() in status
    assert part(content, 2).startswith(b"Content-Type: message/global-headers\r\n")
    assert header in part(content, 2)
    assert "<jürgen@example.test>".encode() in part(content, 0)


def test_whoever_did_not_is_answered_in_seven_bits():
    """RFC 6533 3: the same address in its other alphabet."""
    content = compose(report(recipients=(GLOBAL,)))
    assert content.isascii()
    assert b"Original-Recipient: utf-8; j\\x{FC}rgen@example.test\r\n" in content
    assert b"Final-Recipient: utf-8; j\\x{FC}rgen@example.test\r\n" in content


def test_an_original_recipient_keeps_its_type_and_loses_its_xtext():
    """RFC 3461 4.2; what is no typed address is left out."""
    assert original_recipient(b"x400;/C=+2Bx/") == b"x400; /C=+x/"
    assert original_recipient(b"rfc822;a+0D+0AX: y@b.test") == b"rfc822; a?X: y@b.test".replace(b"?", b"??", 1)
    for senseless in (b"", b"rfc822", b"rfc822;", b"two words;a@b.test", b";a@b.test"):
        assert original_recipient(senseless) == b""


@given(_BYTES, _BYTES, _BYTES, st.binary(max_size=3000), st.booleans())
def test_in_utf_8_too_nothing_of_a_strangers_ends_a_line_or_a_part(original, final, diagnostic, octets, whole):
    """Lines, boundary and the number of parts are ours; text is UTF-8."""
    recipient = RecipientReport(b"utf-8;" + original, original, final, b"failed", b"5.1.1", diagnostic)
    content = compose(report(original=octets, whole=whole, recipients=(recipient,), utf_8=True))
    assert b"\0" not in content
    assert not {0x0A, 0x0D} & set(content.replace(b"\r\n", b""))
    assert max(map(len, content.split(b"\r\n"))) <= 998
    part(content, 0).decode()
    status = part(content, 1).decode()
    assert status.count("\r\n\r\n") == 2 + status.endswith("\r\n\r\n")
    names = {line.partition(":")[0] for line in status.split("\r\n")[3:] if line}
    assert names <= {
        "Reporting-MTA", "Original-Envelope-Id", "Arrival-Date", "Original-Recipient", "Final-Recipient", "Action",
        "Status", "Diagnostic-Code",
    }  # fmt: skip
