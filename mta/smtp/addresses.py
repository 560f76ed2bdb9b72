"""Paths as they stand in MAIL and RCPT (RFC 5321 4.1.2, 4.1.3; beyond ASCII RFC 6531 3.3): octets in, a parsed path out.

A reader would otherwise get wrong: a quoted local-part that needs no quotes loses them (RFC 5321 4.1.2 says both name the
same mailbox), so nobody behind us has to know that `"joe"@x` is `joe@x`. A domain of U-labels stays as it is: the snapshot
knows ours by both names. All patterns are possessive: no octets a stranger sends can make them backtrack.
"""

import enum
import re
import socket
from typing import NamedTuple

from mta.vocabulary import MAX_DOMAIN, MAX_LABEL, MAX_LOCAL_PART, MAX_PATH

_ATOM = rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]++"  # RFC 5322 3.2.3
_DOT_STRING = rb"%b(?:\.%b)*+" % (_ATOM, _ATOM)
_QUOTED_STRING = rb'"(?:[ !#-\[\]-~]|\\[ -~])*+"'  # RFC 5321 4.1.2: printable ASCII, backslash quotes one
# An underscore is no letter of a host name, but there are hosts that have one, and refusing them loses mail; a domain
# is only ever compared here.
_LABEL = rb"[A-Za-z0-9_]++(?:-++[A-Za-z0-9_]++)*+"
_DOMAIN = rb"%b(?:\.%b)*+" % (_LABEL, _LABEL)
_LITERAL = rb"\[(?:[0-9.]{7,15}+|IPv6:[0-9A-Fa-f:.]{2,45}+)\]"  # RFC 5321 4.1.3; IPv6 is said in any case
_SOURCE_ROUTE = rb"@%b(?:,@%b)*+:" % (_DOMAIN, _DOMAIN)  # RFC 5321 C: must be accepted, should be ignored

_PATH_PATTERN = rb"<(?:%b)?+(?P<local_part>%b|%b)@(?P<domain>%b|(?i:%b))>" % (
    _SOURCE_ROUTE, _DOT_STRING, _QUOTED_STRING, _DOMAIN, _LITERAL,
)  # fmt: skip
_PATH = re.compile(_PATH_PATTERN)
_DOT_STRING_ONLY = re.compile(_DOT_STRING + rb"\Z")


def _beyond_ascii(pattern: bytes) -> re.Pattern[bytes]:
    """The same *pattern* with UTF8-non-ascii (RFC 6531 3.3) wherever a letter may stand; whether it is UTF-8 is asked later."""
    return re.compile(pattern.replace(rb"[A-Za-z0-9", rb"[\x80-\xffA-Za-z0-9").replace(rb"[ !#", rb"[\x80-\xff !#"))


_PATH_BEYOND_ASCII = _beyond_ascii(_PATH_PATTERN)
_DOT_STRING_ONLY_BEYOND_ASCII = _beyond_ascii(_DOT_STRING + rb"\Z")
_C1_CONTROL = re.compile(rb"\xc2[\x80-\x9f]")  # U+0080 to U+009F: some terminals obey them as they obey ESC
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_NEEDS_QUOTING = re.compile(rb'(["\\])')
_HELLO = re.compile(rb"[A-Za-z0-9._:\[\]-]{1,%d}+\Z" % MAX_DOMAIN)

NULL = b""  # the null reverse-path (RFC 5321 4.5.5)
POSTMASTER = b"<postmaster>"  # RFC 5321 4.5.1: the one recipient without a domain


class Fault(enum.Enum):
    """Why something is no path."""

    SYNTAX = "syntax"
    TOO_LONG = "too long"


class BadPath(ValueError):
    """Not a path; `fault` says in which way."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.value)
        self.fault = fault


class Parsed(NamedTuple):
    """An address (without brackets and source route) and where the text goes on behind it."""

    address: bytes
    end: int


def parse_reverse_path(text: bytes) -> Parsed:
    """The path at the beginning of *text*, perhaps the null one.

    The limit of 64 octets for a local-part is not applied: senders encode each recipient and more into theirs, and as
    RFC 5321 4.5.3.1 asks, what can be carried is carried. The limit of the whole path holds.

    Raises:
        BadPath: it does not begin with a path.
    """
    if text.startswith(b"<>"):
        return Parsed(NULL, 2)
    return _parse(text, MAX_PATH)


def parse_forward_path(text: bytes, postmaster_domain: bytes) -> Parsed:
    """The path at the beginning of *text*; `<postmaster>` alone becomes the one at *postmaster_domain*.

    Raises:
        BadPath: it does not begin with a path that is not null.
    """
    if text[: len(POSTMASTER)].lower() == POSTMASTER:
        return Parsed(b"postmaster@" + postmaster_domain, len(POSTMASTER))
    return _parse(text, MAX_LOCAL_PART)


def is_hello(text: bytes) -> bool:
    """May *text* stand behind EHLO?

    Looser than RFC 5321 4.1.1.1 on purpose (`my_laptop`, a bare IP address): the name is only ever written into our
    Received field, so what matters is that it can end neither a comment nor a line there.
    """
    return _HELLO.match(text) is not None


def _parse(text: bytes, max_local_part: int) -> Parsed:
    match = _PATH.match(text) or _match_beyond_ascii(text)
    local_part, domain = match["local_part"], match["domain"]
    if local_part[0] == _QUOTE:
        local_part = _simplest(local_part)
    if domain[0] == _BRACKET:
        _check_literal(domain)
    elif len(domain) > MAX_LABEL and (len(domain) > MAX_DOMAIN or _has_long_label(domain)):
        raise BadPath(Fault.TOO_LONG)
    if len(local_part) > max_local_part or len(local_part) + 1 + len(domain) > MAX_PATH:
        raise BadPath(Fault.TOO_LONG)
    return Parsed(b"%b@%b" % (local_part, domain), match.end())


def _match_beyond_ascii(text: bytes) -> re.Match[bytes]:
    match = None if text.isascii() else _PATH_BEYOND_ASCII.match(text)
    if match is None or _C1_CONTROL.search(match[0]):
        raise BadPath(Fault.SYNTAX)
    try:
        match[0].decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadPath(Fault.SYNTAX) from error
    return match


_QUOTE = ord('"')
_BRACKET = ord("[")


def _has_long_label(domain: bytes) -> bool:
    """RFC 1035 2.3.4 counts the octets of an A-label; how many those of a U-label make, only its A-label tells."""
    return max(len(label) if label.isascii() else 0 for label in domain.split(b".")) > MAX_LABEL


def _simplest(quoted: bytes) -> bytes:
    """RFC 5321 4.1.2: the form with the fewest quotes is the one to send on."""
    bare = _QUOTED_PAIR.sub(rb"\1", quoted[1:-1])
    if (_DOT_STRING_ONLY if bare.isascii() else _DOT_STRING_ONLY_BEYOND_ASCII).match(bare):
        return bare
    return b'"%b"' % _NEEDS_QUOTING.sub(rb"\\\1", bare)


def _check_literal(literal: bytes) -> None:
    text = literal[1:-1].decode("ascii")
    try:
        if text[:5].lower() == "ipv6:":
            socket.inet_pton(socket.AF_INET6, text[5:])
        else:
            socket.inet_pton(socket.AF_INET, text)
    except OSError as error:
        raise BadPath(Fault.SYNTAX) from error
