"""Delivery status notifications (RFC 3464, RFC 6533) as bytes: in plain words, for machines, and what they are about.

A reader would otherwise get wrong: nothing of the original is trusted to be clean. Diagnostics and addresses are made
printable, what goes back of the original is encoded or left out when it is no legal part, and the boundary is chosen so
that it occurs nowhere.
"""

import binascii
import hashlib
import re
from collections.abc import Iterator

from mta.message.dsn_words import Words, words_in
from mta.message.header import header_section, whole_lines
from mta.message.trace import date_time
from mta.record import dataclass

MAX_RETURNED_HEADER = 48 * 1024  # Octets of the original that go back, when it is the header section alone.
MAX_LINE = 998  # RFC 5322 2.1.1
MAX_SHOWN_PATH = 400  # Octets; RFC 5321 4.5.3.1.3 allows 254, and two must fit on a line.
MAX_SHOWN_BEYOND_ASCII = 96  # Characters; each may take ten octets.

_UNPRINTABLE = re.compile(rb"[^ -~]+")
_BARE = re.compile(rb"\r\n|\r|\n")
_REPLY = re.compile(rb"[2-5][0-9][0-9][ -]")  # RFC 5321 4.2
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_ADDRESS_TYPE = re.compile(rb"[A-Za-z0-9-]{1,40}\Z")
_EMBEDDED = re.compile(r"\\x\{([0-9A-Fa-f]{2,6})\}")

_FAILED, _DELAYED = b"failed", b"delayed"


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of one recipient (RFC 3464 2.3)."""

    original_recipient: bytes  # the sender's ORCPT (RFC 3461 4.2) as given, or empty
    forward_path: bytes  # as the sender's side wrote it to us
    final_recipient: bytes
    action: bytes
    status: bytes
    diagnostic_code: bytes
    remote_mta: bytes = b""  # who said that, when it was another host
    last_attempt: int = 0  # seconds since 1970

    @property
    def is_reply(self) -> bool:
        """Is the diagnostic what an SMTP server said, rather than what we say of it?"""
        return bool(self.remote_mta) and _REPLY.match(self.diagnostic_code) is not None


@dataclass(frozen=True, slots=True)
class Report:
    """All that a notification says."""

    host: bytes  # our name
    queue_id: bytes  # of the message it is about
    reverse_path: bytes  # who sent that; empty: it was a notification itself, and the postmaster hears of it
    envelope_id: bytes
    arrival: int  # seconds since 1970
    moment: int  # seconds since 1970, now
    original: bytes  # the header section, or with *whole* the content
    recipients: tuple[RecipientReport, ...]
    whole: bool = False
    utf_8: bool = False  # the original was an SMTPUTF8 message, so whoever sent it can read UTF-8 (RFC 6533)
    unnamed: int = 0  # so many more in the same message
    retry_until: int = 0  # seconds since 1970: when what is delayed fails
    language: bytes = b"en"  # what the reader understands (RFC 5646)


def compose(report: Report) -> bytes:
    """The notification as content: header section, empty line, multipart/report; lines end in CRLF.

    Seven-bit but where the original goes back with octets beyond, or was an SMTPUTF8 message.
    """
    parts = [_words(report), _delivery_status(report), _returned(report)]
    boundary = _boundary(parts, report.queue_id)
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary
    return _header_fields(report, boundary, body) + b"\r\nThis is a MIME-encapsulated message.\r\n\r\n" + body


def printable(octets: bytes, max_octets: int = 800) -> bytes:
    """*octets* on one line of ASCII: what is neither becomes `?`."""
    return _UNPRINTABLE.sub(lambda found: b"?" * min(len(found[0]), 8), octets[:max_octets]).strip()


def decode_xtext(octets: bytes) -> bytes:
    """What *octets* (RFC 3461 4) stand for; what is not xtext stays as it is."""
    return re.sub(rb"\+([0-9A-F]{2})", lambda found: bytes([int(found[1], 16)]), octets)


def typed_address(path: bytes, *, utf_8: bool = False) -> bytes:
    """*path* with its type for a machine-readable field; beyond ASCII as RFC 6533 3 writes it, in seven bits unless *utf_8*."""
    if path.isascii():
        return b"rfc822; " + printable(path, MAX_SHOWN_PATH)
    if utf_8:
        return b"utf-8; " + _shown(path, utf_8=True)
    text = path.decode("utf-8", "replace")[:MAX_SHOWN_BEYOND_ASCII]
    return b"utf-8; " + b"".join(
        c.encode() if "!" <= c <= "~" and c not in "\\+=" else b"\\x{%02X}" % ord(c) for c in text
    )


def original_recipient(orcpt: bytes, *, utf_8: bool = False) -> bytes:
    """The ORCPT value *orcpt* (type, semicolon, address) for a machine-readable field; empty when it is none."""
    kind, semicolon, value = orcpt.partition(b";")
    if not semicolon or not value or not _ADDRESS_TYPE.match(kind):
        return b""
    if kind.lower() != b"utf-8":
        return kind + b"; " + printable(decode_xtext(value), MAX_SHOWN_PATH)
    # RFC 6533 3: one alphabet for seven bits and another for eight, and the sender may have used either.
    text = _EMBEDDED.sub(_embedded, value.decode("utf-8", "replace"))
    return typed_address(text.encode("utf-8", "replace"), utf_8=utf_8)


def _embedded(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return chr(number) if number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF else "?"


def _shown(path: bytes, *, utf_8: bool) -> bytes:
    """*path* for a person: on one line, nothing that hides or turns what stands beside it."""
    if not utf_8 or path.isascii():
        return printable(path, MAX_SHOWN_PATH)
    text = path.decode("utf-8", "replace")[:MAX_SHOWN_BEYOND_ASCII]
    return "".join(c if c.isprintable() else "?" for c in text).encode("utf-8", "replace")


def _header_fields(report: Report, boundary: bytes, body: bytes) -> bytes:
    words = words_in(report.language)
    what = words.subject if report.reverse_path else words.subject_of_notification
    actions = {recipient.action for recipient in report.recipients}
    happened = next((words.about[action][0] for action in words.about if action in actions), words.about[_FAILED][0])
    return b"".join(
        (
            b"From: Mail delivery <postmaster@%b>\r\n" % report.host,
            b"To: %b\r\n" % addressee(report),
            b"Subject: %b\r\n" % f"{what} {happened}".encode("ascii"),
            b"Date: %b\r\n" % date_time(report.moment),
            b"Message-ID: <dsn.%b.%d@%b>\r\n" % (report.queue_id, report.moment, report.host),
            b"Auto-Submitted: auto-replied\r\n",  # RFC 3834 5: nobody's vacation reply answers this
            b"MIME-Version: 1.0\r\n",
            b'Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary="%b"\r\n' % boundary,
            b"" if body.isascii() else b"Content-Transfer-Encoding: 8bit\r\n",
        )
    )


def addressee(report: Report) -> bytes:
    """To whom it is, for a To field."""
    return header_address(report.reverse_path or b"postmaster@" + report.host, b"Original sender:;")


def header_address(path: bytes, otherwise: bytes) -> bytes:
    """*path* for an address field; where it cannot stand there *otherwise*, an empty group (RFC 5322 3.4)."""
    # A path that would need SMTPUTF8 or quoting goes by the envelope alone; the field only tells a reader.
    if re.fullmatch(rb"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.\[\]:-]+", path) and len(path) < MAX_LINE - 10:
        return b"<%b>" % path
    return otherwise


def _words(report: Report) -> bytes:
    """The part for a person, in the reader's language (RFC 3464 2.1, RFC 6522 3)."""
    words = words_in(report.language)
    lines = [words.host % report.host.decode("ascii", "replace"), ""]
    arrived = words.arrived if report.reverse_path else words.notification_arrived
    lines += [arrived % words.moment(report.arrival), ""]
    for action, (_, above) in words.about.items():
        about = [recipient for recipient in report.recipients if recipient.action == action]
        if about:
            lines += [above, "", *(line for each in about for line in _words_about(each, report.utf_8, words))]
    if report.unnamed:
        lines += ["  " + words.more % report.unnamed, ""]
    if report.retry_until and any(recipient.action == _DELAYED for recipient in report.recipients):
        lines += [words.retry_until % words.moment(report.retry_until), ""]
    if any(recipient.action == _FAILED for recipient in report.recipients):
        lines += [words.final, ""]
    text = "\r\n".join([*lines, words.attached, ""]).encode()
    head = b"Content-Language: %b\r\n" % words.name  # RFC 3282 2
    if text.isascii():
        return b"Content-Type: text/plain; charset=us-ascii\r\n%b\r\n%b" % (head, text)
    encoding, text = (b"8bit", text) if report.utf_8 else (b"quoted-printable", quoted_printable(text))
    kind = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: %b\r\n" % encoding
    return kind + head + b"\r\n" + text


def _words_about(recipient: RecipientReport, utf_8: bool, words: Words) -> Iterator[str]:
    written_to = _shown(recipient.forward_path, utf_8=utf_8).decode()
    final = _shown(recipient.final_recipient, utf_8=utf_8).decode()
    yield f"  <{final}>" if final == written_to else f"  <{final}> {words.written_to % written_to}"
    why = printable(recipient.diagnostic_code).decode()
    if why or recipient.action in (_FAILED, _DELAYED):
        yield f"    {printable(recipient.status).decode()}  {why or words.no_reason}"
    if recipient.is_reply:
        yield "    " + words.said_by % printable(recipient.remote_mta).decode()
    yield ""


def quoted_printable(octets: bytes) -> bytes:
    """*octets* in quoted-printable (RFC 2045 6.7), whose lines end in CRLF."""
    # It breaks lines as the first one ended.
    return _BARE.sub(b"\r\n", binascii.b2a_qp(octets, istext=True))


def _delivery_status(report: Report) -> bytes:
    lines = [b"Reporting-MTA: dns; %b" % report.host]
    if report.envelope_id:
        lines.append(b"Original-Envelope-Id: %b" % printable(decode_xtext(report.envelope_id)))
    lines += [b"Arrival-Date: %b" % date_time(report.arrival), b""]
    for recipient in report.recipients:
        lines += _fields_about(recipient, report)
    text = b"\r\n".join(lines)
    if not report.utf_8:
        return b"Content-Type: message/delivery-status\r\n\r\n" + text
    encoding = b"7bit" if text.isascii() else b"8bit"
    # RFC 6533 4: whoever wrote an SMTPUTF8 message is answered in the form that needs no detour through seven bits.
    return b"Content-Type: message/global-delivery-status\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (encoding, text)


def _fields_about(recipient: RecipientReport, report: Report) -> Iterator[bytes]:
    original = original_recipient(recipient.original_recipient, utf_8=report.utf_8)
    if original:  # RFC 3464 2.3.1: only what the sender himself gave
        yield b"Original-Recipient: %b" % original
    yield b"Final-Recipient: %b" % typed_address(recipient.final_recipient, utf_8=report.utf_8)
    yield b"Action: %b" % recipient.action
    yield b"Status: %b" % printable(recipient.status)
    if recipient.remote_mta:
        yield b"Remote-MTA: dns; %b" % printable(recipient.remote_mta)
    if recipient.diagnostic_code:
        # RFC 3464 2.3.6, 9.2: `smtp` is for what an SMTP server said, word for word.
        kind = b"smtp" if recipient.is_reply else b"x-postern"
        yield b"Diagnostic-Code: %b; %b" % (kind, printable(recipient.diagnostic_code))
    if recipient.last_attempt:
        yield b"Last-Attempt-Date: %b" % date_time(recipient.last_attempt)
    if recipient.action == _DELAYED and report.retry_until:
        yield b"Will-Retry-Until: %b" % date_time(report.retry_until)
    yield b""


def _returned(report: Report) -> bytes:
    """The original, as much of it as may go back and can be a legal part."""
    if report.whole:
        content = _BARE.sub(b"\r\n", report.original)
        # RFC 2046 5.2.1: a message inside a message may not be encoded, so one that is not clean does not go back whole.
        if not _CONTROL.search(content) and not _too_long(content):
            kind = b"message/global" if report.utf_8 and _is_utf_8(content) else b"message/rfc822"
            return _part(kind, b"7bit" if content.isascii() else b"8bit", content)
    kept = _BARE.sub(b"\r\n", whole_lines(header_section(report.original), MAX_RETURNED_HEADER))
    broken = _CONTROL.search(kept) is not None or _too_long(kept)
    if not broken and kept.isascii():
        return _part(b"text/rfc822-headers", b"7bit", kept)
    if not broken and report.utf_8 and _is_utf_8(kept):
        return _part(b"message/global-headers", b"8bit", kept)
    # RFC 6522 4: broken header sections may be made legal by quoted-printable.
    return _part(b"text/rfc822-headers", b"quoted-printable", quoted_printable(kept))


def _part(kind: bytes, encoding: bytes, octets: bytes) -> bytes:
    return b"Content-Type: %b\r\nContent-Transfer-Encoding: %b\r\n\r\n%b" % (kind, encoding, octets)


def _too_long(octets: bytes) -> bool:
    return any(len(line) > MAX_LINE for line in octets.split(b"\r\n"))


def _is_utf_8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True


def _boundary(parts: list[bytes], queue_id: bytes) -> bytes:
    """A line that stands in none of *parts*: guessed from all of them, and guessed again should it be there all the same."""
    guess = hashlib.blake2b(b"".join(parts), digest_size=12, key=queue_id).hexdigest().encode()
    while any(guess in part for part in parts):
        guess = hashlib.blake2b(guess, digest_size=12).hexdigest().encode()
    return guess
