"""The mailboxes that a From or Sender field names (RFC 5322 3.4): octets in, addresses out, or a refusal.

A reader would otherwise get wrong: this is narrower than the RFC on purpose. What one reader takes for the author and
another for a comment is how forged authors are made; so whatever is obsolete, whatever is a group, and whatever has an
address where a name should be, is not read at all. What is read, everybody reads alike.
"""

import re

MAX_MAILBOXES = 20  # in one field; RFC 5322 has no bound, and nobody writes with so many others

_BLANKS = re.compile(rb"[ \t\r\n]*+")
_COMMENT_OR_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"|[()]|\\.?', re.DOTALL)
_ATEXT = rb"A-Za-z0-9!#$%&'*+/=?^_`{|}~\x80-\xff-"  # RFC 5322 3.2.3, RFC 6532 3.2
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~])*+"'
_DOT_ATOM = rb"[%b]++(?:\.[%b]++)*+" % (_ATEXT, _ATEXT)
_LABEL = rb"[A-Za-z0-9_\x80-\xff]++(?:-++[A-Za-z0-9_\x80-\xff]++)*+"
_ADDRESS = rb"(?:%b|%b)@%b(?:\.%b)*+" % (_DOT_ATOM, _QUOTED, _LABEL, _LABEL)
# A phrase: words, and since people have initials, dots behind the first (RFC 5322 4.1, obs-phrase).
_PHRASE = rb"(?:[%b]++|%b)(?:[ \t\r\n]++|[%b.]++|%b)*+" % (_ATEXT, _QUOTED, _ATEXT, _QUOTED)
_NAMED = re.compile(rb"(?:%b)?+<[ \t\r\n]*+(%b)[ \t\r\n]*+>" % (_PHRASE, _ADDRESS))
_BARE = re.compile(_ADDRESS)
_DOT_ATOM_ONLY = re.compile(_DOT_ATOM + rb"\Z")
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)
_NEEDS_QUOTING = re.compile(rb'(["\\])')


class NotMailboxes(ValueError):
    """No list of mailboxes, or one that can be read in two ways; the words may be shown to who wrote it."""


def mailboxes(field_body: bytes) -> list[bytes]:
    """The addresses in *field_body*, in its order, each in its simplest form; at least one.

    Raises:
        NotMailboxes: as it says.
    """
    text = _without_comments(field_body)
    found: list[bytes] = []
    position = _skip(text, 0)
    while True:
        match = _NAMED.match(text, position) or _BARE.match(text, position)
        if match is None:
            raise NotMailboxes("is no list of addresses, or one that can be read in two ways")
        found.append(_simplest(match[match.lastindex or 0]))
        if len(found) > MAX_MAILBOXES:
            raise NotMailboxes(f"names more than {MAX_MAILBOXES} addresses")
        position = _skip(text, match.end())
        if position == len(text):
            return found
        if text[position] != _COMMA:
            raise NotMailboxes("is no list of addresses, or one that can be read in two ways")
        position = _skip(text, position + 1)


_COMMA = ord(",")


def _skip(text: bytes, position: int) -> int:
    match = _BLANKS.match(text, position)
    return match.end() if match else position


def _without_comments(text: bytes) -> bytes:
    """*text* with each comment outside of quotes made a space (RFC 5322 3.2.2)."""
    if b"(" not in text and b")" not in text:
        return text
    kept: list[bytes] = []
    depth = start = 0
    for match in _COMMENT_OR_STRING.finditer(text):
        token = match[0]
        if token == b"(":
            if not depth:
                kept.append(text[start : match.start()])
            depth += 1
        elif token == b")":
            depth -= 1
            start = match.end()
            if depth < 0:
                break
        elif depth and token.startswith(b'"'):
            # Within a comment a quotation mark is a letter like any other; not all readers know.
            raise NotMailboxes("has a quotation mark in a comment")
    if depth:
        raise NotMailboxes("has a comment that does not end, or begin")
    return b" ".join([*kept, text[start:]])


def _simplest(address: bytes) -> bytes:
    """Without quotes where they say nothing (RFC 5321 4.1.2): so that one mailbox has one spelling."""
    local_part, _, domain = address.rpartition(b"@")
    if local_part.startswith(b'"'):
        bare = _QUOTED_PAIR.sub(rb"\1", local_part[1:-1])
        local_part = bare if _DOT_ATOM_ONLY.match(bare) else b'"%b"' % _NEEDS_QUOTING.sub(rb"\\\1", bare)
    return b"%b@%b" % (local_part, domain)
