"""The daily mail that tells a domain how TLS with its hosts went (RFC 8460 5.3), as bytes: header section and body, unsigned.

A reader would otherwise get wrong: whoever submits a report is the domain of the contact address, not this host's name. It
stands in the header, the file name and (as part of the contact) in the report itself, and readers compare them.
"""

import base64
import hashlib

from mta.message.dsn import printable, quoted_printable
from mta.message.trace import date_time
from mta.record import dataclass

_WIDTH = 76  # RFC 2045 6.8
_MAX_SHOWN = 300  # octets of a name or an address

_TEXT = """This is the mail system at {host}.

Attached is how sessions with the hosts of {domain}
ended on {day}, as that domain asks for in its record
_smtp._tls.{domain} (RFC 8460).
"""


@dataclass(frozen=True, slots=True)
class TlsReport:
    """All that the mail says."""

    host: bytes  # our name
    contact: bytes  # who can be asked about it, and whose mail it is
    domain: bytes  # that it is about; A-label
    recipient: bytes
    report_id: bytes
    begin: int  # seconds since 1970: what it tells of begins there
    end: int  # the last second of it
    moment: int  # now
    document: bytes  # JSON (RFC 8460 4), compressed by gzip

    @property
    def submitter(self) -> bytes:
        """Who reports: a domain."""
        return self.contact.rpartition(b"@")[2]

    @property
    def file_name(self) -> bytes:
        """RFC 8460 5.1."""
        return b"%b!%b!%d!%d!%b.json.gz" % (self.submitter, self.domain, self.begin, self.end, self.report_id)


def compose_tls_report(report: TlsReport) -> tuple[bytes, bytes]:
    """Header section, without the empty line behind it, and body; lines end in CRLF, and all of it is ASCII."""
    domain, submitter = printable(report.domain, _MAX_SHOWN), printable(report.submitter, _MAX_SHOWN)
    boundary = hashlib.blake2b(report.document, digest_size=12, key=report.report_id[:64]).hexdigest().encode()
    fields = (
        b"From: <%b>" % report.contact,
        b"To: <%b>" % report.recipient,
        b"Subject: Report Domain: %b\r\n\tSubmitter: %b\r\n\tReport-ID: <%b@%b>"
        % (domain, submitter, report.report_id, submitter),
        b"Date: %b" % date_time(report.moment),
        b"Message-ID: <tls-report.%b.%d@%b>" % (report.report_id, report.moment, report.host),
        b"TLS-Report-Domain: %b" % domain,
        b"TLS-Report-Submitter: %b" % submitter,
        b"TLS-Required: No",  # RFC 8689 3: that TLS fails is what it tells of, so it must arrive without
        b"Auto-Submitted: auto-generated",  # RFC 3834 5
        b"MIME-Version: 1.0",
        b'Content-Type: multipart/report; report-type="tlsrpt";\r\n\tboundary="%b"' % boundary,
    )
    parts = (_for_people(report), _for_machines(report))
    body = b"".join(b"--%b\r\n%b\r\n" % (boundary, part) for part in parts) + b"--%b--\r\n" % boundary
    return b"\r\n".join(fields) + b"\r\n", body


def _for_people(report: TlsReport) -> bytes:
    shown = {"host": report.host, "domain": report.domain, "day": date_time(report.begin)[:-15]}
    text = _TEXT.format(**{name: printable(octets, _MAX_SHOWN).decode() for name, octets in shown.items()})
    head = b"Content-Type: text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    return head + quoted_printable(text.encode())


def _for_machines(report: TlsReport) -> bytes:
    encoded = base64.b64encode(report.document)
    lines = b"\r\n".join(encoded[start : start + _WIDTH] for start in range(0, len(encoded), _WIDTH))
    return (
        b"Content-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment;\r\n\tfilename="%b"\r\n\r\n%b' % (report.file_name, lines)
    )
