"""Command lines (RFC 5321 4.1.1) read strictly: octets in, values out, a `Refused` with its reply when they are not right.

A reader would otherwise get wrong: *after* the colon of `MAIL FROM:` a space is taken, against the letter of RFC 5321
4.1.1.2, because printers and old appliances send it and it can be read in one way only. Missing brackets are not.
"""

import re
from typing import NamedTuple

from mta.smtp import parameters, replies
from mta.smtp.addresses import BadPath, Fault, is_hello, parse_forward_path, parse_reverse_path
from mta.smtp.replies import Refused

MAX_COMMAND_LINE = 2048  # octets with CRLF. RFC 5321 4.5.3.1.4 asks for 512, 4.1.1.11 for more with each extension

# RFC 5321 2.3.8, 4.1.2: no control characters, and CR LF at the end and nowhere else.
SOUND_LINE = re.compile(rb"[ -~]*+\r\n\Z")
SOUND_LINE_BEYOND_ASCII = re.compile(rb"[^\x00-\x1f\x7f]*+\r\n\Z")
# RFC 3030 2. Twenty digits are more octets than anybody will ever send, and still a number.
_CHUNK = re.compile(rb"(?P<size>[0-9]{1,20})(?: ++(?P<last>LAST))?\Z", re.IGNORECASE)


class Mail(NamedTuple):
    """MAIL: the reverse-path and what was declared with it."""

    reverse_path: bytes
    declared: parameters.MailParameters


class Rcpt(NamedTuple):
    """RCPT: the forward-path, and NOTIFY and ORCPT as the envelope keeps them."""

    forward_path: bytes
    options: bytes


class Chunk(NamedTuple):
    """BDAT: so many octets follow, and perhaps they are the last of the message."""

    size: int
    last: bool


def parse_hello(argument: bytes) -> bytes:
    """The name behind EHLO or HELO.

    Raises:
        Refused: there is none, or none that could be written down.
    """
    if not is_hello(argument):
        raise Refused(replies.BAD_HELLO)
    return argument


def parse_mail(argument: bytes, *, secured: bool, submitted: bool = False) -> Mail:
    """What stands behind MAIL, on a connection with TLS (*secured*) or without; *submitted* by somebody who logged in.

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
    declared = parameters.of_mail(text, path, secured=secured, submitted=submitted)
    if not declared.utf8 and not path.address.isascii():
        raise Refused(replies.NOT_ASCII)
    return Mail(path.address, declared)


def parse_rcpt(argument: bytes, postmaster_domain: bytes, *, utf8: bool) -> Rcpt:
    """What stands behind RCPT; `<postmaster>` without a domain becomes the one at *postmaster_domain*. *utf8*: MAIL said so.

    Raises:
        Refused: syntax, a parameter that we did not offer, or one with a wrong value.
    """
    if argument[:3].upper() != b"TO:":
        raise Refused(replies.BAD_RCPT)
    text = argument[3:].lstrip(b" ")
    try:
        path = parse_forward_path(text, postmaster_domain)
    except BadPath as error:
        raise Refused(_FORWARD_PATH_REPLIES[error.fault]) from error
    options = parameters.of_rcpt(text, path, utf8=utf8)
    if not utf8 and not path.address.isascii():
        raise Refused(replies.NOT_ASCII)
    return Rcpt(path.address, options)


def parse_chunk(argument: bytes) -> Chunk | None:
    """What stands behind BDAT; None when it cannot be told how many octets follow."""
    match = _CHUNK.match(argument)
    return Chunk(int(match["size"]), match["last"] is not None) if match else None


def check_vrfy(argument: bytes) -> None:
    """Look whether *argument* could be what VRFY wants: words, and since RFC 6531 3.3 perhaps SMTPUTF8 behind them.

    Raises:
        Refused: nothing is there, or something beyond ASCII without SMTPUTF8.
    """
    words, _, last = argument.rpartition(b" ")
    utf8 = bool(words) and last.upper() == b"SMTPUTF8"
    if not argument:
        raise Refused(replies.BAD_VRFY)
    if not argument.isascii() and not utf8:
        raise Refused(replies.NOT_ASCII)


_REVERSE_PATH_REPLIES = {
    Fault.SYNTAX: replies.BAD_REVERSE_PATH,
    Fault.TOO_LONG: replies.REVERSE_PATH_TOO_LONG,
}
_FORWARD_PATH_REPLIES = {
    Fault.SYNTAX: replies.BAD_FORWARD_PATH,
    Fault.TOO_LONG: replies.FORWARD_PATH_TOO_LONG,
}
