"""Command lines (RFC 5321 4.1.1) read strictly: octets in, values out, a `Refused` with its reply when they are not right.

A reader would otherwise get wrong: *after* the colon of `MAIL FROM:` a space is taken, against the letter of RFC 5321
4.1.1.2, because printers and old appliances send it and it can be read in one way only. Missing brackets are not.
"""

import re
from typing import NamedTuple

from mta.smtp import replies
from mta.smtp.addresses import BadPath, Fault, Parsed, is_hello, parse_forward_path, parse_reverse_path
from mta.smtp.replies import Reply

MAX_COMMAND_LINE = 2048  # octets with CRLF. RFC 5321 4.5.3.1.4 asks for 512, 4.1.1.11 for more with each extension
MAX_SIZE_DIGITS = 20  # RFC 1870 5

# RFC 5321 4.1.2: a keyword, perhaps with a value that has neither "=" nor space nor control characters.
_PARAMETERS = re.compile(rb"(?: ++[A-Za-z0-9][A-Za-z0-9-]*+(?:=[!-<>-~]++)?+)*+\Z")
# RFC 5321 2.3.8, 4.1.2: no control characters, and CR LF at the end and nowhere else.
SOUND_LINE = re.compile(rb"[ -~]*+\r\n\Z")
SOUND_LINE_BEYOND_ASCII = re.compile(rb"[^\x00-\x1f\x7f]*+\r\n\Z")


class Refused(Exception):
    """The line is not right; `reply` says so to the client."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class Mail(NamedTuple):
    """MAIL: the reverse-path, the size that was declared (0: none) and BODY (empty: not said)."""

    reverse_path: bytes
    size: int
    body: bytes


def parse_hello(argument: bytes) -> bytes:
    """The name behind EHLO or HELO.

    Raises:
        Refused: there is none, or none that could be written down.
    """
    if not is_hello(argument):
        raise Refused(replies.BAD_HELLO)
    return argument


def parse_mail(argument: bytes) -> Mail:
    """What stands behind MAIL.

    Raises:
        Refused: syntax, a parameter that we did not offer, or one with a wrong value.
    """
    if argument[:5].upper() != b"FROM:":
        raise Refused(replies.BAD_MAIL)
    text = argument[5:].lstrip(b" ")
    try:
        path = parse_reverse_path(text)
    except BadPath as error:
        raise Refused(_REVERSE_PATH_REPLIES[error.fault]) from error
    size, body = 0, b""
    for keyword, value in _parameters(text, path):
        if keyword == b"SIZE":
            size = _parse_size(value)
        elif keyword == b"BODY":
            body = _parse_body(value)
        else:
            raise Refused(replies.UNKNOWN_PARAMETER)
    return Mail(path.address, size, body)


def parse_rcpt(argument: bytes, postmaster_domain: bytes) -> bytes:
    """The forward-path behind RCPT; `<postmaster>` without a domain becomes the one at *postmaster_domain*.

    Raises:
        Refused: syntax, or any parameter (we offer none).
    """
    if argument[:3].upper() != b"TO:":
        raise Refused(replies.BAD_RCPT)
    text = argument[3:].lstrip(b" ")
    try:
        path = parse_forward_path(text, postmaster_domain)
    except BadPath as error:
        raise Refused(_FORWARD_PATH_REPLIES[error.fault]) from error
    if _parameters(text, path):
        raise Refused(replies.UNKNOWN_PARAMETER)
    return path.address


_REVERSE_PATH_REPLIES = {
    Fault.SYNTAX: replies.BAD_REVERSE_PATH,
    Fault.TOO_LONG: replies.REVERSE_PATH_TOO_LONG,
    Fault.NOT_ASCII: replies.NOT_ASCII,
}
_FORWARD_PATH_REPLIES = {
    Fault.SYNTAX: replies.BAD_FORWARD_PATH,
    Fault.TOO_LONG: replies.FORWARD_PATH_TOO_LONG,
    Fault.NOT_ASCII: replies.NOT_ASCII,
}


def _parameters(text: bytes, path: Parsed) -> list[tuple[bytes, bytes]]:
    """Keyword (upper case) and value of each parameter behind the path."""
    if path.end == len(text):
        return []
    if not _PARAMETERS.match(text, path.end):
        raise Refused(replies.BAD_PARAMETER)
    found: dict[bytes, bytes] = {}
    for word in text[path.end :].split():
        keyword, _, value = word.partition(b"=")
        keyword = keyword.upper()
        if keyword in found:
            raise Refused(replies.BAD_PARAMETER)
        found[keyword] = value
    return list(found.items())


def _parse_size(value: bytes) -> int:
    if not value.isdigit() or len(value) > MAX_SIZE_DIGITS:
        raise Refused(replies.BAD_PARAMETER)
    return int(value)


def _parse_body(value: bytes) -> bytes:
    body = value.upper()
    if body not in {b"7BIT", b"8BITMIME"}:  # RFC 6152 2. BINARYMIME would need BDAT (RFC 3030).
        raise Refused(replies.BAD_PARAMETER)
    return body
