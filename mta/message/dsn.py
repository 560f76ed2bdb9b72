"""Delivery status notifications (RFC 3464) as bytes: in plain words, for machines, and the header section they are about.

A reader would otherwise get wrong: nothing of the original is trusted to be clean. Diagnostics and addresses are made
printable, the header section is encoded when it is not seven-bit, and the boundary is chosen so that it occurs nowhere.
"""

import binascii
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from mta.message.header import whole_lines
from mta.message.trace import date_time

MAX_RETURNED_HEADER = 48 * 1024  # Octets of the original that go back.
MAX_LINE = 998  # RFC 5322 2.1.1
MAX_SHOWN_PATH = 400  # Octets; RFC 5321 4.5.3.1.3 allows 254, and two must fit on a line.
MAX_SHOWN_BEYOND_ASCII = 96  # Characters; each may take ten octets.

_UNPRINTABLE = re.compile(rb"[^ -~]+")
_BARE = re.compile(rb"\r\n|\r|\n")
_EIGHT_BIT_OR_CONTROL = re.compile(rb"[^\t\r\n -~]")


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of one recipient (RFC 3464 2.3)."""

    original_recipient: bytes
    final_recipient: bytes
    action: bytes
    status: bytes
    diagnostic_code: bytes
    remote_mta: bytes = b""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a notification says."""

    host: bytes  # our name
    queue_id: bytes  # of the message it is about
    reverse_path: bytes  # who sent that; empty: it was a notification itself, and the postmaster hears of it
    envelope_id: bytes
    arrival: int  # seconds since 1970
    moment: int  # seconds since 1970, now
    header: bytes  # the original's header section
    recipients: tuple[RecipientReport, ...]
    unnamed: int = 0  # so many more failed in the same message


def compose(report: Report) -> bytes:
    """The notification as content: header section, empty line, multipart/report. Seven-bit, lines end in CRLF."""
    parts = [_words(report), _delivery_status(report), _returned_header(report.header)]
    boundary = _boundary(parts, report.queue_id)
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary
    return _header_fields(report, boundary) + b"\r\nThis is a MIME-encapsulated message.\r\n\r\n" + body


def printable(octets: bytes, max_octets: int = 800) -> bytes:
    """*octets* on one line of ASCII: what is neither becomes `?`."""
    return _UNPRINTABLE.sub(lambda found: b"?" * min(len(found[0]), 8), octets[:max_octets]).strip()


def decode_xtext(octets: bytes) -> bytes:
    """What *octets* (RFC 3461 4) stand for; what is not xtext stays as it is."""
    return re.sub(rb"\+([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), octets)


def utf_8_address(path: bytes) -> bytes:
    """*path* with its type for a machine-readable field; beyond ASCII as RFC 6533 3 writes it in seven bits."""
    if path.isascii():
        return b"rfc822; " + printable(path, MAX_SHOWN_PATH)
    text = path.decode("utf-8", "replace")[:MAX_SHOWN_BEYOND_ASCII]
    return b"utf-8; " + b"".join(
        c.encode() if "!" <= c <= "~" and c not in "\\+=" else b"\\x{%02X}" % ord(c) for c in text
    )


def _header_fields(report: Report, boundary: bytes) -> bytes:
    about = b"Mail could not be delivered" if report.reverse_path else b"A notification could not be delivered"
    return b"".join(
        (
            b"From: Mail delivery <postmaster@%b>\r\n" % report.host,
            b"To: %b\r\n" % _to(report),
            b"Subject: %b\r\n" % about,
            b"Date: %b\r\n" % date_time(report.moment),
            b"Message-ID: <dsn.%b.%d@%b>\r\n" % (report.queue_id, report.moment, report.host),
            b"Auto-Submitted: auto-replied\r\n",  # RFC 3834 5: nobody's vacation reply answers this
            b"MIME-Version: 1.0\r\n",
            b'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="%b"\r\n' % boundary,
        )
    )


def _to(report: Report) -> bytes:
    path = report.reverse_path or b"postmaster@" + report.host
    # A path that would need SMTPUTF8 or quoting goes by the envelope alone; the field only tells a reader.
    if re.fullmatch(rb"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.\[\]:-]+", path) and len(path) < MAX_LINE - 10:
        return b"<%b>" % path
    return b"Original sender:;"


def _words(report: Report) -> bytes:
    whom = b"You sent a message that" if report.reverse_path else b"A delivery status notification"
    lines = [
        b"Content-Type: text/plain; charset=us-ascii",
        b"",
        b"This is the mail system at %b." % report.host,
        b"",
        b"%b arrived here at %b" % (whom, date_time(report.arrival)),
        b"could not be delivered to the following:",
        b"",
    ]
    for recipient in report.recipients:
        lines += _words_about(recipient)
    if report.unnamed:
        lines += [b"  and %d more" % report.unnamed, b""]
    lines += [b"No further attempt will be made. The header of the message is attached.", b""]
    return b"\r\n".join(lines)


def _words_about(recipient: RecipientReport) -> Iterator[bytes]:
    original = printable(recipient.original_recipient, MAX_SHOWN_PATH)
    final = printable(recipient.final_recipient, MAX_SHOWN_PATH)
    yield b"  <%b>" % final if final == original else b"  <%b> (you wrote to <%b>)" % (final, original)
    yield b"    %b  %b" % (printable(recipient.status), printable(recipient.diagnostic_code) or b"no reason was given")
    yield b""


def _delivery_status(report: Report) -> bytes:
    lines = [b"Content-Type: message/delivery-status", b"", b"Reporting-MTA: dns; %b" % report.host]
    if report.envelope_id:
        lines.append(b"Original-Envelope-Id: %b" % printable(decode_xtext(report.envelope_id)))
    lines += [b"Arrival-Date: %b" % date_time(report.arrival), b""]
    for recipient in report.recipients:
        lines += _fields_about(recipient)
    return b"\r\n".join(lines)


def _fields_about(recipient: RecipientReport) -> Iterator[bytes]:
    yield b"Original-Recipient: %b" % utf_8_address(recipient.original_recipient)
    yield b"Final-Recipient: %b" % utf_8_address(recipient.final_recipient)
    yield b"Action: %b" % recipient.action
    yield b"Status: %b" % printable(recipient.status)
    if recipient.remote_mta:
        yield b"Remote-MTA: dns; %b" % printable(recipient.remote_mta)
    if recipient.diagnostic_code:
        yield b"Diagnostic-Code: x-postern; %b" % printable(recipient.diagnostic_code)
    yield b""


def _returned_header(header: bytes) -> bytes:
    kept = _BARE.sub(b"\r\n", whole_lines(header, MAX_RETURNED_HEADER))
    if _EIGHT_BIT_OR_CONTROL.search(kept) or any(len(line) > MAX_LINE for line in kept.split(b"\r\n")):
        # RFC 6522 4: broken header sections may be made legal by quoted-printable.
        encoding, kept = b"quoted-printable", binascii.b2a_qp(kept, istext=True)
    else:
        encoding = b"7bit"
    return b"Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (encoding, kept)


def _boundary(parts: list[bytes], queue_id: bytes) -> bytes:
    """A line that stands in none of *parts*: guessed from all of them, and guessed again should it be there all the same."""
    guess = hashlib.blake2b(b"".join(parts), digest_size=12, key=queue_id).hexdigest().encode()
    while any(guess in part for part in parts):
        guess = hashlib.blake2b(guess, digest_size=12).hexdigest().encode()
    return guess
