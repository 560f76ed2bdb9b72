"""Bounces as qmail wrote them (QSBMF), for tools that read nothing else; wanted by `outbound.bounce_format`.

A reader would otherwise get wrong: such a bounce tells of failures and nothing else, and only programs of that time need it.
All other notifications stay multipart/report, and so does a failure whose original cannot stand in a plain message.

    Hi. This is the …             the first paragraph begins so
    <address>:                    a paragraph for each recipient, begins so
    --- Below this line …         then an empty line, then the original or its header section
"""

import re

from mta.message.dsn import MAX_LINE, MAX_RETURNED_HEADER, RecipientReport, Report, addressee, printable
from mta.message.header import header_section, whole_lines
from mta.message.trace import date_time

_BARE = re.compile(rb"\r\n|\r|\n")
_UNFIT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def compose_qsbmf(report: Report) -> bytes | None:
    """The notification as content; None: it cannot be told in this form."""
    if report.utf_8 or any(recipient.action != b"failed" for recipient in report.recipients):
        return None
    original = report.original if report.whole else whole_lines(header_section(report.original), MAX_RETURNED_HEADER)
    original = _BARE.sub(b"\r\n", original)
    if _UNFIT.search(original) or any(len(line) > MAX_LINE for line in original.split(b"\r\n")):
        return None
    eight_bit = not original.isascii()
    fields = (
        b"From: Mail delivery <MAILER-DAEMON@%b>" % report.host,
        b"To: %b" % addressee(report),
        b"Subject: failure notice",
        b"Date: %b" % date_time(report.moment),
        b"Message-ID: <dsn.%b.%d@%b>" % (report.queue_id, report.moment, report.host),
        b"Auto-Submitted: auto-replied",  # RFC 3834 5
        *((b"MIME-Version: 1.0", b"Content-Type: text/plain", b"Content-Transfer-Encoding: 8bit") if eight_bit else ()),
    )
    copy = b"a copy of the message" if report.whole else b"a copy of the header of the message"
    paragraphs = [
        b"Hi. This is the mail system at %b.\r\nI could not deliver your message to the following addresses.\r\n"
        b"This is a permanent error; I have given up." % report.host,
        *map(_paragraph, report.recipients),
        *([b"And to %d more." % report.unnamed] if report.unnamed else []),
        b"--- Below this line is %b." % copy,
        b"Return-Path: <%b>\r\n%b" % (printable(report.reverse_path), original),
    ]
    return b"\r\n".join(fields) + b"\r\n\r\n" + b"\r\n\r\n".join(paragraphs)


def _paragraph(recipient: RecipientReport) -> bytes:
    why = printable(recipient.diagnostic_code) or b"No reason was given."
    said_by = b"\r\nRemote host said it: %b" % printable(recipient.remote_mta) if recipient.is_reply else b""
    address = printable(recipient.final_recipient, 400).replace(b">", b"?")
    return b"<%b>:\r\n%b (#%b)%b" % (address, why, printable(recipient.status), said_by)
