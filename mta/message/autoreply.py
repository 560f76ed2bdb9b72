"""The autoreply of a mailbox (RFC 3834): whether a message may be answered, and the answer as bytes.

A reader would otherwise get wrong: every doubt means no answer. An answer that is missing is a small thing; two programs that
answer each other, or a thousand answers to somebody whose address was forged, are not.
"""

import re
from collections.abc import Callable

from mta.message.encoded_words import encode
from mta.message.glance import Header
from mta.message.quoted_body import body_of
from mta.message.trace import date_time
from mta.record import dataclass

MAX_ADDRESSEES = 50  # of To and Cc that are looked at: in a longer list nobody is written to
MAX_SUBJECT = 200  # characters of the subject that is answered
MAX_REFERENCES = 20  # message ids (RFC 5322 3.6.4 has no bound)
MAX_LINE = 72  # octets of a Subject, more or less: below the 78 of RFC 5322 2.1.1

_ADDRESS = re.compile(rb"[^\s<>()\[\],;:\\\"@]{1,64}@[A-Za-z0-9\x80-\xff][A-Za-z0-9.\x80-\xff-]{1,253}")
_MESSAGE_ID = re.compile(rb"<[!-;=?-~]{1,250}>")
_PLAIN = re.compile(rb"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9.\[\]:-]+")
# RFC 3834 2, RFC 5230 4.6: whoever calls himself so reads nothing, or is many. Local-parts in small letters.
_NOBODY = re.compile(
    rb"owner-|bounces?(?:[-+=._]|\Z)|(?:mailer[-_.]?daemon|listserv|majordomo)\Z"
    rb"|[^@]*(?:-owner|-request|-bounces?|-errors?)\Z|[^@]*(?:no|not)[-_.]?reply"
)
_BULK = frozenset({b"bulk", b"list", b"junk"})


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is said."""

    host: bytes  # our name
    queue_id: bytes  # of the message that is answered
    mailbox: bytes  # whose answer it is: the address as its owner wrote it
    name: bytes  # his name, for people; may be empty
    to: bytes  # the reverse-path of what is answered
    subject: bytes  # UTF-8; empty: `Auto: ` and the subject that is answered
    text: bytes  # UTF-8, lines end in LF
    moment: int  # seconds since 1970, now


def reason_against(header: Header, reverse_path: bytes) -> bytes:
    """Why nobody answers this message, in a word; empty: it may be answered, if it was written to the mailbox."""
    reasons: tuple[tuple[bytes, Callable[[], bool]], ...] = (
        (b"null-reverse-path", lambda: not reverse_path),  # RFC 3834 2
        (b"sender", lambda: _NOBODY.match(reverse_path.rpartition(b"@")[0].lower()) is not None),
        (b"cut", lambda: not header.is_whole),
        (b"automatic", lambda: _is_automatic(header)),
        (b"list", lambda: _is_of_a_list(header)),
        (b"spam", lambda: header.is_spam),
        (b"forged", lambda: header.is_forged),
    )
    return next((reason for reason, holds in reasons if holds()), b"")


def can_write(mailbox: bytes) -> bool:
    """Can *mailbox* stand in the From field of an answer? What needs quotes is written by nobody, and read in two ways."""
    return _stands(mailbox)


def addressees(header: Header) -> list[bytes]:
    """Whom it was written to, as far as it says so: To, Cc, and the same of who sent it on (RFC 5230 4.5); each once."""
    found: dict[bytes, None] = {}
    for name in (b"to", b"cc", b"resent-to", b"resent-cc"):
        for body in header.bodies(name):
            found |= dict.fromkeys(_ADDRESS.findall(body))
            if len(found) > MAX_ADDRESSEES:
                return []
    return list(found)


def compose_answer(answer: Answer, header: Header) -> tuple[bytes, bytes]:
    """Header section and body of the answer to the message with *header*; in UTF-8 where an address of it is (RFC 6532)."""
    identifier = next(iter(_MESSAGE_ID.findall(header.first(b"message-id"))), b"")
    fields = (
        b"From: %b" % _mailbox(answer.name, answer.mailbox),
        b"To: %b" % _mailbox(b"", answer.to),
        b"Subject: %b" % _subject(answer.subject, header),
        b"Date: %b" % date_time(answer.moment),
        b"Message-ID: <autoreply.%b.%d@%b>" % (answer.queue_id, answer.moment, answer.host),
        *((b"In-Reply-To: %b" % identifier, b"References: %b" % _references(header, identifier)) if identifier else ()),
        b"Auto-Submitted: auto-replied",  # RFC 3834 5
        b"MIME-Version: 1.0",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Transfer-Encoding: quoted-printable",
    )
    return b"".join(field + b"\r\n" for field in fields), body_of(answer.text)


def _is_automatic(header: Header) -> bool:
    # RFC 3834 5: parameters may follow the word. Who writes the field twice does not know what he says.
    words = [body.partition(b";")[0].partition(b"(")[0].strip().lower() for body in header.bodies(b"auto-submitted")]
    suppress = header.first(b"x-auto-response-suppress").lower()
    kind = header.first(b"content-type").lower()
    return (
        any(word != b"no" for word in words)
        or any(word in suppress for word in (b"all", b"oof", b"autoreply"))
        or kind.startswith((b"multipart/report", b"message/delivery-status", b"message/disposition-notification"))
    )


def _is_of_a_list(header: Header) -> bool:
    precedence = {body.strip().lower() for body in header.bodies(b"precedence")}
    return bool(precedence & _BULK) or any(name.startswith(b"list-") for name in header.fields)


def _subject(own: bytes, header: Header) -> bytes:
    text = own.decode("utf-8", "replace")
    if not text:
        asked = header.subject
        shown = asked[:MAX_SUBJECT] + ("…" if len(asked) > MAX_SUBJECT else "")
        text = "Auto: " + ("".join(c if c.isprintable() else "?" for c in shown) or "(no subject)")
    return _folded(encode(text))


def _folded(body: bytes) -> bytes:
    """*body* in lines of about 72 octets (RFC 5322 2.1.1), folded at its blanks."""
    if b"\r\n" in body:
        return body
    lines = [b""]
    for word in body.split(b" "):
        if lines[-1] and len(lines[-1]) + len(word) >= MAX_LINE:
            lines.append(word)
        else:
            lines[-1] += b" " + word if lines[-1] else word
    return b"\r\n ".join(lines)


def _references(header: Header, identifier: bytes) -> bytes:
    """RFC 5322 3.6.4: what it referred to, or what it answered when that is one; then itself."""
    before = _MESSAGE_ID.findall(header.first(b"references"))
    if not before:
        answered = _MESSAGE_ID.findall(header.first(b"in-reply-to"))
        before = answered if len(answered) == 1 else []
    return b"\r\n ".join([*before[-MAX_REFERENCES:], identifier])


def _mailbox(name: bytes, path: bytes) -> bytes:
    """*path* for an address field, with a *name* (UTF-8) before it; an empty group where it cannot stand there."""
    if not _stands(path):
        return b"undisclosed-recipients:;"
    shown = "".join(c for c in name.decode("utf-8", "replace") if c.isprintable())
    if not shown:
        return b"<%b>" % path
    if shown.isascii():
        return b'"%b" <%b>' % (re.sub(rb'(["\\])', rb"\\\1", shown.encode()), path)
    return b"%b\r\n <%b>" % (encode(shown), path)


def _stands(path: bytes) -> bool:
    """Can *path* stand in an address field as it is (RFC 5322 3.4.1, RFC 6532 3.2)?"""
    if path.isascii():
        return _PLAIN.fullmatch(path) is not None
    try:
        text = path.decode()
    except UnicodeDecodeError:
        return False
    return text.isprintable() and not set(text) & set(' "(),:;<>[\\]')
