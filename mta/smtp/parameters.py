"""The parameters of MAIL and RCPT (RFC 5321 4.1.1.11) that we offer, each read strictly: octets in, values out.

A reader would otherwise get wrong: ENVID and ORCPT stay in the xtext they came in. Whoever writes a notification decodes
them; until then they are words without spaces, which is how envelopes keep them.

SIZE is RFC 1870, BODY RFC 6152, SMTPUTF8 RFC 6531, RET ENVID NOTIFY ORCPT RFC 3461, REQUIRETLS RFC 8689, AUTH RFC 4954 5.
"""

import re
from typing import NamedTuple

from mta.smtp import replies
from mta.smtp.addresses import Parsed
from mta.smtp.replies import Refused

MAX_SIZE_DIGITS = 20  # RFC 1870 5
MAX_ENVID = 100  # RFC 3461 4.4, octets
MAX_ORCPT = 500  # RFC 3461 4.2, octets
MAX_AUTH = 500  # RFC 4954 3 (6), octets

# RFC 5321 4.1.2: a keyword, perhaps with a value that has neither "=" nor space nor control characters; RFC 6531 3.3 adds
# what is not ASCII to values.
_PARAMETERS = re.compile(rb"(?: ++[A-Za-z0-9][A-Za-z0-9-]*+(?:=[!-<>-~\x80-\xff]++)?+)*+\Z")
# RFC 3461 4: printable ASCII, "+" and two hexadecimal digits for "+", "=", space and whatever else one likes to encode.
_XTEXT = rb"(?:[!-*,-<>-~]|\+(?:[2-6][0-9A-F]|7[0-9A-E]))++"
_ENVID = re.compile(_XTEXT + rb"\Z")
_AUTH = re.compile(rb"(?:<>|%b)\Z" % _XTEXT)
# Beyond ASCII the type should be utf-8 (below), but Postfix 3.7 encodes UTF-8 octet by octet under the type rfc822.
_ORCPT = re.compile(rb"[A-Za-z0-9!#$%%&'*/?^_`{|}~.-]++;(?:%b|\+[89A-F][0-9A-F])++\Z" % _XTEXT)
# RFC 6533 3: after the type utf-8, characters as they are or as \x{number}.
_ORCPT_UTF_8 = re.compile(rb"(?i:utf-8);(?:[!-*,-<>-\[\]-~\x80-\xff]|\\x\{[0-9A-F]{2,6}\})++\Z")
_NOTIFY = frozenset({b"SUCCESS", b"FAILURE", b"DELAY"})  # RFC 3461 4.1; NEVER stands alone


class MailParameters(NamedTuple):
    """What MAIL declared: octets (0: not said), an address beyond ASCII to come, and what the envelope keeps of it."""

    size: int
    utf8: bool
    options: bytes


NO_PARAMETERS = MailParameters(0, False, b"")


def of_mail(text: bytes, path: Parsed, *, secured: bool, submitted: bool = False) -> MailParameters:
    """The parameters behind the *path* at the beginning of *text*; REQUIRETLS only under TLS, AUTH only for who logged in.

    Raises:
        Refused: malformed, said twice, or not offered.
    """
    if path.end == len(text):
        return NO_PARAMETERS
    size, utf8 = 0, False
    options: list[bytes] = []
    for keyword, value in _split(text, path).items():
        if keyword == b"SIZE":
            size = _size(value)
        elif keyword == b"BODY":
            # RFC 6152 2. BINARYMIME (RFC 3030) would let lines end in ways that other servers read differently.
            options.append(b"BODY=" + _one_of(value, (b"7BIT", b"8BITMIME")))
        elif keyword == b"RET":
            options.append(b"RET=" + _one_of(value, (b"FULL", b"HDRS")))
        elif keyword == b"ENVID":
            options.append(b"ENVID=" + _matching(value, _ENVID, MAX_ENVID))
        elif keyword == b"SMTPUTF8" or (keyword == b"REQUIRETLS" and secured):
            utf8 = utf8 or keyword == b"SMTPUTF8"
            options.append(_without_value(keyword, value))
        elif keyword == b"AUTH" and submitted:
            # RFC 4954 5 lets us take it for `<>`: who wrote the message first is nothing that we could believe a client.
            _matching(value, _AUTH, MAX_AUTH)
        else:
            raise Refused(replies.UNKNOWN_PARAMETER)
    return MailParameters(size, utf8, b" ".join(options))


def of_rcpt(text: bytes, path: Parsed, *, utf8: bool) -> bytes:
    """The parameters behind the *path* at the beginning of *text*, as the envelope keeps them; *utf8*: MAIL said SMTPUTF8.

    Raises:
        Refused: malformed, said twice, or not offered.
    """
    if path.end == len(text):
        return b""
    options: list[bytes] = []
    for keyword, value in _split(text, path).items():
        if keyword == b"NOTIFY":
            options.append(b"NOTIFY=" + _notify(value))
        elif keyword == b"ORCPT":
            options.append(b"ORCPT=" + _orcpt(value, utf8=utf8))
        else:
            raise Refused(replies.UNKNOWN_PARAMETER)
    return b" ".join(options)


def _split(text: bytes, path: Parsed) -> dict[bytes, bytes]:
    """Keyword (upper case) and value (empty: none) of each parameter."""
    if not _PARAMETERS.match(text, path.end):
        raise Refused(replies.BAD_PARAMETER)
    found: dict[bytes, bytes] = {}
    for word in text[path.end :].split():
        keyword, _, value = word.partition(b"=")
        keyword = keyword.upper()
        if keyword in found:
            raise Refused(replies.BAD_PARAMETER)
        found[keyword] = value
    return found


def _size(value: bytes) -> int:
    if not value.isdigit() or len(value) > MAX_SIZE_DIGITS:
        raise Refused(replies.BAD_PARAMETER)
    return int(value)


def _one_of(value: bytes, known: tuple[bytes, ...]) -> bytes:
    if value.upper() not in known:
        raise Refused(replies.BAD_PARAMETER)
    return value.upper()


def _matching(value: bytes, pattern: re.Pattern[bytes], max_octets: int) -> bytes:
    if len(value) > max_octets or not pattern.match(value):
        raise Refused(replies.BAD_PARAMETER)
    return value


def _without_value(keyword: bytes, value: bytes) -> bytes:
    if value:
        raise Refused(replies.BAD_PARAMETER)
    return keyword


def _notify(value: bytes) -> bytes:
    value = value.upper()
    events = value.split(b",")
    if value != b"NEVER" and not (_NOTIFY.issuperset(events) and len(set(events)) == len(events)):
        raise Refused(replies.BAD_PARAMETER)
    return value


def _orcpt(value: bytes, *, utf8: bool) -> bytes:
    if value[:6].lower() == b"utf-8;":
        _matching(value, _ORCPT_UTF_8, MAX_ORCPT)
        if not value.isascii():
            _check_utf_8(value, utf8=utf8)
        return value
    return _matching(value, _ORCPT, MAX_ORCPT)


def _check_utf_8(value: bytes, *, utf8: bool) -> None:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Refused(replies.BAD_PARAMETER) from error
    if not utf8:
        raise Refused(replies.NOT_ASCII)
